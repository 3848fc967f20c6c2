"""Capabilities: the limits of a backbone, and its defaults for what a request leaves open."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """Limits and defaults of one backbone. Sizes are pixels."""

    native_width: int
    native_height: int
    frames_max: int
    frames_default: int = 12
    fps_default: int = 8
    steps_default: int = 20
    steps_max: int = 100
    guidance_default: float = 3.5
    prompt_tokens: int = 77
    """Length in tokens that prompts are cut to, start and end included."""
