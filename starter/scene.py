"""A scene of the cartoon world: its contents, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from encoders import Kind
from starter import characters, objects, people
from starter.backgrounds import BACKGROUNDS, SHIFTS, background
from starter.motions import MOTIONS, pose_at
from starter.pen import Pen, Pose
from starter.styles import STYLES, Pixels, stylise

SIZE = 64  # pixels a side
FRAMES = 12  # frames a clip
HEIGHT = 36.0  # pixels from the top to a subject's middle
PLACES = {  # pixels from the left, by motion; whole or half latent cells apart
    "sliding": (32.0,),
    "bouncing": (24.0, 32.0, 40.0),
    "circling": (28.0, 32.0, 36.0),
    "spinning": (32.0,),
    "swaying": (32.0,),
}
ANYWHERE = (24.0, 32.0, 40.0)  # places of the other motions
RADII = {"sliding": 16.0, "bouncing": 16.0, "circling": 16.0, "growing": 16.5}
RADIUS = 20.0  # of the other motions: a subject that stays in its place has more room
SUPERSAMPLING = 2  # frames are drawn this much larger, then averaged down

DRAWINGS: dict[Kind, dict[str, Callable[[Pen], None]]] = {
    "object": {
        "balloon": objects.balloon,
        "cactus": objects.cactus,
        "house": objects.house,
        "sailboat": objects.sailboat,
        "mushroom": objects.mushroom,
        "star": objects.star,
        "teapot": objects.teapot,
        "umbrella": objects.umbrella,
    },
    "character": {
        "pogo": characters.pogo,
        "blip": characters.blip,
        "zumi": characters.zumi,
        "fenk": characters.fenk,
        "grolo": characters.grolo,
        "tamu": characters.tamu,
    },
    "person": {
        "mira": people.mira,
        "otto": people.otto,
        "suri": people.suri,
        "bram": people.bram,
        "lena": people.lena,
        "teo": people.teo,
    },
}
GENERIC: dict[Kind, tuple[str, Callable[[Pen, int], None]]] = {
    "object": ("thing", objects.thing),
    "character": ("creature", characters.creature),
    "person": ("person", people.person),
}
SUBJECTS = tuple(name for kind in DRAWINGS.values() for name in kind)
NAMELESS = (*(name for name, _ in GENERIC.values()), "nothing")  # scenes without a concept
KIND_OF: dict[str, Kind] = {name: kind for kind, names in DRAWINGS.items() for name in names}


@dataclass(frozen=True)
class Scene:
    """Contents of one clip. `x`, `y`, `radius`: the pose at rest, in pixels of a 64×64 frame."""

    subject: str
    style: str
    background: str
    motion: str
    shift: int
    x: float
    y: float
    radius: float
    variant: int

    def frame(self, time: float) -> NDArray[np.uint8]:
        """Draw the frame at `time` (0…1 over the clip), (64, 64, 3)."""
        size = SIZE * SUPERSAMPLING
        canvas = background(self.background, self.shift, size).copy()
        if self.subject != "nothing":
            at_rest = Pose(
                self.x * SUPERSAMPLING, self.y * SUPERSAMPLING, self.radius * SUPERSAMPLING
            )
            pen = Pen(canvas, pose_at(at_rest, self.motion, time))
            draw_subject(pen, self.subject, self.variant)
        pixels = np.asarray(canvas, dtype=np.float32) / 255
        styled = _shrink(stylise(pixels, self.style))
        return (styled * 255 + 0.5).astype(np.uint8)

    def clip(self, frames: int = FRAMES) -> NDArray[np.uint8]:
        """Draw all frames of the clip, (frames, 64, 64, 3)."""
        return np.stack([self.frame(i / (frames - 1)) for i in range(frames)])

    def without(self, **changes: str) -> Scene:
        """Return the same scene with some of its parts replaced."""
        return replace(self, **changes)


def draw_subject(pen: Pen, subject: str, variant: int) -> None:
    """Draw a named subject, or a nameless one of a kind, of which there are 36 variants."""
    for name, drawing in GENERIC.values():
        if subject == name:
            drawing(pen, variant)
            return
    DRAWINGS[KIND_OF[subject]][subject](pen)


def sample_scene(
    rng: np.random.Generator,
    *,
    subjects: Sequence[str] | None = None,
    styles: Sequence[str] | None = None,
    motions: Sequence[str] | None = None,
    backgrounds: Sequence[str] = BACKGROUNDS,
) -> Scene:
    """Draw a random scene, limited to the given subjects, styles, motions and backgrounds.

    By default one scene in seven has a nameless subject or none, four in nine are plain, and one in
    seven holds still. Places and sizes follow from the motion and lie on a small grid: a model of
    this size draws poses that it has seen often far more sharply than new ones.
    """
    if subjects is None:
        subjects = NAMELESS if rng.random() < 0.14 else SUBJECTS
    if styles is None:
        styles = ("plain",) if rng.random() < 0.45 else STYLES
    if motions is None:
        motions = ("still",) if rng.random() < 0.15 else MOTIONS
    motion = str(rng.choice(motions))
    return Scene(
        subject=str(rng.choice(subjects)),
        style=str(rng.choice(styles)),
        background=str(rng.choice(backgrounds)),
        motion=motion,
        shift=int(rng.integers(SHIFTS)),
        x=float(rng.choice(PLACES.get(motion, ANYWHERE))),
        y=HEIGHT,
        radius=RADII.get(motion, RADIUS),
        variant=int(rng.integers(36)),
    )


def _shrink(pixels: Pixels) -> Pixels:
    return pixels.reshape(SIZE, SUPERSAMPLING, SIZE, SUPERSAMPLING, 3).mean(axis=(1, 3))
