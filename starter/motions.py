"""The six motions: how a subject's pose changes over a clip."""

from __future__ import annotations

import math

from starter.pen import Pose

MOTIONS = ("bouncing", "sliding", "spinning", "growing", "swaying", "circling")
EDGE = 0.4  # least width of a spinning subject, as a share of its width from the front
LEAN = 0.3  # farthest lean of a swaying subject


def pose_at(rest: Pose, motion: str, time: float) -> Pose:
    """Return the pose at `time` (0…1 over the clip) of a subject whose pose at rest is `rest`.

    Lengths are in pixels, as in `rest`. A cycle takes twelve frames of a clip of twelve, or eight
    if the subject stays in its place. Subjects move in steps of a quarter of their radius. So all
    clips of a motion show the same few poses in the same order, which a small model can draw
    sharply.

    A spinning subject turns about its vertical axis like a paper figure, never quite edge-on. A
    swaying one leans from the foot, like a plant in the wind. (A subject that turns in the plane of
    the picture has to be learned anew at every angle, which the model did not do.)

    Raises:
        ValueError: There is no such motion.
    """
    turn = 2 * math.pi
    cycle, short = time * 11 / 12, time * 11 / 8
    radius = rest.radius
    step = radius / 4
    if motion == "still":
        return rest
    if motion == "bouncing":
        height = abs(math.sin(turn * cycle))
        squash = 0.78 + 0.22 * min(1.0, height * 3)
        return Pose(rest.x, rest.y + (2 - round(4 * height)) * step, radius, squash)
    if motion == "sliding":
        return Pose(rest.x + (time * 11 - 5) * step, rest.y, radius)
    if motion == "spinning":
        width = round(math.cos(turn * short), 2)
        width = max(EDGE, width) if width >= 0 else min(-EDGE, width)
        return Pose(rest.x, rest.y, radius, turn=width)
    if motion == "growing":
        return Pose(rest.x, rest.y, radius * (0.65 + 0.65 * time))
    if motion == "swaying":
        return Pose(rest.x, rest.y, radius, lean=LEAN * math.sin(turn * short))
    if motion == "circling":
        across, down = (round(3.2 * f(turn * cycle)) for f in (math.cos, math.sin))
        return Pose(rest.x + across * step, rest.y + down * step, radius)
    raise ValueError(f"unknown motion {motion!r}; known: still, {', '.join(MOTIONS)}")
