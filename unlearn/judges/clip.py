"""The CLIP judge: zero-shot, with an open vocabulary, for models that come without a judge.

    judge = ClipJudge.load("openai/clip-vit-large-patch14", backbone.prompts)
    judge.shows(frames, "van Gogh", "style")

Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision"
(arXiv 2103.00020), sec. 3.1: a frame shows what its best-fitting text says.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from hashlib import sha1
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from encoders import Kind
from unlearn.judges.base import JudgeIdentity, JudgeInvalid, UnknownConcept
from unlearn.judges.clip_files import check_directory, check_fit, fetch, files_hash
from unlearn.judges.clip_prompts import (
    COUNTS,
    DISTRACTORS,
    PLAIN,
    Label,
    label,
    labels_for,
    offered,
)
from unlearn.judges.clip_views import VIEWS, views
from unlearn.prompts import all_names
from video.frames import Frames, check_frames
from video.models.prompt_book import PromptBook

VERSION = "2"
"""The version of the rule that turns embeddings into answers: sentences, alternatives, threshold.
"""

THRESHOLD = 0.5
"""The least probability at which a concept counts as seen.

At one half a label outweighs all the others together, so it is also the likeliest, and a frame for
which CLIP wavers between several labels shows none of them. Such a strict judge may overlook a
concept. It then overlooks it in the base's clips as well, where it must be seen first."""

BATCH = 32
"""The number of frames that go through the network at a time; bounds its memory."""

CACHED_CLIPS = 4
"""The number of clips whose views' embeddings are kept: base and encoder, of a probe or two."""

CACHED_LABELS = 4096
"""The number of labels whose embedding is cached: at most 5 KB each."""


