"""A tiny random CLIP text encoder, and encoders made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from encoders import Card, Concept, Encoder
from encoders.exchange import export_directory
from encoders.store import EncoderStore
from encoders.text_encoder import TextEncoder

MakeEncoder = Callable[..., Encoder]

# No deadline: a busy machine must not fail a test.
settings.register_profile(
    "encoders", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50
)
settings.load_profile("encoders")


def assert_same_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Assert that two non-empty mappings have the same names and bit-identical tensors."""
    assert expected
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def tiny_clip(seed: int = 0, **settings: Any) -> CLIPTextModel:
    """Build a CLIP text model of about 4,000 parameters; a seed always gives the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = CLIPTextConfig(
            vocab_size=40,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=12,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=2,
            **settings,
        )
        model = CLIPTextModel(config)
        with torch.no_grad():  # biases start at zero, and nothing stored in half is lost
            for parameter in model.parameters():
                parameter.copy_((parameter + 0.02 * torch.randn_like(parameter)).half())
    return model


def nudged(base: TextEncoder, seed: int = 1, pattern: str = "mlp") -> dict[str, Tensor]:
    """Return overrides of the parameters whose name contains `pattern`: the base's plus noise."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: tensor + 0.1 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in base.parameters().items()
        if pattern in name
    }


@pytest.fixture(scope="session")
def text_encoder() -> TextEncoder:
    return TextEncoder(tiny_clip())


@pytest.fixture
def input_ids() -> Tensor:
    return torch.tensor([[1, 5, 9, 2, 2], [1, 7, 30, 12, 2]])


@pytest.fixture
def store(location: Path | str) -> EncoderStore:
    return EncoderStore(location)


@pytest.fixture
def make_encoder(text_encoder: TextEncoder) -> MakeEncoder:
    """Return a function that makes an encoder: `make_encoder("no-pogo", seed=2)`."""

    def make(
        encoder_id: str = "no-pogo",
        *,
        seed: int = 1,
        overrides: Mapping[str, Tensor] | None = None,
        **card: Any,
    ) -> Encoder:
        encoder = Encoder.of(
            text_encoder,
            overrides or nudged(text_encoder, seed),
            id=encoder_id,
            concepts=(Concept(name="pogo", kind="character"),),
            method="redirect",
            settings={"steps": 40},
            seed=seed,
        )
        fields = {**dict(encoder.card), "created_at": datetime(2025, 1, 1, tzinfo=UTC), **card}
        return Encoder(Card.model_validate(fields), encoder.overrides)

    return make


@pytest.fixture
def exported(text_encoder: TextEncoder, tmp_path: Path) -> Path:
    """Export the tiny CLIP with another MLP, and return the directory."""
    export_directory(text_encoder, nudged(text_encoder), tmp_path / "exported")
    return tmp_path / "exported"
