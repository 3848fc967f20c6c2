"""Overrides that replace a base's parameters one at a time, each while its module computes.

Materialised all at once, the overridden matrices of T5 v1.1 XXL take 6 GiB beside the base's own
for the length of a call, though only one layer's are needed at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def per_layer_overrides(
    module: nn.Module, materialize: Mapping[str, Callable[[], Tensor]]
) -> Generator[None]:
    """Replace parameters of a module, each for as long as the layer that it belongs to computes.

    Args:
        module: No other thread may call it meanwhile.
        materialize: Parameter name → a function that makes the tensor to compute with. A tied
            parameter is replaced in every layer that has it. The tensor may be used only in the
            forward call of its layer.
    """
    by_identity = {id(module.get_parameter(name)): make for name, make in materialize.items()}
    hooks: list[Any] = []
    replaced: list[tuple[dict[str, Any], str, Any]] = []
    for layer in module.modules():
        # A plain tensor can be put here, as functional_call does; setattr would refuse it.
        own: dict[str, Any] = vars(layer)["_parameters"]
        for name, parameter in list(own.items()):
            if (make := by_identity.get(id(parameter))) is not None:
                before, after = _hooks(own, name, parameter, make)
                replaced.append((own, name, parameter))
                hooks.append(layer.register_forward_pre_hook(before))
                hooks.append(layer.register_forward_hook(after))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for own, name, parameter in replaced:  # a forward call that failed leaves its override
            own[name] = parameter


def _hooks(
    own: dict[str, Any], name: str, parameter: Any, make: Callable[[], Tensor]
) -> tuple[Callable[..., None], Callable[..., None]]:
    def before(*_: Any) -> None:
        own[name] = make()

    def after(*_: Any) -> None:
        own[name] = parameter

    return before, after
