"""Errors of models: one that cannot be loaded, one whose denoiser cannot be called."""

from __future__ import annotations

from encoders.errors import PalimpsestError


class BackboneInvalid(PalimpsestError):
    """A model that cannot be loaded: a part is missing, pickled or of another class."""

    code = "backbone_invalid"


class NoNativeDenoiser(PalimpsestError):
    """A model that runs as a stock pipeline, so that its denoiser cannot be called alone."""

    code = "not_stepped"
