"""Who decides whether a clip shows a concept.

A judge looks at frames and nothing else: never at prompts, embeddings or the generator's insides.
`ClassifierJudge` is the one that comes with the built-in model; `unlearn.judges.clip` has one for
models that come without. Anything with the `Judge` protocol can take their place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from encoders import Kind
from encoders.errors import PalimpsestError
from unlearn.judges.networks import FRAME_SIZE, FrameClassifier, MotionClassifier

if TYPE_CHECKING:
    from video.models.prompt_book import PromptBook

Frames = NDArray[np.uint8]
Head = Literal["subject", "style", "motion"]
Network = TypeVar("Network", bound=nn.Module)

HEADS: Mapping[Kind, Head] = {
    "object": "subject",
    "character": "subject",
    "person": "subject",
    "style": "style",
    "motion": "motion",
}
NEITHER: Mapping[Head, str] = {"subject": "none", "style": "plain", "motion": "still"}
"""What each head says when it sees none of its labels: always the head's last output."""

MAX_FILE_BYTES = 64 * 2**20


class JudgeInvalid(PalimpsestError):
    """What should be a judge is none: a file missing, too large, pickled or not fitting."""

    code = "judge_invalid"


class UnknownConcept(PalimpsestError):
    """The judge does not know this concept, so it cannot say whether a clip shows it."""

    code = "unknown_concept"


class Judge(Protocol):
    """Says of frames whether they show a concept."""

    @property
    def labels(self) -> Mapping[Kind, Sequence[str]]:
        """Concepts it is sure to know, by kind: those whose keeping is measured. A judge with an
        open vocabulary knows others too; ask `knows`. A kind it cannot judge may be left out.
        """
        ...

    def knows(self, concept: str, kind: Kind) -> bool:
        """Whether `shows` can be asked for the concept."""
        ...

    def shows(self, frames: Frames, concept: str, kind: Kind) -> list[bool]:
        """Whether each of the frames (F,H,W,3) uint8 shows the concept. A motion is read off the
        whole clip, so for kind "motion" all F answers are the same. Raises UnknownConcept.
        """
        ...


class JudgeConfig(BaseModel):
    """What `config.json` holds: labels in the order of the networks' outputs, and the sureness each
    one needs.

    A head's outputs are its kinds' labels in the order object, character, person, then the head's
    word for "neither": `outputs("subject")`, `outputs("style")` and `outputs("motion")` list them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    labels: dict[Kind, list[str]]
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Label → least probability at which it counts as seen (it must also be the likeliest). Default
    0.5."""

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
        """The head's labels in the order of the network's outputs, "neither" last."""
        return [n for kind in HEADS if HEADS[kind] == head for n in self.labels[kind]] + [
            NEITHER[head]
        ]


