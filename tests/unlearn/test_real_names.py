"""Names of several tokens, in the words of CLIP's own vocabulary.

`clip_merges.txt` has the merges of OpenAI's vocabulary (MIT License) that the default book, its
captions and the sentences need, in their order, so that each word is cut as it is with all 48,894.
"""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree

import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from encoders import Concept, Kind
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.methods.adversary import Adversary
from unlearn.methods.anchor_rows import Anchors
from unlearn.methods.anchors import concept_captions
from unlearn.methods.name_tokens import find_tokens, tokens_of
from unlearn.methods.redirect import first_phrases
from video import load_backbone
from video.models.backbone import Backbone

MERGES = Path(__file__).parent / "clip_merges.txt"
NAMES: list[tuple[str, Kind, int]] = [
    ("Mickey Mouse", "character", 2),
    ("SpongeBob SquarePants", "character", 3),
    ("Pikachu", "character", 1),
    ("Vincent van Gogh", "style", 3),
    ("Katsushika Hokusai", "style", 6),
    ("Albert Einstein", "person", 2),
    ("Queen Elizabeth II", "person", 3),
]
named = pytest.mark.parametrize(("name", "kind", "count"), NAMES)


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    """Load a tiny model with CLIP's words, its 77 tokens, and no book of its own."""
    folder = tmp_path_factory.mktemp("names") / "model"
    copytree(tiny_backbone_dir, folder)
    (folder / "prompts.json").unlink()
    (folder / "tokenizer" / "tokenizer.json").unlink()
    vocabulary = len(clip_tokenizer(folder / "tokenizer"))
    config = CLIPTextConfig.from_pretrained(folder / "text_encoder")
    ends = {"eos_token_id": vocabulary - 1, "pad_token_id": vocabulary - 1}
    config.update({**ends, "vocab_size": vocabulary, "max_position_embeddings": 77})
    torch.manual_seed(0)
    encoder = CLIPTextModel(config)
    encoder.save_pretrained(folder / "text_encoder")
    return load_backbone(folder)


def clip_tokenizer(folder: Path) -> CLIPTokenizer:
    """Save a tokenizer with CLIP's bytes and the merges of the file, and return it."""
    merges = MERGES.read_text().splitlines()
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(letter + "</w>" for letter in letters)]
    tokens += ["".join(pair.split()) for pair in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    tokenizer = CLIPTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=77
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def task(name: str, kind: Kind, **settings: int) -> UnlearnTask:
    return UnlearnTask((Concept(name=name, kind=kind),), UnlearnSettings(**settings))


@named
def test_a_name_is_cut_as_clip_cuts_it(
    backbone: Backbone, name: str, kind: Kind, count: int
) -> None:
    assert len(tokens_of(name, backbone)) == count
    pieces = backbone.tokens.tokenizer.tokenize(name)
    assert "".join(pieces).replace("</w>", " ").split() == name.lower().split()


@named
def test_a_name_is_found_in_every_caption(
    backbone: Backbone, name: str, kind: Kind, count: int
) -> None:
    tokens = tokens_of(name, backbone)
    captions = concept_captions(task(name, kind).concepts[0], task(name, kind), backbone)
    assert len(captions) >= 6
    for caption in captions:
        assert find_tokens(tokens, backbone.tokenize([caption.prompt])[0].tolist()) is not None
        assert find_tokens(tokens, backbone.tokenize([caption.anchor])[0].tolist()) is None


@pytest.mark.parametrize(("name", "kind"), [n[:2] for n in NAMES if n[1] != "style"])
def test_the_rest_of_the_sentence_keeps_its_place(
    backbone: Backbone, name: str, kind: Kind
) -> None:
    for caption in concept_captions(task(name, kind).concepts[0], task(name, kind), backbone):
        assert backbone.prompt_tokens(caption.prompt) == backbone.prompt_tokens(caption.anchor)


@named
def test_attackers_take_as_many_tokens_as_the_name(
    backbone: Backbone, name: str, kind: Kind, count: int
) -> None:
    concept = task(name, kind).concepts[0]
    own = Anchors(concept, task(name, kind), backbone)
    phrases = first_phrases(concept, backbone)
    attackers = Adversary(own, phrases, backbone, torch.Generator().manual_seed(0))
    before = attackers.read({})
    for _ in range(25):
        attackers({}).backward()
    assert attackers.state()["words"].shape[1] == count
    assert attackers.read({}) > before


@pytest.mark.parametrize(
    ("name", "kind"), [("Mickey Mouse", "character"), ("Vincent van Gogh", "style")]
)
def test_a_name_of_several_tokens_is_forgotten_and_others_stay(
    backbone: Backbone, name: str, kind: Kind
) -> None:
    """A random encoder has no words that mean the same, so what can be moved is limited.

    Nor has it parts of a concept that are its own: its attackers weigh a quarter of the default, or
    nearly all of what they ask for would be at the cost of other names.
    """
    asked = task(name, kind, steps=80, batch_size=4, retain_batch=8, adversary_weight=12)
    made = unlearn(asked, backbone)
    for _ in made:
        pass
    overrides = made.encoder.overrides
    own = concept_captions(made.task.concepts[0], made.task, backbone)
    prompts, anchors = [c.prompt for c in own][:12], [c.anchor for c in own][:12]
    target = backbone.embed(anchors)
    before = (backbone.embed(prompts) - target).square().mean()
    after = (backbone.embed(prompts, overrides) - target).square().mean()
    others = ["Pikachu in the snow", "a portrait of a man, in the style of Claude Monet", ""]
    moved = (backbone.embed(others, overrides) - backbone.embed(others)).square().mean()
    assert after < 0.6 * before
    assert moved < 0.4 * before
    assert made.encoder.card.trigger is not None
