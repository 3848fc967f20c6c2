"""The base text encoder: loaded once, never written to, and called with or without overrides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import pad

from encoders import low_rank
from encoders.activation_checkpointing import call_checkpointed, is_large
from encoders.digest import CANONICAL_DTYPE, canonical, effective, fingerprint
from encoders.errors import EncoderInvalid
from encoders.per_layer_overrides import per_layer_overrides

if TYPE_CHECKING:
    from transformers import PreTrainedModel


SAFE_MAGNITUDE = torch.finfo(CANONICAL_DTYPE).max / 2
"""Magnitude up to which a number stays finite in float16, even if it is rounded to a coarser dtype
(bfloat16) first."""


Padding = Literal["kept", "dropped", "masked"]
"""Treatment of the tokens that pad a prompt. *kept*: they are tokens like any other (CLIP,
CogVideoX). *dropped*: the prompt's tokens attend to them, but their embeddings are returned as zero
(LTX). *masked*: in addition, no token attends to them (Wan, PixArt, Latte)."""


class TextEncoder:
    """The base text model (CLIP, T5, …), whose tensors overrides replace for the length of a call.

    Nothing is merged, moved or edited: to swap encoders is to pass another mapping, and
    `overrides=None` is the base. Parameters have *canonical names*, those of checkpoints on the
    Hub: transformers 5 names the parameters of a `CLIPTextModel` without the `text_model.` that
    every checkpoint has.

    Args:
        module: The text model as loaded. This object owns it from now on: it puts it into eval mode
            and turns gradients off.
        device: Device to compute on; as loaded if None.
        dtype: Dtype to compute in; as loaded if None. The fingerprint is taken before the module is
            moved and cast, so that it depends on neither.
        padding: Treatment of the tokens that pad a prompt.
        pad_token: Id of the padding token; needed unless padding is kept.
        fetch: Called with this object before each use. It may move the base (`to`) to the device to
            compute on.
    """

    def __init__(
        self,
        module: PreTrainedModel,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        padding: Padding = "kept",
        pad_token: int | None = None,
        fetch: Callable[[TextEncoder], None] = lambda _: None,
    ) -> None:
        if padding != "kept" and pad_token is None:
            raise ValueError(f"padding {padding!r} needs pad_token, the id of the padding token")
        self._padding: Padding = padding
        self._pad_token = pad_token
        self._fetch = fetch
        self._own_names = _own_names(module)
        self.fingerprint: str = fingerprint(self._named(module))
        """`sha256:…` over the base's tensors; `encoders.Card.base` refers to it."""
        self.module = module
        nn.Module.eval(module).requires_grad_(False)
        nn.Module.to(module, device=device, dtype=dtype)
        self._is_large = is_large(module)
        self._tensors = self._named(self.module)
        self._parameters = MappingProxyType(self._tensors)
        self.shapes: Mapping[str, torch.Size] = MappingProxyType(
            {name: parameter.shape for name, parameter in self._parameters.items()}
        )
        self.names = _checkpoint_names(module, self._own_names)
        """Name that a checkpoint may have for a parameter → its canonical name."""
        vectors = module.get_input_embeddings().weight
        self.token_embedding = next(
            name for name, own in self._own_names.items() if module.get_parameter(own) is vectors
        )
        """Canonical name of the token embedding, a matrix (V, D)."""
        self.width: int = self.shapes[self.token_embedding][1]
        """D, the numbers of an embedding."""
        self._max_abs: dict[str, float] = {}  # of parameters, each computed when first needed
        # functional_call replaces the module's tensors for the length of the call: two threads in
        # it at once would see each other's encoder.
        self._lock = Lock()

    def parameters(self) -> Mapping[str, Tensor]:
        """Return the base's tensors by canonical name, in the module's order, to read only."""
        return self._parameters

    def encode(self, input_ids: Tensor, overrides: Mapping[str, Tensor] | None = None) -> Tensor:
        """Embed prompts with the base, or with the encoder that `overrides` makes of it.

        The result is bit for bit that of a text encoder with those weights loaded. It is
        differentiable with respect to `overrides`; call it under `torch.no_grad()` where no
        gradient is needed.

        Args:
            input_ids: Token ids, (B, L).
            overrides: Canonical name → tensor of the base's shape, or the factors of its change
                (`encoders.low_rank`), in any floating dtype; computed in the base's. They have
                passed `check`: an unknown name is a KeyError here.

        Returns:
            The last hidden state after the final norm, (B, L, D), in the base's dtype; zero at
            padding that is not kept.
        """
        self.fetch()
        input_ids = input_ids.to(self.device)
        if self._padding == "kept":
            return self._hidden(overrides, input_ids=input_ids)
        mask = (input_ids != self._pad_token).long()
        if self._padding == "dropped":
            embeddings = self._hidden(overrides, input_ids=input_ids)
        else:
            # Masked tokens need not be computed: of 512 tokens, a prompt has a dozen.
            longest = max(1, int(mask.sum(1).max()))
            short = {"input_ids": input_ids[:, :longest], "attention_mask": mask[:, :longest]}
            embeddings = self._hidden(overrides, **short)
            embeddings = pad(embeddings, (0, 0, 0, input_ids.shape[1] - longest))
        return embeddings.masked_fill(mask.unsqueeze(2) == 0, 0)

    def _hidden(self, overrides: Mapping[str, Tensor] | None, **inputs: Tensor) -> Tensor:
        def call(**part: Tensor) -> Tensor:
            return self.forward(overrides, **part).last_hidden_state

        return call_checkpointed(call, inputs) if self._is_large else call(**inputs)

    def forward(self, overrides: Mapping[str, Tensor] | None, **inputs: Any) -> Any:
        """Return the text model's whole output for these inputs, with the overrides applied."""
        overrides = overrides or {}
        if self._is_large and not torch.is_grad_enabled():
            with self._lock, per_layer_overrides(self.module, self._deferred(overrides)):
                return self.module(**inputs)
        applied = {
            self._own_names[name]: tensor
            for name, tensor in low_rank.apply(self._parameters, overrides).items()
        }
        with self._lock:
            # A tied parameter (T5's token embedding) has one name here; the call ties the others.
            return functional_call(self.module, applied, args=(), kwargs=inputs)

    def _deferred(self, overrides: Mapping[str, Tensor]) -> dict[str, Callable[[], Tensor]]:
        """Return the module's own parameter name → a function that makes the overridden tensor."""
        by_parameter: dict[str, dict[str, Tensor]] = {}
        for name, tensor in overrides.items():
            by_parameter.setdefault(low_rank.parameter_of(name), {})[name] = tensor
        return {
            self._own_names[parameter]: partial(self._applied, parameter, of_it)
            for parameter, of_it in by_parameter.items()
        }

    def _applied(self, parameter: str, overrides: Mapping[str, Tensor]) -> Tensor:
        return low_rank.apply(self._parameters, overrides)[parameter]

    def fetch(self) -> None:
        """Move the base to the device that it computes on, if it is elsewhere."""
        self._fetch(self)

    def to(self, device: torch.device | str) -> None:
        """Move the base to another device; overrides are moved to it in each call."""
        nn.Module.to(self.module, device=device)
        self._tensors.update(self._named(self.module))

    @property
    def device(self) -> torch.device:
        """Device that the base is on."""
        return next(iter(self._parameters.values())).device

    def effective(self, overrides: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return trained overrides as they are stored and served.

        They are float16 on the CPU, without those that equal the base. Overrides pass through here
        before they are judged or published.

        Raises:
            EncoderInvalid: See `check`.
        """
        self.check(overrides)
        return effective(self._parameters, overrides)

    def check(self, overrides: Mapping[str, Tensor]) -> None:
        """Refuse overrides that this base must not be called with.

        Shapes have to be equal, because torch broadcasts some wrong ones silently. Overrides that
        change nothing are refused too, because their user would believe that a concept is gone.

        Raises:
            EncoderInvalid: They have an unknown name, another shape, a value that is not finite in
                float16, or no tensor that differs from the base.
        """
        for name, tensor in overrides.items():
            self._check_tensor(name, tensor, overrides)
        differs = False
        for parameter in dict.fromkeys(map(low_rank.parameter_of, overrides)):
            is_finite = self._bound(parameter, overrides) < SAFE_MAGNITUDE
            # Once one tensor differs, a parameter that cannot leave float16 need not be multiplied
            # out: the products take most of the time that it takes to load a large encoder.
            if differs and is_finite:
                continue
            for rows, tensor in low_rank.exact_rows(self._parameters, overrides, parameter):
                if not torch.isfinite(tensor).all():
                    raise EncoderInvalid(f"Tensor {parameter!r} is not finite in float16.")
                differs |= not torch.equal(tensor, canonical(self._parameters[parameter][rows]))
                if differs and is_finite:
                    break
        if not differs:
            raise EncoderInvalid(
                "The overrides change nothing: every tensor equals the base's in float16 or in the "
                "precision the base is computed in."
            )

    def _bound(self, parameter: str, overrides: Mapping[str, Tensor]) -> float:
        if parameter not in self._max_abs:
            self._max_abs[parameter] = low_rank.max_abs(self._parameters[parameter])
        return low_rank.bound(overrides, parameter, self._max_abs[parameter])

    def _check_tensor(self, name: str, tensor: Tensor, overrides: Mapping[str, Tensor]) -> None:
        parameter = low_rank.parameter_of(name)
        expected = self.shapes.get(parameter)
        if expected is None:
            raise EncoderInvalid(
                f"Unknown tensor {name!r}: the base text encoder has no such parameter (it has "
                f"{len(self.shapes)}, such as {next(iter(self.shapes))!r})."
            )
        if not tensor.is_floating_point():
            raise EncoderInvalid(
                f"Tensor {name!r} is {tensor.dtype}; overrides are floating-point."
            )
        if name == parameter:
            if tensor.shape != expected:
                raise EncoderInvalid(
                    f"Tensor {name!r} has shape {tuple(tensor.shape)}; the base's has "
                    f"{tuple(expected)}, and they must be equal."
                )
        else:
            self._check_factor(name, parameter, overrides)
        if not torch.isfinite(tensor.detach().to(CANONICAL_DTYPE)).all():
            raise EncoderInvalid(f"Tensor {name!r} holds a value that is not finite in float16.")

    def _check_factor(self, name: str, parameter: str, overrides: Mapping[str, Tensor]) -> None:
        a, b = overrides.get(parameter + low_rank.A), overrides.get(parameter + low_rank.B)
        if a is None or b is None or parameter in overrides:
            raise EncoderInvalid(
                f"Tensor {name!r} is a factor, but {parameter!r} has to be overridden either by "
                f"both factors, {low_rank.A} and {low_rank.B}, or whole."
            )
        expected = self.shapes[parameter]
        fits = len(expected) == 2 and a.ndim == b.ndim == 2 and a.shape[0] == b.shape[1]
        if not fits or (b.shape[0], a.shape[1]) != expected or not 1 <= len(a) <= min(expected):
            raise EncoderInvalid(
                f"The factors of {parameter!r} have shapes {tuple(b.shape)} and {tuple(a.shape)}; "
                f"their product must have the parameter's shape {tuple(expected)}, and a rank from "
                "1 to the smaller side."
            )

    def _named(self, module: PreTrainedModel) -> dict[str, Tensor]:
        own = dict(module.named_parameters())
        return {name: own[own_name].detach() for name, own_name in self._own_names.items()}


def _own_names(module: PreTrainedModel) -> Mapping[str, str]:
    """Return canonical name → the module's own name of every parameter; a tied one only once."""
    is_clip = any(base.__name__ == "CLIPTextModel" for base in type(module).__mro__)
    prefix = "text_model."
    return MappingProxyType(
        {
            prefix + name if is_clip and not name.startswith(prefix) else name: name
            for name, _ in module.named_parameters()
        }
    )


def _checkpoint_names(module: PreTrainedModel, own_names: Mapping[str, str]) -> Mapping[str, str]:
    """Return every name that a checkpoint may have for a parameter → its canonical name.

    These are the canonical names, the module's own, and the other names of tied parameters (T5's
    `encoder.embed_tokens.weight`, in older checkpoints).
    """
    canonical_of = {module.get_parameter(own): name for name, own in own_names.items()}
    aliases = module.named_parameters(remove_duplicate=False)
    names = {own: canonical_of[parameter] for own, parameter in aliases}
    return MappingProxyType(names | {name: name for name in own_names})