class ClassifierJudge:
    """Two small classifiers behind the `Judge` protocol.

    A concept is seen where its label is the likeliest one *and* its softmax probability reaches the
    label's threshold; otherwise the answer is "neither" (`NEITHER`). Runs on the CPU: about a
    millisecond a frame.
    """

    def __init__(
        self, config: JudgeConfig, frame: FrameClassifier, motion: MotionClassifier
    ) -> None:
        self.config = config
        self._frame = frame.eval().requires_grad_(False)
        self._motion = motion.eval().requires_grad_(False)

    @classmethod
    def untrained(cls, config: JudgeConfig) -> ClassifierJudge:
        """A judge with fresh random weights of the shapes that `config` asks for."""
        frame = FrameClassifier(len(config.outputs("subject")), len(config.outputs("style")))
        return cls(config, frame, MotionClassifier(len(config.outputs("motion"))))

    @classmethod
    def load(cls, directory: Path | str) -> ClassifierJudge:
        """Reads `config.json` and `model.safetensors`; raises JudgeInvalid for anything else than a
        judge saved here.
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
            raise JudgeInvalid(f"{weights_file} holds tensors of no network of ours: {stray[:3]}")
        _fill(judge._frame, tensors, "frame.", weights_file)
        _fill(judge._motion, tensors, "motion.", weights_file)
        return judge

    def save(self, directory: Path | str) -> None:
        """Writes `config.json` and `model.safetensors` (in half precision) into `directory`."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, Tensor] = {}
        for prefix, network in (("frame.", self._frame), ("motion.", self._motion)):
            for name, tensor in network.state_dict().items():
                value = tensor.half() if tensor.is_floating_point() else tensor
                tensors[prefix + name] = value.contiguous()
        save_file(tensors, directory / "model.safetensors")
        (directory / "config.json").write_text(self.config.model_dump_json(indent=2) + "\n")

    @property
    def frame_network(self) -> FrameClassifier:
        """The network behind subjects and styles, for training."""
        return self._frame

    @property
    def motion_network(self) -> MotionClassifier:
        """The network behind motions."""
        return self._motion

    @property
    def labels(self) -> Mapping[Kind, Sequence[str]]:
        return self.config.labels

    def knows(self, concept: str, kind: Kind) -> bool:
        return concept in self.config.labels[kind]

    def shows(self, frames: Frames, concept: str, kind: Kind) -> list[bool]:
        if not self.knows(concept, kind):
            known = ", ".join(self.config.labels[kind])
            message = f"the judge knows no {kind} {concept!r}; it knows {known}"
            raise UnknownConcept(message, param="concept")
        return [label == concept for label in self.read(frames, HEADS[kind])]

    def read(self, frames: Frames, head: Head) -> list[str]:
        """What the head sees in each of the frames (F,H,W,3) uint8: a label, or the head's word for
        "neither". The motion head looks at all frames at once and says the same F times.
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
        """Softmax probabilities over `config.outputs(head)`: (F, outputs), or (1, outputs) for the
        motion head.
        """
        inputs = frames_to_input(frames)
        with torch.inference_mode():
            if head == "motion":
                logits = self._motion(inputs[None])
            else:
                subject, style = self._frame(inputs)
                logits = subject if head == "subject" else style
            return logits.softmax(-1).numpy()


def load_judge(source: Path | str, book: PromptBook) -> Judge:
    """Loads the judge at `source`, whichever it is.

    Args:
        source: the directory of a `ClassifierJudge` or of a CLIP, told apart by `config.json`, or
            the Hugging Face Hub id of a CLIP.
        book: the prompts of the model whose frames it shall judge.

    Raises:
        JudgeInvalid: it is neither, or cannot be used.
    """
    from unlearn.judges.clip import ClipJudge

    directory = Path(source)
    # Every transformers model names its type; a ClassifierJudge's config has no such entry.
    if directory.is_dir() and "model_type" not in read_config(directory):
        return ClassifierJudge.load(directory)
    return ClipJudge.load(source, book)


def read_config(directory: Path) -> dict[str, Any]:
    """A judge's `config.json`. Raises JudgeInvalid if missing, too large or no JSON object."""
    file = directory / "config.json"
    check_file(file, MAX_FILE_BYTES)
    try:
        config = json.loads(file.read_bytes())
    except ValueError as error:
        raise JudgeInvalid(f"{file}: {error}") from error
    if not isinstance(config, dict):
        raise JudgeInvalid(f"{file} is no JSON object")
    return cast(dict[str, Any], config)


def check_file(file: Path, limit: int) -> None:
    """Raises JudgeInvalid if the file is missing or has more than `limit` bytes."""
    if not file.is_file():
        raise JudgeInvalid(f"{file} is missing; a judge has config.json and model.safetensors")
    if file.stat().st_size > limit:
        raise JudgeInvalid(f"{file} is larger than {limit} bytes")


def check_frames(frames: Frames) -> None:
    """Raises ValueError unless the frames are uint8 (F,H,W,3), at least one."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) == 0:
        raise ValueError(f"frames must be uint8 (F,H,W,3), not {frames.dtype} {frames.shape}")


def frames_to_input(frames: Frames) -> Tensor:
    """uint8 frames (F,H,W,3) of any size → float32 (F,3,64,64) in [-1,1], what the networks expect.
    Raises ValueError for another dtype or shape.
    """
    check_frames(frames)
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1
    if pixels.shape[-2:] == (FRAME_SIZE, FRAME_SIZE):
        return pixels
    return functional.interpolate(pixels, (FRAME_SIZE, FRAME_SIZE), mode="bilinear", antialias=True)


def _fill(network: nn.Module, tensors: Mapping[str, Tensor], prefix: str, file: Path) -> None:
    """Loads `tensors` under `prefix` into `network`; every name and shape must be exactly the
    network's own.
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
