"""The tokenizer's words, and the token embedding with a row for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.forgetting.intervention import Intervention
from unlearn.methods.name_tokens import leading_tokens
from video.models.backbone import Backbone


def token_embedding(backbone: Backbone, intervention: Intervention) -> Tensor:
    """Return the attacked encoder's token embedding (V,D): the intervention's, else the base's."""
    name = backbone.text_encoder.token_embedding
    base = backbone.text_encoder.parameters()[name]
    return (intervention.overrides or {}).get(name, base).detach().to(base)


def with_rows(
    backbone: Backbone, intervention: Intervention, tokens: Sequence[int], rows: Tensor
) -> Intervention:
    """Return the intervention with `rows` (N,D) as input embeddings of N tokens, the base's too.

    Differentiable with respect to the rows. All other rows keep the intervention's values.
    """
    name = backbone.text_encoder.token_embedding
    matrix = token_embedding(backbone, intervention)
    places = torch.tensor(tokens, device=matrix.device)
    laid = matrix.index_put((places,), rows)
    of_base = backbone.text_encoder.parameters()[name].index_put((places,), rows)
    return replace(
        intervention,
        overrides={**(intervention.overrides or {}), name: laid},
        base={name: of_base},
    )


def words(backbone: Backbone) -> Mapping[str, int]:
    """Return the words that are a single token, with that token: strings of letters only.

    Start, end, punctuation and pieces of words are left out. So any user can type an attacker's
    words, and the tokenizer gives the same tokens.
    """
    rows = backbone.text_encoder.shapes[backbone.text_encoder.token_embedding][0]
    texts = [(token, backbone.detokenize([token]).strip()) for token in range(rows)]
    candidates = [(token, text) for token, text in texts if text.isalpha()]
    empty = backbone.tokenize([""])[0].tolist()
    first = leading_tokens(backbone)
    tokenized = backbone.tokenize([text for _, text in candidates]).tolist()
    return {
        text: token
        for (token, text), row in zip(candidates, tokenized, strict=True)
        if row == [*empty[:first], token, *empty[first:-1]]
    }


def spare_words(backbone: Backbone, prompts: Iterable[str], count: int) -> list[str]:
    """Return the first `count` words that neither the prompts nor the model's book use.

    Replacing their rows changes no other prompt.

    Raises:
        ValueError: the vocabulary has fewer of them.
    """
    used = set(backbone.tokenize([*backbone.prompts.retain, *prompts]).unique().tolist())
    spare = [word for word, token in words(backbone).items() if token not in used]
    if len(spare) < count:
        raise ValueError(f"the vocabulary has {len(spare)} words to spare, not {count}")
    return spare[:count]
