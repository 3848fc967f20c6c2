"""The classifier judge, which comes with the built-in model: two networks and their labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from encoders import Kind
from encoders.digest import fingerprint
from unlearn.judges.base import JudgeIdentity, JudgeInvalid, UnknownConcept
from unlearn.judges.files import MAX_FILE_BYTES, check_file, read_config
from unlearn.judges.networks import FRAME_SIZE, FrameClassifier, MotionClassifier
from video.frames import Frames, check_frames

Head = Literal["subject", "style", "motion"]

HEADS: Mapping[Kind, Head] = {
    "object": "subject",
    "character": "subject",
    "person": "subject",
    "style": "style",
    "motion": "motion",
}
NEITHER: Mapping[Head, str] = {"subject": "none", "style": "plain", "motion": "still"}
"""Each head's label for "none of the others": always its last output."""

VERSION = "1"
"""The version of the rule that turns weights and thresholds into answers."""


class JudgeConfig(BaseModel):
    """The content of `config.json`: labels in the order of the networks' outputs, and thresholds.

    A head's outputs are its kinds' labels in the order object, character, person, then the head's
    `NEITHER` label: `outputs("subject")`, `outputs("style")` and `outputs("motion")` list them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    labels: dict[Kind, list[str]]
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Label → the least probability, in (0, 1], at which it counts as seen (it must also be the
    likeliest); 0.5 for a label that is not listed."""

    @model_validator(mode="after")
    def _consistent(self) -> JudgeConfig:
        names = [name for kind in HEADS for name in self.labels.get(kind, [])]
        if set(self.labels) != set(HEADS):
            raise ValueError(
                f"labels must name the kinds {sorted(HEADS)}, not {sorted(self.labels)}"
            )
        if len(set(names)) != len(names) or set(names) & set(NEITHER.values()):
            raise ValueError(
                f"labels must differ from each other and from {sorted(NEITHER.values())}"
            )
        if unknown := set(self.thresholds) - set(names):
            raise ValueError(f"thresholds for labels that do not exist: {sorted(unknown)}")
        if bad := [name for name, value in self.thresholds.items() if not 0 < value <= 1]:
            raise ValueError(f"thresholds must lie in (0, 1], not so for {sorted(bad)}")
        return self

    def outputs(self, head: Head) -> list[str]:
        """List the head's labels in the order of the network's outputs, `NEITHER` last."""
        return [n for kind in HEADS if HEADS[kind] == head for n in self.labels[kind]] + [
            NEITHER[head]
        ]


