"""State of an optimisation between two steps, as bytes: a run that is killed goes on from there.

A checkpoint is a safetensors file: never a pickle. Its metadata holds a hash of everything that
decides the run's outcome. A checkpoint of another run is refused, so what goes on from one makes
the same encoder, to the bit, as a run that was never interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from unlearn.errors import CheckpointInvalid

if TYPE_CHECKING:
    from unlearn.task import UnlearnTask
    from video.models.backbone import Backbone

VERSION = 3
"""Changes with what a checkpoint holds, or with what a step computes."""
_METADATA = "__metadata__"
_MAX_HEADER_BYTES = 16 << 20


@runtime_checkable
class Resumable(Protocol):
    """A loss whose state can be saved between two steps and be restored later.

    The state is everything that a call changes and a later call reads: random generators, turns,
    optimisers. A loss whose calls change nothing returns an empty state.
    """

    def state(self) -> dict[str, Tensor]:
        """Return the state: name → tensor. A generator's is `generator.get_state()`."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over a state that `state` returned, in a loss newly made for the same task."""
        ...


def run_hash(task: UnlearnTask, backbone: Backbone) -> str:
    """Hash all that decides the outcome of a run but the code."""
    parent = task.parent.card.digest if task.parent else None
    decisive = [
        VERSION,
        torch.__version__,
        str(backbone.device),
        str(backbone.dtype),
        backbone.text_encoder.fingerprint,
        [concept.model_dump(mode="json") for concept in task.concepts],
        parent,
        task.settings.resolved().to_json(),
        [sha256(images.tobytes()).hexdigest() for images in task.images],
    ]
    return sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def adam_state(adam: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return Adam's moments and step counts, named by the number of the parameter."""
    return {
        f"{number}.{name}": value
        for number, values in adam.state_dict()["state"].items()
        for name, value in values.items()
    }


def restore_adam(adam: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Take over what `adam_state` returned."""
    values: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        number, name = key.split(".", 1)
        values.setdefault(int(number), {})[name] = value
    adam.load_state_dict({**adam.state_dict(), "state": values})


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a part's state under names that begin with the part's."""
    return {f"{prefix}/{name}": value for name, value in state.items()}


def part(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of one part: the reverse of `prefixed`."""
    start = f"{prefix}/"
    return {name.removeprefix(start): t for name, t in state.items() if name.startswith(start)}


def to_bytes(run: str, state: Mapping[str, Tensor], share: float) -> bytes:
    """Write the state after a share of a run, 0 to 1, with the run's hash."""
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    return save(tensors, {"run": run, "share": str(share)})


def from_bytes(data: bytes, run: str) -> dict[str, Tensor]:
    """Read the state that `to_bytes` wrote. Nothing in it is ever executed.

    Raises:
        CheckpointInvalid: It is of another run, truncated, or no safetensors file.
    """
    if _metadata(data).get("run") != run:
        raise CheckpointInvalid("It belongs to a run with other settings, or on other software.")
    try:
        return load(data)
    except SafetensorError as error:
        raise CheckpointInvalid(f"It is not a whole safetensors file: {error}.") from error


def share_done(data: bytes | None) -> float:
    """Return the share of the run that a checkpoint stands for; 0 if it cannot be read."""
    try:
        share = float(_metadata(data or b"")["share"])
    except (CheckpointInvalid, KeyError, ValueError):
        return 0.0
    return share if 0 <= share <= 1 else 0.0


def _metadata(data: bytes) -> Mapping[str, str]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(_MAX_HEADER_BYTES, len(data) - 8):
        raise CheckpointInvalid("It is not a safetensors file.")
    try:
        metadata = json.loads(data[8 : 8 + length])[_METADATA]
        return {str(name): str(value) for name, value in metadata.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointInvalid("Its header cannot be read.") from error
