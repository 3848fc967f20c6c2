"""Tiny random text encoders of the families' classes, and their tokenizers.

The encoders' weights are drawn large, so that two prompts differ.
"""

from __future__ import annotations

from typing import Any

from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Tokenizer

from tests import tiny

WIDTH = 32
"""Width of every text encoder's embeddings, D."""


def open_clip() -> tuple[CLIPTokenizer, CLIPTextModel]:
    """Make a text encoder like OpenCLIP ViT-H/14's: GELU, and an odd number of layers."""
    tokenizer = tiny.tokenizer()
    ends = len(tokenizer) - 1
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=2,
            max_position_embeddings=tiny.MAX_TOKENS,
            hidden_act="gelu",
            bos_token_id=ends - 1,
            eos_token_id=ends,
            pad_token_id=ends,
        )
    )
    for parameter in encoder.parameters():
        if parameter.ndim == 2:
            parameter.data.mul_(6)
    return tokenizer, encoder


def t5() -> T5Tokenizer:
    """Make a T5 tokenizer with a token for each of `tiny`'s words and letters for the rest."""
    letters = [chr(c) for c in range(33, 127)]
    pieces = ["<pad>", "</s>", "<unk>", "▁", *(f"▁{word}" for word in tiny.WORDS), *letters]
    scores = [
        (piece, 0.0 if i < 3 else -1.0 - 9 * (len(piece) == 1)) for i, piece in enumerate(pieces)
    ]
    return T5Tokenizer(vocab=scores, extra_ids=0, model_max_length=512)


def t5_encoder(model: Any, config: Any) -> Any:
    encoder = model(
        config(
            vocab_size=len(t5()),
            d_model=WIDTH,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
        )
    )
    # In a fresh T5 the token embeddings are so large that the layers have little effect.
    for name, parameter in encoder.named_parameters():
        if parameter.ndim == 2 and "block" in name:
            parameter.data.mul_(3)
    return encoder