class ClassifierJudge:
    """Two small classifiers behind the `Judge` protocol.

    A concept is seen where its label is the likeliest one *and* its softmax probability reaches the
    label's threshold; otherwise the answer is `NEITHER`. Runs on the CPU: about a millisecond a
    frame.
    """

    def __init__(
        self, config: JudgeConfig, frame: FrameClassifier, motion: MotionClassifier
    ) -> None:
        self.config = config
        self._frame = frame.eval().requires_grad_(False)
        self._motion = motion.eval().requires_grad_(False)

    @classmethod
    def untrained(cls, config: JudgeConfig) -> ClassifierJudge:
        """Make a judge with fresh random weights of the shapes that `config` asks for."""
        frame = FrameClassifier(len(config.outputs("subject")), len(config.outputs("style")))
        return cls(config, frame, MotionClassifier(len(config.outputs("motion"))))

    @classmethod
    def load(cls, directory: Path | str) -> ClassifierJudge:
        """Read `config.json` and `model.safetensors` as `save` writes them.

        Raises:
            JudgeInvalid: a file is missing, too large, of another format or does not fit the other.
        """
        directory = Path(directory)
        config_file, weights_file = directory / "config.json", directory / "model.safetensors"
        try:
            config = JudgeConfig.model_validate(read_config(directory))
        except ValidationError as error:
            raise JudgeInvalid(f"{config_file}: {error}") from error
        check_file(weights_file, MAX_FILE_BYTES)
        judge = cls.untrained(config)
        try:
            tensors = load_file(weights_file)
        except Exception as error:  # safetensors raises its own class, OSError or ValueError
            raise JudgeInvalid(f"{weights_file} is not a safetensors file: {error}") from error
        known = {"frame", "motion"}
        if stray := sorted(name for name in tensors if name.partition(".")[0] not in known):
            raise JudgeInvalid(
                f"{weights_file} holds tensors that belong to neither the frame nor the motion "
                f"network: {stray[:3]}"
            )
        _fill(judge._frame, tensors, "frame.", weights_file)
        _fill(judge._motion, tensors, "motion.", weights_file)
        return judge

    def save(self, directory: Path | str) -> None:
        """Write `config.json` and `model.safetensors` (in half precision) into `directory`."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        tensors = {
            name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
            for name, tensor in self._tensors().items()
        }
        save_file(tensors, directory / "model.safetensors")
        (directory / "config.json").write_text(self.config.model_dump_json(indent=2) + "\n")

    @property
    def identity(self) -> JudgeIdentity:
        """Name, version and hash; the hash covers the config and the weights in half precision."""
        hashed = f"{self.config.model_dump_json()}\0{fingerprint(self._tensors())}"
        return JudgeIdentity(
            name="ClassifierJudge",
            version=VERSION,
            hash=f"sha256:{sha256(hashed.encode()).hexdigest()}",
        )

    @property
    def frame_network(self) -> FrameClassifier:
        """The network behind subjects and styles, for training."""
        return self._frame

    @property
    def motion_network(self) -> MotionClassifier:
        """The network behind motions, for training."""
        return self._motion

    @property
    def labels(self) -> Mapping[Kind, Sequence[str]]:
        return self.config.labels

    def knows(self, concept: str, kind: Kind) -> bool:
        return concept in self.config.labels[kind]

    def shows(
        self, frames: Frames, concept: str, kind: Kind, base: Frames | None = None
    ) -> list[bool]:
        if not self.knows(concept, kind):
            known = ", ".join(self.config.labels[kind])
            message = f"the judge knows no {kind} {concept!r}; it knows {known}"
            raise UnknownConcept(message, param="concept")
        return [label == concept for label in self.read(frames, HEADS[kind])]

    def seen(self, frames: Frames, kinds: Collection[Kind]) -> dict[tuple[str, Kind], list[bool]]:
        """Tell for each label of some kinds, and each frame (F,H,W,3), if it shows it."""
        words: dict[Head, list[str]] = {}
        for kind in kinds:
            if HEADS[kind] not in words:
                words[HEADS[kind]] = self.read(frames, HEADS[kind])
        return {
            (label, kind): [word == label for word in words[HEADS[kind]]]
            for kind in kinds
            for label in self.config.labels[kind]
        }

    def read(self, frames: Frames, head: Head) -> list[str]:
        """Return what the head sees in each of the frames (F,H,W,3) uint8: a label or `NEITHER`.

        The motion head looks at all frames at once and gives the same answer F times.
        """
        probabilities = self.probabilities(frames, head)
        outputs = self.config.outputs(head)
        words: list[str] = []
        for row in probabilities:
            label = outputs[int(row.argmax())]
            sure = float(row.max()) >= self.config.thresholds.get(label, 0.5)
            words.append(label if sure else NEITHER[head])
        return words * len(frames) if head == "motion" else words

    def probabilities(self, frames: Frames, head: Head) -> NDArray[np.float32]:
        """Compute the softmax over `config.outputs(head)` for frames (F,H,W,3) uint8.

        Returns:
            (F, outputs), or (1, outputs) for the motion head.
        """
        inputs = frames_to_input(frames)
        with torch.inference_mode():
            if head == "motion":
                logits = self._motion(inputs[None])
            else:
                subject, style = self._frame(inputs)
                logits = subject if head == "subject" else style
            return logits.softmax(-1).numpy()

    def _tensors(self) -> dict[str, Tensor]:
        """Return both networks' tensors under the names that they have in `model.safetensors`."""
        networks = (("frame.", self._frame), ("motion.", self._motion))
        return {
            prefix + name: tensor
            for prefix, network in networks
            for name, tensor in network.state_dict().items()
        }


def frames_to_input(frames: Frames) -> Tensor:
    """Convert uint8 frames (F,H,W,3) of any size to the networks' input.

    Returns:
        float32 (F,3,64,64) in [-1,1].

    Raises:
        ValueError: another dtype or shape.
    """
    check_frames(frames)
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1
    if pixels.shape[-2:] == (FRAME_SIZE, FRAME_SIZE):
        return pixels
    return functional.interpolate(pixels, (FRAME_SIZE, FRAME_SIZE), mode="bilinear", antialias=True)


def _fill(network: nn.Module, tensors: Mapping[str, Tensor], prefix: str, file: Path) -> None:
    """Load the tensors under `prefix` into `network`.

    Raises:
        JudgeInvalid: names or shapes are not exactly the network's own, or values are not finite.
    """
    wanted: dict[str, Any] = network.state_dict()
    found = {
        name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)
    }
    if wanted.keys() != found.keys():
        differing = sorted(wanted.keys() ^ found.keys())
        raise JudgeInvalid(
            f"{file}: the {prefix[:-1]} network's tensors differ in name: {differing[:3]}"
        )
    for name, value in found.items():
        if value.shape != wanted[name].shape:
            raise JudgeInvalid(
                f"{file}: {prefix}{name} is {tuple(value.shape)}, not {tuple(wanted[name].shape)}"
            )
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise JudgeInvalid(f"{file}: {prefix}{name} holds values that are not finite")
    network.load_state_dict(found)
