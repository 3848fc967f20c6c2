"""The two small networks of a classifier judge.

They are trained on rendered ground truth, never on the generator's output.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FRAME_SIZE = 64
"""The side in pixels of the networks' input; `classifier.frames_to_input` resizes frames to it."""


def _block(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class FrameClassifier(nn.Module):
    """A classifier of single frames: which subject a frame shows, and in which style.

    Both heads share the features of six convolutions. Global mean and maximum pooling follow, so
    that a subject is recognised anywhere in the frame and a style by its texture. About 0.4 M
    parameters.

    The first layer keeps the full resolution: one stride would wipe out a style of dots or ink
    lines.
    """

    def __init__(self, subjects: int, styles: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _block(3, 16, 1),
            _block(16, 32, 2),
            _block(32, 64, 2),
            _block(64, 96, 2),
            _block(96, 160, 2),
            _block(160, 128, 1),
        )
        self.subject = nn.Linear(256, subjects)
        self.style = nn.Linear(256, styles)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map frames (B,3,64,64) in [-1,1] to logits (B,subjects) and (B,styles)."""
        features = self.features(frames)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)
        return self.subject(pooled), self.style(pooled)


class MotionClassifier(nn.Module):
    """A classifier of clips: how the subject of a clip moves.

    The input is each frame beside its difference from the clip's mean, which removes the still
    background. The features keep their 4×4 grid up to a linear layer, because a motion changes
    position and size; convolutions over time then read the track. Any number of frames. About 0.3 M
    parameters.
    """

    def __init__(self, motions: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _block(6, 24, 2),
            _block(24, 48, 2),
            _block(48, 64, 2),
            _block(64, 64, 2),
        )
        self.track = nn.Sequential(nn.Linear(64 * 4 * 4, 96), nn.ReLU(inplace=True))
        self.time = nn.Sequential(
            nn.Conv1d(96, 128, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv1d(128, 128, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.motion = nn.Linear(256, motions)

    def forward(self, clips: Tensor) -> Tensor:
        """Map clips (B,F,3,64,64) in [-1,1] to motion logits (B,motions)."""
        batch, frames = clips.shape[:2]
        moving = clips - clips.mean(1, keepdim=True)
        features = self.features(torch.cat([clips, moving], dim=2).flatten(0, 1))
        track = self.track(features.flatten(1)).unflatten(0, (batch, frames)).transpose(1, 2)
        track = self.time(track)
        return self.motion(torch.cat([track.mean(2), track.amax(2)], dim=1))
