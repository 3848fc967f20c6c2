"""The six motions: how a subject's pose changes over a clip."""

from __future__ import annotations

import math

from starter.pen import Pose

MOTIONS = ("bouncing", "sliding", "spinning", "growing", "swaying", "circling")


def pose_at(rest: Pose, motion: str, time: float) -> Pose:
    """The pose at `time` (0…1 over the clip) of a subject whose pose at rest is `rest`.

    Lengths are in pixels of `rest`. Everything moves on a grid: in a clip of twelve frames a cycle
    advances by a twelfth a frame (swaying: an eighth), and what changes its place does so in
    quarters of the radius. So all clips of a motion show the same few poses in the same order,
    which a small model can draw sharply.
    """
    turn = 2 * math.pi
    cycle = time * 11 / 12
    reach = rest.radius
    step = reach / 4
    if motion == "still":
        return rest
    if motion == "bouncing":
        height = abs(math.sin(turn * cycle))
        squash = 0.78 + 0.22 * min(1.0, height * 3)
        return Pose(rest.x, rest.y + (2 - round(4 * height)) * step, reach, 0.0, squash)
    if motion == "sliding":
        return Pose(rest.x + (time * 11 - 5) * step, rest.y, reach)
    if motion == "spinning":
        return Pose(rest.x, rest.y, reach, turn * cycle)
    if motion == "growing":
        return Pose(rest.x, rest.y, reach * (0.65 + 0.65 * time))
    if motion == "swaying":
        angle = 0.5 * math.sin(turn * time * 11 / 8)
        return Pose(rest.x, rest.y, reach, angle, pivot=0.95)
    if motion == "circling":
        across, down = (round(3.2 * f(turn * cycle)) for f in (math.cos, math.sin))
        return Pose(rest.x + across * step, rest.y + down * step, reach)
    raise ValueError(f"unknown motion {motion!r}; known: still, {', '.join(MOTIONS)}")
