"""Rows of the token embedding that stand for words which no vocabulary has."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from encoders import low_rank
from encoders.text_encoder import TextEncoder


def with_rows(
    encoder: TextEncoder, overrides: Mapping[str, Tensor], places: Tensor, rows: Tensor
) -> dict[str, Tensor]:
    """Return overrides with other rows in the token embedding, whether it is trained or not.

    Differentiable with respect to the overrides and the rows.

    Args:
        encoder: The base.
        overrides: The encoder's.
        places: Token ids, (N,) or (N,W).
        rows: Their embeddings, (N,D) or (N,W,D).
    """
    name = encoder.token_embedding
    base = {name: encoder.parameters()[name]}
    trained = {n: t for n, t in overrides.items() if low_rank.parameter_of(n) == name}
    matrix = {**base, **low_rank.apply(base, trained)}[name]
    rest = {n: t for n, t in overrides.items() if n not in trained}
    return {**rest, name: matrix.index_put((places,), rows.to(matrix.dtype))}
