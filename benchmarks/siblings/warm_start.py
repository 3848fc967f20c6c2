"""Warm starts: what a sibling can take over from the built-in encoder."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, PreTrainedModel

from benchmarks.siblings.architectures import OUTLIER, Sibling

NOISE = 0.5
"""Deviation of the noise on each copied matrix, as a share of the matrix's own."""


@torch.no_grad()
def warm_start(
    encoder: PreTrainedModel, sibling: Sibling, teacher: CLIPTextModel, rows: Tensor
) -> None:
    """Start a sibling from the built-in encoder, as far as its architecture allows.

    A T5 gets the words' embeddings, at the scale of its own. A CLIP gets positions and layers too,
    each layer several times in a row with what it adds divided among them, and with noise: so that
    all of its layers work, and none as the built-in ones do.

    Args:
        encoder: With random weights; changed in place.
        sibling: Its description.
        teacher: The built-in encoder.
        rows: For each of the sibling's tokens the built-in token that it stands for, (V,).
    """
    words: Tensor = cast(Any, teacher.get_input_embeddings()).weight[rows]
    table = cast(Any, encoder.get_input_embeddings()).weight
    if sibling.is_clip:
        table.copy_(words)
        _deepen(cast(CLIPTextModel, encoder), teacher)
    else:
        table.copy_((words - words.mean(0)) / words.std())
    if sibling.outliers:
        _add_outliers(cast(CLIPTextModel, encoder), sibling.outliers)


def _deepen(encoder: CLIPTextModel, teacher: CLIPTextModel) -> None:
    """Copy positions and layers, each layer as many times as there is room for."""
    ours, theirs = _parts(encoder), _parts(teacher)
    ours.embeddings.position_embedding.weight.copy_(theirs.embeddings.position_embedding.weight)
    ours.final_layer_norm.load_state_dict(theirs.final_layer_norm.state_dict())
    layers, originals = ours.encoder.layers, theirs.encoder.layers
    sources = [i * len(originals) // len(layers) for i in range(len(layers))]
    for layer, source in zip(layers, sources, strict=True):
        layer.load_state_dict(originals[source].state_dict())
        for added in (layer.self_attn.out_proj, layer.mlp.fc2):
            for tensor in added.parameters():
                tensor /= sources.count(source)
        for tensor in layer.parameters():
            if tensor.ndim == 2:
                tensor += NOISE * tensor.std() * torch.randn_like(tensor)


def _add_outliers(encoder: CLIPTextModel, channels: tuple[int, ...]) -> None:
    """Add a constant to some channels of the residual stream, with the positions' embedding.

    Each norm divides by a larger deviation from then on; its gains make up for it.
    """
    parts = _parts(encoder)
    positions: Tensor = parts.embeddings.position_embedding.weight
    words: Tensor = parts.embeddings.token_embedding.weight
    deviation = (positions.var() + words.var()).sqrt()
    positions[:, list(channels)] += OUTLIER * deviation


def _parts(encoder: CLIPTextModel) -> Any:
    """Return the module that holds the parts: transformers 5 has no `text_model` between them."""
    model: nn.Module = encoder
    return getattr(model, "text_model", model)
