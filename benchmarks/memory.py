"""Device memory that each model needs to serve and to unlearn: `make bench-memory`.

The figures are computed, not measured. Networks are made from their published configurations on
torch's meta device, where operations have shapes and no values. The bytes of all live tensors are
added up, operation by operation. Attention is counted as a fused kernel. An allocator's fragments
and a convolution's work space are not counted: allow a fifth more.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import typer
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.results import show, write
from benchmarks.true_models import MODELS, TrueModel
from encoders import low_rank
from encoders.activation_checkpointing import call_checkpointed, is_large
from encoders.per_layer_overrides import per_layer_overrides
from unlearn.layers import select
from unlearn.methods import objectives
from unlearn.methods.adversary import ATTACKERS
from unlearn.settings import T5_RANK, UnlearnSettings
from video.models import autoencoder
from video.models.denoiser import Denoiser, OneFrame
from video.models.placement import Placement

GIB = 2**30
PROMPT_LENGTH = 16
"""Tokens of a prompt, with its start and end, for models that do not compute padding."""


def main() -> None:
    """Write `benchmarks/results/memory.json`."""
    found = {name: measure(model) for name, model in MODELS.items()}
    show(
        "GiB of a device's memory, computed",
        ("", *next(iter(found.values()))),
        [[name, *(f"{value:.1f}" for value in row.values())] for name, row in found.items()],
    )
    write("memory", found)


def measure(model: TrueModel) -> dict[str, float]:
    """Return GiB of weights, and of peaks: all on the device, and offloaded when not in use."""
    with torch.device("meta"), fused_attention():
        text_encoder = model.text_encoder().eval().requires_grad_(False)
        video, twin = model.denoisers(Placement("meta"))
        weights = {
            "text encoder": _bytes(text_encoder),
            "denoiser": _bytes(video.network),
            "autoencoder": _bytes(video.autoencoder.module),
        }
        shares = {p for d in (video,) for p in d.network.parameters()}
        image = twin or OneFrame(video)
        weights["twin"] = sum(
            tensor.nbytes
            for part in ((twin.network, twin.autoencoder.module) if twin else ())
            for tensor in part.parameters()
            if tensor not in shares and part is not video.autoencoder.module
        )
        work = {
            "text": peak(lambda: _encode(model, text_encoder)),
            "step": peak(lambda: _step(model, text_encoder, video)),
            "decode": peak(lambda: video.decode(video.noise(0, model.frames).to("meta"))),
            "redirect": peak(lambda: _redirect(model, text_encoder)),
            "ascent": peak(lambda: _ascent(model, text_encoder, image)),
        }
    serving = sum(weights.values()) + max(work[name] for name in ("text", "step", "decode"))
    offloaded = max(
        weights["text encoder"] + work["text"],
        weights["denoiser"] + work["step"],
        weights["autoencoder"] + work["decode"],
    )
    learning = weights["twin"] or weights["denoiser"]
    found = {
        **{f"{name}, weights": size for name, size in weights.items()},
        "serving": serving,
        "serving, offloaded": offloaded,
        "redirect": weights["text encoder"] + work["redirect"],
        "ascent": weights["text encoder"] + learning + work["ascent"],
    }
    return {name: round(size / GIB, 2) for name, size in found.items()}


def peak(action: Callable[[], object]) -> int:
    """Return the largest number of bytes that the tensors made by an action take at a time."""
    with LiveBytes() as live:
        action()
    return live.peak


class LiveBytes(TorchDispatchMode):
    """A count of the bytes that operations allocate, until their storage is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._bytes = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        for given in tree_leaves((args, kwargs)):
            if isinstance(given, Tensor):
                self._known.add(given.untyped_storage())  # weights are counted apart
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and tensor.untyped_storage() not in self._known:
                storage = tensor.untyped_storage()
                self._known.add(storage)
                self._bytes += storage.nbytes()
                self.peak = max(self.peak, self._bytes)
                weakref.finalize(storage, self._freed, storage.nbytes())
        return made

    def _freed(self, size: int) -> None:
        self._bytes -= size


