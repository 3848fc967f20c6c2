"""Errors of unlearning that are meant for a caller's eyes."""

from __future__ import annotations

from encoders import PalimpsestError


class SettingsInvalid(PalimpsestError):
    """A setting that does not exist, or a value out of range; `param` names the setting."""

    code = "invalid_settings"


class LayersInvalid(PalimpsestError, ValueError):
    """A pattern that matches no parameter's name."""

    code = "invalid_settings"


class TaskInvalid(PalimpsestError, ValueError):
    """A task without concepts, with a concept twice, or with the wrong images."""

    code = "invalid_task"


class MethodInvalid(PalimpsestError):
    """An installed method that cannot be used: its name is taken, or its import fails."""

    code = "invalid_method"


class CheckpointInvalid(PalimpsestError):
    """A checkpoint that a run cannot go on from: of another run, or damaged."""

    code = "checkpoint_invalid"
