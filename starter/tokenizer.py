"""The built-in model's tokenizer: its own byte-pair vocabulary, in CLIP's format."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, trainers
from transformers import CLIPTokenizer

from starter.captions import HELD_OUT_FORMS, HELD_OUT_WORDS, caption
from starter.scene import sample_scene

MAX_LENGTH = 32  # tokens a prompt, start and end included
VOCABULARY = 1200
START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"


def train_tokenizer(directory: Path) -> CLIPTokenizer:
    """Learn merges on captions of the world and save them in CLIP's files.

    Every byte is in the vocabulary, so words from outside the world still tokenise, into pieces.
    As in CLIP's own vocabulary, start and end are the last two ids.
    """
    stock = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    learner.normalizer = stock.normalizer
    learner.pre_tokenizer = stock.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, end_of_word_suffix=WORD_END, show_progress=False
    )
    learner.train_from_iterator(_corpus(), trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    letters = sorted(_byte_letters())
    tokens = [*letters, *(letter + WORD_END for letter in letters)]
    tokens += [first + second for first, second in merges]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    for special in (START, END):
        vocabulary[special] = len(vocabulary)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2", *(f"{first} {second}" for first, second in merges)]
    (directory / "merges.txt").write_text("\n".join(lines) + "\n")
    tokenizer = CLIPTokenizer(
        vocab=str(directory / "vocab.json"),
        merges=str(directory / "merges.txt"),
        model_max_length=MAX_LENGTH,
    )
    tokenizer.save_pretrained(directory)
    return tokenizer


def _corpus() -> Iterator[str]:
    rng = np.random.default_rng(3)
    for _ in range(12_000):
        yield caption(sample_scene(rng), rng)
    # The words of held-out wordings are in the vocabulary; their combinations are not trained.
    yield from itertools.chain.from_iterable(HELD_OUT_WORDS.values())
    yield from (form.format(s="", m="", p="", a="") for form in HELD_OUT_FORMS)


def _byte_letters() -> list[str]:
    """Return the printable characters that stand for bytes in byte-level BPE."""
    from tokenizers.pre_tokenizers import ByteLevel

    return list(ByteLevel.alphabet())