class _Fused(torch.autograd.Function):
    """Attention that saves its inputs and its output for the backward pass, and no scores."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        query, key, value, _ = ctx.saved_tensors
        return query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape)


@contextmanager
def fused_attention() -> Generator[None]:
    """Count attention as a fused kernel: on the meta device torch would allocate all scores.

    Decoded pixels stay tensors too, since the meta device has no values to convert.
    """
    functional: Any = torch.nn.functional
    attention, frames = functional.scaled_dot_product_attention, autoencoder.to_frames
    functional.scaled_dot_product_attention = lambda query, key, value, *_, **__: _Fused.apply(
        query, key, value
    )
    autoencoder.to_frames = lambda pixels: pixels  # pyright: ignore
    try:
        yield
    finally:
        functional.scaled_dot_product_attention, autoencoder.to_frames = attention, frames


def _bytes(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in module.parameters())


def _tokens(model: TrueModel, prompts: int) -> Tensor:
    length = model.prompt_tokens if model.attended else PROMPT_LENGTH
    return torch.zeros(prompts, length, dtype=torch.long)


@torch.no_grad()
def _encode(model: TrueModel, text_encoder: Any) -> None:
    """Encode a prompt with an encoder's factors over the base."""
    base = dict(text_encoder.named_parameters())
    factors = _factors(text_encoder, UnlearnSettings().schedule().rank)
    tokens = _tokens(model, 1)
    if not is_large(text_encoder):
        functional_call(text_encoder, low_rank.apply(base, factors), (tokens,))
        return

    def laid(name: str) -> Tensor:
        pair = {each: factors[each] for each in (name + low_rank.A, name + low_rank.B)}
        return low_rank.apply(base, pair)[name]

    names = {low_rank.parameter_of(name) for name in factors}
    with per_layer_overrides(text_encoder, {name: partial(laid, name) for name in names}):
        text_encoder(tokens)


@torch.no_grad()
def _step(model: TrueModel, text_encoder: Any, denoiser: Denoiser) -> None:
    """Take one denoising step of one request with guidance."""
    latents = denoiser.noise(0, model.frames).to("meta").expand(2, -1, -1, -1, -1)
    width = text_encoder.config.hidden_size
    denoiser.predict(latents, torch.zeros(2), torch.zeros(2, model.prompt_tokens, width))


def _factors(text_encoder: nn.Module, rank: int) -> dict[str, Tensor]:
    """Return zero factors of the matrices that are trained by default."""
    base = dict(text_encoder.named_parameters())
    found: dict[str, Tensor] = {}
    for name in select(base, UnlearnSettings().layers):
        if base[name].ndim == 2:
            rows, columns = base[name].shape
            found[name + low_rank.A] = torch.zeros(rank, columns, requires_grad=True)
            found[name + low_rank.B] = torch.zeros(rows, rank, requires_grad=True)
    return found


def _learn(
    text_encoder: nn.Module,
    tokens: Tensor,
    rank: int,
    loss: Callable[[Tensor], Tensor],
    *,
    attackers: int = 0,
) -> None:
    trained = _factors(text_encoder, rank)
    adam = torch.optim.Adam(trained.values(), foreach=False)
    base = dict(text_encoder.named_parameters())
    more: dict[str, Tensor] = {}
    if attackers:  # their tokens are rows in a copy of the token embedding
        matrix = next(
            name for name in base if name.endswith(("shared.weight", "token_embedding.weight"))
        )
        rows = torch.zeros(attackers, base[matrix].shape[1], requires_grad=True)
        carriers = torch.zeros(attackers, dtype=torch.long)
        more = {matrix: base[matrix].index_put((carriers,), rows.to(base[matrix].dtype))}

    def call(input_ids: Tensor) -> Tensor:
        laid = {**low_rank.apply(base, trained), **more}
        return functional_call(text_encoder, laid, (input_ids,)).last_hidden_state

    with torch.enable_grad():
        together = (
            call_checkpointed if is_large(text_encoder) else lambda call, inputs: call(**inputs)
        )
        loss(together(call, {"input_ids": tokens})).backward()
    adam.step()


def _redirect(model: TrueModel, text_encoder: nn.Module) -> None:
    """Take a step of the default method, with `unlearn.methods.redirect`'s number of prompts."""
    settings = UnlearnSettings()
    schedule = settings.schedule()
    # The attackers' prompts are in the same backward pass, so their activations count too.
    prompts = schedule.batch_size + settings.retain_batch + 1 + ATTACKERS
    _learn(
        text_encoder,
        _tokens(model, prompts),
        schedule.rank,
        lambda embeddings: embeddings.float().square().mean(),
        attackers=ATTACKERS,
    )


def _ascent(model: TrueModel, text_encoder: nn.Module, image: Denoiser) -> None:
    """Take a step of ascent on stills through the twin, when its autoencoder is off the device."""
    schedule = UnlearnSettings(method="ascent").schedule()
    count = schedule.batch_size
    latents = image.noise(0, None).to("meta").expand(count, -1, -1, -1)

    def loss(embeddings: Tensor) -> Tensor:
        padded = embeddings.new_zeros(count, model.prompt_tokens, embeddings.shape[2])
        whole = torch.cat([embeddings, padded[:, embeddings.shape[1] :]], 1)
        x = objectives.Noised(latents, torch.zeros(count), latents)
        return objectives.ascent(image, x, whole)

    rank = schedule.rank or T5_RANK
    _learn(text_encoder, _tokens(model, count), rank, loss)


if __name__ == "__main__":
    typer.run(main)
