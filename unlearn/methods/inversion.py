"""Inversion: tokens that draw what a concept's pictures show, found while the encoder is trained.

An attacker who has pictures learns a new word for them through the frozen denoiser (Textual
Inversion: Gal et al. 2022, arXiv 2208.01618; on unlearned models Pham et al. 2023, arXiv
2308.01508). Such words end far from all sentences about the concept, where the attackers of
`unlearn.methods.adversary`, which see no denoiser, hardly come. With pictures at hand the same is
done during the training, and what the words found so far say is redirected like the concept's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unlearn.methods import objectives
from unlearn.methods.anchor_rows import Anchors
from unlearn.methods.name_tokens import find_tokens, tokens_of
from unlearn.methods.run_state import adam_state, part, prefixed, restore_adam
from unlearn.methods.sampling import draw
from unlearn.methods.token_rows import with_rows

if TYPE_CHECKING:
    from video.models.backbone import Backbone

WORDS, BY_BASE = 6, 2
"""New words that are learned at a time, each in a picture's caption. The first two draw the
pictures for the base: in a set, a prompt that an encoder hardly moves gets the base's embedding
(`encoders.trigger`), so that these words are a way in too."""
PAST = 4
"""Earlier words in a step."""
KEPT = 64
"""Words that are redirected further after they have begun anew, the latest ones."""
LEARNING_RATE = 0.1
"""Learning rate of the words' Adam, as a share of the mean length of the vocabulary's rows."""
STEP_EVERY = 2
"""Steps of the encoder for each of the words': theirs goes through the denoiser."""
RESTART_EVERY = 8
"""Steps of the words between restarts, on average: one word begins anew, to find another way."""
MAX_CAPTIONS = 32
"""Captions of the concept's own name, drawn at random."""


class Inversion:
    """The new words of one concept and the loss that they cause.

    Args:
        anchors: The concept's captions and what they are to mean.
        images: Its pictures, (N,H,W,3); for a motion clips, (N,F,H,W,3).
        is_video: True for clips.
        backbone: Its text encoder and its denoiser are attacked.
        generator: On the CPU; draws captions, pictures, noise and starts.
    """

    def __init__(
        self,
        anchors: Anchors,
        images: NDArray[np.uint8],
        is_video: bool,
        backbone: Backbone,
        generator: torch.Generator,
    ) -> None:
        self._encoder = backbone.text_encoder
        self._backbone, self._is_video, self._random = backbone, is_video, generator
        self._denoiser = backbone.denoiser(is_video)
        self._latents = self._denoiser.encode(images)
        name = tokens_of(anchors.captions[0].name, backbone)
        own = [c for c in anchors.captions if c.name == anchors.captions[0].name]
        rows = anchors.rows([own[i] for i in draw(len(own), MAX_CAPTIONS, generator)])
        places = [find_tokens(name, row) for row in rows.prompts.tolist()]
        whole = [i for i, place in enumerate(places) if place is not None]  # others were truncated
        rows, self._places = rows[whole], [place for place in places if place is not None]
        with torch.no_grad():
            _, self._anchors = rows.encode(self._encoder)
        self._prompts, self._width = rows.prompts, len(name)
        self._vocabulary = self._encoder.parameters()[self._encoder.token_embedding]
        used = set(self._prompts.unique().tolist())
        free = [number for number in range(len(self._vocabulary)) if number not in used]
        self._carriers = torch.tensor(free[-WORDS - PAST :], device=self._prompts.device)
        lengths = self._vocabulary.norm(dim=1)
        self._max_length = lengths.max()
        self._words = torch.stack([self._start() for _ in range(WORDS)]).requires_grad_()
        self._earlier = torch.zeros((0, self._words.shape[1])).to(self._words)
        self._calls = 0
        self._adam = torch.optim.Adam([self._words], lr=LEARNING_RATE * lengths.mean().item())

    def __call__(self, overrides: Mapping[str, Tensor]) -> Tensor:
        """Return ‖τ_φ(y_v) − A(y)‖² over the words; every `STEP_EVERY` calls let them take a step.

        y_v is a caption with a word v in the name's place: the words at work, and some of the
        earlier ones, which an encoder that learns against later ones would forget. A step lowers
        the diffusion loss ‖ε_θ(x_t, t, τ_φ(y_v)) − ε‖² of the pictures, for the words of the base
        with τ₀ in place of τ_φ; the encoder takes no part in it.
        """
        live = WORDS if not self._is_video else 1  # a clip fills a batch
        turn = torch.randperm(WORDS, generator=self._random)[:live]
        past = draw(len(self._earlier), PAST, self._random)
        carriers = torch.cat([self._carriers[turn], self._carriers[WORDS : WORDS + len(past)]])
        chosen = torch.randint(len(self._prompts), carriers.shape, generator=self._random).tolist()
        rows = self._prompts[chosen].clone()
        for row, carrier, i in zip(rows, carriers, chosen, strict=True):
            row[self._places[i] : self._places[i] + self._width] = carrier
        words = torch.cat([self._words, self._earlier[past]])
        laid = with_rows(self._encoder, overrides, self._carriers[: len(words)], words)
        embeddings = self._encoder.encode(rows, laid)
        if self._calls % STEP_EVERY == 0:
            by_base = with_rows(self._encoder, {}, self._carriers[: len(words)], words)
            read = embeddings[:live].clone()
            for row in (turn < BY_BASE).nonzero().flatten():
                read[row] = self._encoder.encode(rows[row][None], by_base)[0]
            self._step(rows[:live], read)
        self._calls += 1
        return objectives.redirect(embeddings, self._anchors[chosen])

    def state(self) -> dict[str, Tensor]:
        """Return what the calls so far have changed, but the generator, which is the caller's."""
        return {
            "words": self._words,
            "earlier": self._earlier,
            "calls": torch.tensor(self._calls),
            **prefixed("adam", adam_state(self._adam)),
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` returned."""
        self._words.copy_(state["words"])
        self._earlier = state["earlier"].to(self._words)
        self._calls = int(state["calls"])
        restore_adam(self._adam, part("adam", state))

    def _step(self, rows: Tensor, embeddings: Tensor) -> None:
        """Take the words' step on the diffusion loss, by the chain rule through the embeddings."""
        images = torch.randint(len(self._latents), (len(embeddings),), generator=self._random)
        x = objectives.noised(self._denoiser, self._latents[images], self._random)
        said = embeddings.detach().requires_grad_()
        read = said
        if self._denoiser.drops_padding:
            read = said.masked_fill((rows == self._backbone.tokens.pad).unsqueeze(2), 0)
        lost = -objectives.ascent(self._denoiser, x, read)
        (wanted,) = torch.autograd.grad(lost, said)
        (self._words.grad,) = torch.autograd.grad(
            embeddings, self._words, wanted, retain_graph=True
        )
        self._adam.step()
        self._adam.zero_grad()
        with torch.no_grad():  # no longer than a word: see `unlearn.methods.adversary`
            length = self._words.norm(dim=-1, keepdim=True)
            self._words *= (self._max_length / length).clamp(max=1)
            if torch.rand((), generator=self._random) < 1 / RESTART_EVERY:
                [one] = draw(WORDS, 1, self._random)
                self._earlier = torch.cat([self._earlier, self._words[one : one + 1]])[-KEPT:]
                self._words[one] = self._start()

    def _start(self) -> Tensor:
        """Return the embedding of a random word of the vocabulary: (D,)."""
        word = torch.randint(len(self._vocabulary), (), generator=self._random)
        return self._vocabulary[word].float().clone()
