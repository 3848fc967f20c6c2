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
from encoders.activation_checkpointing import in_parts, is_large
from encoders.digest import CANONICAL_DTYPE, canonical, effective, fingerprint
from encoders.errors import EncoderInvalid
from encoders.per_layer_overrides import laid_in_turn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


SAFE = torch.finfo(CANONICAL_DTYPE).max / 2
"""Far enough within float16 to stay there when rounded to a coarser dtype (bfloat16) first."""


Padding = Literal["kept", "dropped", "masked"]
"""What becomes of the tokens that fill a prompt up. *kept*: they are tokens like any other (CLIP,
CogVideoX). *dropped*: the prompt's own attend to them, and nobody is given their embeddings, which
are zero (LTX). *masked*: nobody attends to them either (Wan, PixArt, Latte)."""


class TextEncoder:
    """A text model (CLIP, T5, …) to which an encoder's overrides are laid for the length of a call.

    Nothing is merged, moved or edited: a swap is another mapping, and ``overrides=None`` is the
    base. Parameters go by *canonical names*, those of checkpoints on the Hub: transformers 5 names
    the parameters of a ``CLIPTextModel`` without the ``text_model.`` that every checkpoint has.

    Args:
        module: the text model as loaded. It belongs to this object from now on: put into eval mode,
            gradients off.
        device, dtype: where and in what precision to compute; as loaded if None. The fingerprint is
            taken before, so that it does not depend on either.
        padding: what becomes of the tokens that fill a prompt up.
        pad_token: which those are; needed unless they are kept.
        fetch: called before each use with this object, which it may move (`to`) to where it is to
            compute.
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
            raise ValueError(f"padding can be {padding} only if it is said which token it is")
        self._padding: Padding = padding
        self._pad_token = pad_token
        self._fetch = fetch
        self._own_names = _own_names(module)
        self.fingerprint: str = fingerprint(self._named(module))
        """``sha256:…`` over the base's tensors; what :attr:`encoders.Card.base` refers to."""
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
        """What a checkpoint may call a parameter → its canonical name, that one included."""
        vectors = module.get_input_embeddings().weight
        self.token_embedding = next(
            name for name, own in self._own_names.items() if module.get_parameter(own) is vectors
        )
        """Canonical name of the matrix (V, D) that has a row for each token."""
        self._largest: dict[str, float] = {}  # magnitude in each parameter, as far as asked for
        # functional_call swaps the module's tensors for the length of the call: two threads in it
        # at once would see each other's encoder.
        self._lock = Lock()

    def parameters(self) -> Mapping[str, Tensor]:
        """The base's tensors by canonical name, in the module's order. Not to be written to."""
        return self._parameters

    def encode(self, input_ids: Tensor, overrides: Mapping[str, Tensor] | None = None) -> Tensor:
        """Embed prompts with the base, or with the encoder that ``overrides`` makes of it.

        Bit for bit what a text encoder with those weights loaded returns. Differentiable with
        respect to ``overrides``; whoever needs no gradient calls it under ``torch.no_grad()``.

        Args:
            input_ids: token ids, (B, L).
            overrides: canonical name → tensor of the base's shape, or its change as factors
                (:mod:`encoders.low_rank`); any floating dtype (computed in the base's). Already
                checked (:meth:`check`): an unknown name is a KeyError here.

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
            # What nobody attends to need not be computed: of 512 tokens a dozen are a prompt's.
            longest = max(1, int(mask.sum(1).max()))
            short = {"input_ids": input_ids[:, :longest], "attention_mask": mask[:, :longest]}
            embeddings = self._hidden(overrides, **short)
            embeddings = pad(embeddings, (0, 0, 0, input_ids.shape[1] - longest))
        return embeddings.masked_fill(mask.unsqueeze(2) == 0, 0)

    def _hidden(self, overrides: Mapping[str, Tensor] | None, **inputs: Tensor) -> Tensor:
        def call(**some: Tensor) -> Tensor:
            return self.forward(overrides, **some).last_hidden_state

        return in_parts(call, inputs) if self._is_large else call(**inputs)

    def forward(self, overrides: Mapping[str, Tensor] | None, **inputs: Any) -> Any:
        """All that the text model returns for these inputs, with the overrides laid over it."""
        overrides = overrides or {}
        if self._is_large and not torch.is_grad_enabled():
            with self._lock, laid_in_turn(self.module, self._makers(overrides)):
                return self.module(**inputs)
        laid_over = {
            self._own_names[name]: tensor
            for name, tensor in low_rank.apply(self._parameters, overrides).items()
        }
        with self._lock:
            # Tied parameters (T5's token embedding) go by one name; the call ties the other to it.
            return functional_call(self.module, laid_over, args=(), kwargs=inputs)

    def _makers(self, overrides: Mapping[str, Tensor]) -> dict[str, Callable[[], Tensor]]:
        """The module's own name of each overridden parameter → makes what is computed with."""
        mine: dict[str, dict[str, Tensor]] = {}
        for name, tensor in overrides.items():
            mine.setdefault(low_rank.parameter_of(name), {})[name] = tensor
        return {
            self._own_names[parameter]: partial(self._laid, parameter, some)
            for parameter, some in mine.items()
        }

    def _laid(self, parameter: str, overrides: Mapping[str, Tensor]) -> Tensor:
        return low_rank.apply(self._parameters, overrides)[parameter]

    def fetch(self) -> None:
        """Has the base where it computes."""
        self._fetch(self)

    def to(self, device: torch.device | str) -> None:
        """Moves the base to another device; overrides follow it when they are laid over it."""
        nn.Module.to(self.module, device=device)
        self._tensors.update(self._named(self.module))

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(iter(self._parameters.values())).device

    def effective(self, overrides: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Trained overrides as they are stored and served: float16 on the CPU, without those that
        say what the base says. What is to be judged or published goes through here first.

        Raises:
            EncoderInvalid: see :meth:`check`.
        """
        self.check(overrides)
        return effective(self._parameters, overrides)

    def check(self, overrides: Mapping[str, Tensor]) -> None:
        """Refuse overrides that this base must not be called with.

        Shapes have to be equal: torch broadcasts some wrong ones without a word. An encoder that
        changes nothing is refused too, since whoever uses it believes that a concept is gone.

        Raises:
            EncoderInvalid: an unknown name, another shape, a value that is not finite in float16,
                or no tensor that differs from the base.
        """
        for name, tensor in overrides.items():
            self._check_tensor(name, tensor, overrides)
        differs = False
        for parameter in dict.fromkeys(map(low_rank.parameter_of, overrides)):
            is_finite = self._reach(parameter, overrides) < SAFE
            # Once one differs, and as far as none can leave float16, no product need be made: of a
            # large encoder they take most of the time of loading it.
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

    def _reach(self, parameter: str, overrides: Mapping[str, Tensor]) -> float:
        if parameter not in self._largest:
            self._largest[parameter] = low_rank.largest(self._parameters[parameter])
        return low_rank.bound(overrides, parameter, self._largest[parameter])

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
                f"Tensor {name!r} is a factor: {parameter!r} is overridden by both of its factors, "
                f"{low_rank.A} and {low_rank.B}, or whole, and not otherwise."
            )
        expected = self.shapes[parameter]
        fits = len(expected) == 2 and a.ndim == b.ndim == 2 and a.shape[0] == b.shape[1]
        if not fits or (b.shape[0], a.shape[1]) != expected or not 1 <= len(a) <= min(expected):
            raise EncoderInvalid(
                f"The factors of {parameter!r} have shapes {tuple(b.shape)} and {tuple(a.shape)}; "
                f"their product has to have its shape {tuple(expected)}, and a rank from 1 to the "
                "smaller side."
            )

    def _named(self, module: PreTrainedModel) -> dict[str, Tensor]:
        own = dict(module.named_parameters())
        return {name: own[own_name].detach() for name, own_name in self._own_names.items()}


def _own_names(module: PreTrainedModel) -> Mapping[str, str]:
    """Canonical name → the module's own name, of every parameter; a tied one only once."""
    is_clip = any(base.__name__ == "CLIPTextModel" for base in type(module).__mro__)
    prefix = "text_model."
    return MappingProxyType(
        {
            prefix + name if is_clip and not name.startswith(prefix) else name: name
            for name, _ in module.named_parameters()
        }
    )


def _checkpoint_names(module: PreTrainedModel, own_names: Mapping[str, str]) -> Mapping[str, str]:
    """Canonical names, the module's own, and the other names of tied parameters (T5's
    ``encoder.embed_tokens.weight``, in older checkpoints).
    """
    canonical_of = {module.get_parameter(own): name for name, own in own_names.items()}
    aliases = module.named_parameters(remove_duplicate=False)
    names = {own: canonical_of[parameter] for own, parameter in aliases}
    return MappingProxyType(names | {name: name for name in own_names})