class ClipJudge:
    """Any CLIP behind the `Judge` protocol.

    A frame shows a concept if in any of its views (`unlearn.judges.clip_views`) the probability of
    the concept's label reaches `THRESHOLD`. The alternatives are the generic word of its kind, "a
    picture", and the other concepts of the kind: those of the model's prompt book, or well-known
    ones (`unlearn.judges.clip_prompts`). The judge knows every concept but motions, which no single
    frame shows.
    """

    def __init__(
        self,
        model: CLIPModel,
        tokenizer: CLIPTokenizer,
        processor: CLIPImageProcessorPil,
        book: PromptBook,
        identity: JudgeIdentity,
    ) -> None:
        # transformers' models and tokenizers are hardly typed: Any from here on.
        self._model: Any = model.eval().requires_grad_(False)
        self._tokenizer: Any = tokenizer
        self._processor = processor
        self._book = book
        self._identity = identity
        self._embedding = lru_cache(CACHED_LABELS)(self._embed)
        self._pictured: OrderedDict[bytes, Tensor] = OrderedDict()
        self._labels: Mapping[Kind, Sequence[str]] = {
            kind: [name for name in names if self.knows(name, kind)]
            for kind, names in offered(book).items()
        }

    @classmethod
    def load(
        cls, source: Path | str, book: PromptBook, device: str | torch.device = "cpu"
    ) -> ClipJudge:
        """Load a CLIP as `save_pretrained` writes it.

        Args:
            source: its directory, or its id on the Hugging Face Hub.
            book: the prompts of the model whose frames the judge will see.
            device: the device to run it on.

        Raises:
            JudgeInvalid: it is no CLIP, a file is missing or too large, its weights are not in
                safetensors, are not finite or do not fit, or the Hub cannot be reached.
        """
        is_local = Path(source).is_dir()
        directory = Path(source) if is_local else fetch(str(source))
        check_directory(directory)
        name = directory.resolve().name if is_local else str(source)
        try:
            identity = JudgeIdentity(
                name=f"CLIP {name[:100]}", version=VERSION, hash=files_hash(directory, book)
            )
            # These classes and no Auto class: they run no code that lies beside the weights.
            model, info = cast(Any, CLIPModel).from_pretrained(
                directory,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                dtype=torch.float32,
            )
            tokenizer = CLIPTokenizer.from_pretrained(directory, local_files_only=True)
            # Always PIL's resizing: torchvision's, used where it is installed, differs slightly.
            processor = CLIPImageProcessorPil.from_pretrained(directory, local_files_only=True)
            check_fit(model, info, tokenizer)
            judge = cls(model.to(device), tokenizer, processor, book, identity)
            # Run it once: a fault should show now, not when a finished encoder waits to be judged.
            judge.probabilities(np.zeros((1, 48, 64, 3), np.uint8), [PLAIN])
        except Exception as error:  # transformers, safetensors and tokenizers each raise their own
            raise JudgeInvalid(f"{source} cannot be used as a CLIP judge: {error}") from error
        return judge

    @property
    def identity(self) -> JudgeIdentity:
        """Name, version and hash; the hash covers the files that are read, and the prompt book."""
        return self._identity

    @property
    def labels(self) -> Mapping[Kind, Sequence[str]]:
        return self._labels

    def knows(self, concept: str, kind: Kind) -> bool:
        return self._objection(concept, kind) is None

    def shows(
        self, frames: Frames, concept: str, kind: Kind, base: Frames | None = None
    ) -> list[bool]:
        objection = self._objection(concept, kind)
        if objection is not None:
            raise UnknownConcept(objection, param="concept")
        labels = labels_for(concept, kind, self._labels[kind], self._book)
        return self._shown(frames, labels)

    def seen(self, frames: Frames, kinds: Collection[Kind]) -> dict[tuple[str, Kind], list[bool]]:
        """Tell for each label of some kinds, and each frame (F,H,W,3), if it shows it."""
        return {
            (label, kind): self.shows(frames, label, kind)
            for kind in kinds
            for label in self._labels.get(kind, ())
        }

    def by_distractors(self, frames: Frames, concept: str, kind: Kind) -> dict[int, list[bool]]:
        """Tell what `shows` would say with so many distractors in place of its alternatives.

        The generic word and "a picture" stay. The distractors are everyday words
        (`unlearn.judges.clip_prompts.DISTRACTORS`).

        Returns:
            Number of distractors → F answers.
        """
        found: dict[int, list[bool]] = {}
        for count in COUNTS:
            others = [] if kind == "motion" else DISTRACTORS[:count]
            found[count] = self._shown(frames, labels_for(concept, kind, others, self._book))
        return found

    def _shown(self, frames: Frames, labels: Sequence[Label]) -> list[bool]:
        """Tell for each frame if any view shows the first label."""
        check_frames(frames)
        key = sha1(f"{frames.shape}".encode() + frames.tobytes(), usedforsecurity=False).digest()
        images = self._pictured.get(key)
        if images is None:  # a clip is asked for several concepts in a row
            images = self._pictured[key] = self._images(views(frames))
            while len(self._pictured) > CACHED_CLIPS:
                self._pictured.popitem(last=False)
        likely = self._softmax(images, labels)[:, 0].reshape(len(frames), VIEWS).max(1)
        return [bool(one >= THRESHOLD) for one in likely]

    def probabilities(self, frames: Frames, labels: Sequence[Label]) -> NDArray[np.float32]:
        """Compute the probability of each label for frames (F,H,W,3) uint8.

        The softmax over the cosines between a frame's embedding and the labels', times the model's
        own scale (Radford et al. 2021, fig. 3).

        Returns:
            (F, labels); each row adds to 1.

        Raises:
            ValueError: the frames have another dtype or shape.
        """
        check_frames(frames)
        return self._softmax(self._images(frames), labels)

    def _softmax(self, images: Tensor, labels: Sequence[Label]) -> NDArray[np.float32]:
        texts = torch.stack([self._embedding(label) for label in labels])
        with torch.inference_mode():
            return (self._model.logit_scale.exp() * images @ texts.T).softmax(-1).cpu().numpy()

    def _images(self, frames: Frames) -> Tensor:
        """Return the unit embeddings (F,D) of frames, of each the middle square."""
        rows: list[Tensor] = []
        with torch.inference_mode():
            for start in range(0, len(frames), BATCH):
                batch = list(frames[start : start + BATCH])
                inputs = self._processor(
                    images=batch, input_data_format="channels_last", return_tensors="pt"
                )
                pixels = cast(Tensor, inputs["pixel_values"]).to(self._model.device)
                features = self._model.get_image_features(pixels).pooler_output
                rows.append(functional.normalize(features, dim=-1))
        return torch.cat(rows)

    def _embed(self, label: Label) -> Tensor:
        """Return the normalised mean (D,) of the sentences' normalised embeddings.

        An ensemble over the embedding space: a frame is compared with one vector, however many
        sentences it stands for (Radford et al. 2021, sec. 3.1.4).
        """
        # Padded by `pad`, not by the call: the call would change the tokenizer's own settings,
        # which other threads use.
        tokens = self._tokenizer.pad({"input_ids": self._tokens(label)}, return_tensors="pt")
        with torch.inference_mode():
            features = self._model.get_text_features(**tokens.to(self._model.device)).pooler_output
            return functional.normalize(functional.normalize(features, dim=-1).mean(0), dim=-1)

    def _tokens(self, sentences: Sequence[str]) -> list[list[int]]:
        return self._tokenizer(list(sentences), verbose=False).input_ids

    def _objection(self, concept: str, kind: Kind) -> str | None:
        """Say why the concept cannot be judged; None if it can."""
        if kind == "motion":
            return f"CLIP looks at single frames, so it cannot judge the motion {concept!r}"
        if not concept.strip():
            return f"a concept needs a name, not {concept!r}"
        sentences = label(all_names(concept, kind, (), self._book), kind)
        longest = max(map(len, self._tokens(sentences)))
        limit = self._model.config.text_config.max_position_embeddings
        if longest > limit:
            return f"{concept!r} makes sentences of {longest} tokens; this CLIP reads {limit}"
        return None
