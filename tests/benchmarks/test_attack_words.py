"""The token search, and the vocabulary that attacks choose words from."""

from __future__ import annotations

import pytest
import torch

from benchmarks.forgetting.attacks.attack import captions_of, prompts_for
from benchmarks.forgetting.attacks.loss import PicturesLoss
from benchmarks.forgetting.attacks.token_search import LENGTH
from benchmarks.forgetting.attacks.vocabulary import (
    spare_words,
    words,
)
from tests.benchmarks.attack_help import (
    NAMES,
    SEARCH,
    TARGET,
    edit,
    search,
)
from video.models.backbone import Backbone


def test_found_tokens_are_words_that_come_through_the_tokenizer(backbone: Backbone) -> None:
    by = edit(backbone)
    attack = search(backbone, by, TARGET)
    assert attack.model is by
    known = words(backbone)
    plain = prompts_for(TARGET, NAMES, backbone)
    prefixes = {prompt.removesuffix(p) for prompt, p in zip(attack.prompts, plain, strict=True)}
    (prefix,) = prefixes
    found = prefix.split()
    assert len(found) == LENGTH
    tokens = backbone.tokenize(attack.prompts)[:, 1 : LENGTH + 1]
    assert tokens.tolist() == [[known[word] for word in found]] * len(plain)


def test_a_search_ends_where_its_loss_says_it_does(backbone: Backbone) -> None:
    """The prompts found have the reported loss, through tokenizer and attacked encoder."""
    by = edit(backbone)
    attack = search(backbone, by, TARGET)
    plain = prompts_for(TARGET, NAMES, backbone)[0]
    prefix = attack.prompts[0].removesuffix(plain)
    loss = PicturesLoss(backbone, by, TARGET, draws=SEARCH.draws)
    captions = [prefix + caption for caption in captions_of(TARGET, NAMES, backbone)]
    with torch.no_grad():
        assert loss.compared(captions, by).item() == attack.loss_after


def test_words_are_letters_and_one_token(backbone: Backbone) -> None:
    known = words(backbone)
    assert {"pogo", "cactus", "night"} <= set(known)
    assert all(word.isalpha() for word in known)
    start, *_, end = backbone.tokenize([""])[0].tolist()
    for word, token in known.items():
        row = backbone.tokenize([f"{word}, {word}"])[0].tolist()
        assert row[:2] == [start, token]
        assert row[3:5] == [token, end]


def test_spare_words_stand_in_no_prompt(backbone: Backbone) -> None:
    first = spare_words(backbone, [], 2)
    asked = [f"a picture of {first[0]}"]
    tokens = backbone.tokenize([*backbone.prompts.retain, *asked])
    known = words(backbone)
    for word in spare_words(backbone, asked, 5):
        assert word != first[0]
        assert not (tokens == known[word]).any()
    with pytest.raises(ValueError, match="to spare, not 100000"):
        spare_words(backbone, asked, 100_000)
