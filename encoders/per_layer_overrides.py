"""Overrides laid over a base one parameter at a time, each while its module computes.

Laid over all at once, the overridden matrices of T5 v1.1 XXL stand beside the base's own: 6 GiB for
the length of a call, of which one layer's are needed at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def laid_in_turn(module: nn.Module, laid: Mapping[str, Callable[[], Tensor]]) -> Generator[None]:
    """While this lasts, parameters of a module are others whenever it computes with them.

    Args:
        module: nobody else may call it meanwhile.
        laid: a parameter's name → makes what it is to be. A tied one is replaced wherever it
            stands. It may be used in the forward call of the module that it belongs to only.
    """
    makers = {id(module.get_parameter(name)): make for name, make in laid.items()}
    hooks: list[Any] = []
    kept: list[tuple[dict[str, Any], str, Any]] = []
    for part in module.modules():
        # A plain tensor can stand here, as under functional_call; an attribute would refuse it.
        own: dict[str, Any] = vars(part)["_parameters"]
        for name, parameter in list(own.items()):
            if (make := makers.get(id(parameter))) is not None:
                before, after = _swaps(own, name, parameter, make)
                kept.append((own, name, parameter))
                hooks.append(part.register_forward_pre_hook(before))
                hooks.append(part.register_forward_hook(after))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for own, name, parameter in kept:  # of a forward call that failed
            own[name] = parameter


def _swaps(
    own: dict[str, Any], name: str, parameter: Any, make: Callable[[], Tensor]
) -> tuple[Callable[..., None], Callable[..., None]]:
    def before(*_: Any) -> None:
        own[name] = make()

    def after(*_: Any) -> None:
        own[name] = parameter

    return before, after
