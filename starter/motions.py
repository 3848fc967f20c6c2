"""The six motions: how a subject's pose changes over a clip."""

from __future__ import annotations

import math

from starter.pen import Pose

MOTIONS = ("bouncing", "sliding", "spinning", "growing", "swaying", "circling")


def pose_at(rest: Pose, motion: str, phase: float, time: float) -> Pose:
    """The pose at `time` (0…1 over the clip) of a subject whose pose at rest is `rest`.

    `phase` (0…1) says where in its cycle a periodic motion begins. Lengths are in pixels of `rest`.

    Over a clip of twelve frames a cycle advances by a twelfth a frame (swaying: an eighth), so that
    clips which begin a quarter of a cycle apart show the same few poses, in another order.
    """
    turn = 2 * math.pi
    cycle = time * 11 / 12 + phase
    reach = rest.radius
    if motion == "still":
        return rest
    if motion == "bouncing":
        height = abs(math.sin(turn * cycle))
        squash = 0.78 + 0.22 * min(1.0, height * 3)
        return Pose(rest.x, rest.y + (0.35 - height) * reach, reach, 0.0, squash)
    if motion == "sliding":
        return Pose(rest.x + (time - 0.5) * 2 * reach, rest.y, reach)
    if motion == "spinning":
        return Pose(rest.x, rest.y, reach, turn * cycle)
    if motion == "growing":
        return Pose(rest.x, rest.y, reach * (0.65 + 0.65 * time))
    if motion == "swaying":
        angle = 0.5 * math.sin(turn * (time * 11 / 8 + phase))
        return Pose(rest.x, rest.y, reach, angle, pivot=0.95)
    if motion == "circling":
        angle = turn * cycle
        return Pose(
            rest.x + 0.62 * reach * math.cos(angle), rest.y + 0.62 * reach * math.sin(angle), reach
        )
    raise ValueError(f"unknown motion {motion!r}; known: still, {', '.join(MOTIONS)}")
