"""What is done on the device: the models, the embeddings kept, the steps and their cost."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from typing import TypeVar

import torch
from torch import Tensor

from encoders.residency import Residency
from video.engine.encoder_loader import EncoderLease, EncoderLoader
from video.engine.observer import Observer
from video.engine.ticket import OutOfMemory
from video.generation_request import GenerationRequest
from video.models.backbone import Backbone, Frames, Run

T = TypeVar("T")

EMBEDDING_BYTES = 64 * 2**20
"""Room for embeddings kept: some 3,000 prompts of the built-in model, 280 of CLIP ViT-L/14."""


class ModelRunner:
    """Belongs to the loop's thread. Encoders are loaded and frames decoded in threads beside it, so
    that neither holds up the steps of others.
    """

    def __init__(self, backbone: Backbone, residency: Residency, observer: Observer) -> None:
        self.backbone = backbone
        self.residency = residency
        self.observer = observer
        self.loads = EncoderLoader(residency)
        self.steps = 0
        self.denoise_seconds = 0.0
        self._embeddings: OrderedDict[tuple[str | None, str, bool], Tensor] = OrderedDict()
        self._embedding_bytes = 0
        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="decode")

    def stop(self) -> None:
        """Ends the threads after what they are at; what has not begun is cancelled."""
        self.loads.stop()
        self._decoder.shutdown(wait=True, cancel_futures=True)

    def begin(self, request: GenerationRequest, held: Future[EncoderLease]) -> Run:
        """Starts a request with the encoder that is held for it.

        Raises:
            RequestInvalid: the backbone cannot do it.
            EncoderNotFound, EncoderInvalid: its encoder has gone, or is not what it was when the
                request was accepted. There is no falling back to the base.
            OutOfMemory: there was no room for it.
        """
        request.check(self.backbone.capabilities)
        try:
            encoder = held.result()
        except Exception as error:
            raise _told(error) from error
        is_video = request.frames is not None

        def start() -> Run:
            return self.backbone.begin(
                request, encoder.overrides, lambda prompt: self._embed(prompt, encoder, is_video)
            )

        started = perf_counter()
        run = self._retry_out_of_memory(start)
        self.observer.encoded(perf_counter() - started)
        return run

    def step(self, batch: Sequence[Run]) -> None:
        """Advances requests of one shape by one step each.

        Raises:
            OutOfMemory: there was no room for it; none of them has moved.
        """
        started = perf_counter()
        self._retry_out_of_memory(lambda: self.backbone.step(batch))
        seconds = perf_counter() - started
        self.denoise_seconds += seconds
        self.steps += len(batch)
        self.observer.stepped(seconds, len(batch))

    def decode_beside(self, run: Run) -> Future[Frames | None]:
        """The frames of a request whose steps are done, made beside the loop; None if there was no
        room for that or it cannot be, and `decode` may make them.
        """
        if not self.backbone.decodes_beside:
            cannot: Future[Frames | None] = Future()
            cannot.set_result(None)
            return cannot
        return self._decoder.submit(self._try_to_decode, run)

    def decode(self, run: Run) -> Frames:
        """The same, now, while nobody takes a step. Raises OutOfMemory."""
        return self._retry_out_of_memory(lambda: self._decode(run))

    def _try_to_decode(self, run: Run) -> Frames | None:
        try:
            return self._decode(run)
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
        return None  # not the error: it would keep tensors alive

    def _decode(self, run: Run) -> Frames:
        started = perf_counter()
        frames = run.decode()
        self.observer.decoded(perf_counter() - started)
        return frames

    @torch.no_grad()
    def _embed(self, prompt: str, encoder: EncoderLease, is_video: bool) -> Tensor:
        """The prompt's embedding (1,L,D), kept under (digest, prompt, what for): an id may come to
        name another encoder, a digest never does.

        One prompt at a time: in bfloat16 a batch gives other numbers than each prompt alone.
        """
        key = (encoder.digest, prompt, is_video)
        if key not in self._embeddings:
            embedding = self.backbone.embed([prompt], encoder.overrides, is_video=is_video)
            self._embeddings[key] = embedding
            self._embedding_bytes += embedding.nbytes
        self._embeddings.move_to_end(key)
        while self._embedding_bytes > EMBEDDING_BYTES and len(self._embeddings) > 1:
            self._embedding_bytes -= self._embeddings.popitem(last=False)[1].nbytes
        return self._embeddings[key]

    def _retry_out_of_memory(self, action: Callable[[], T]) -> T:
        """Runs `action`; if there is no room, frees what can be freed and runs it once more.

        Raises:
            OutOfMemory: there was no room the second time either.
        """
        try:
            return action()
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
        # Tried again outside of the handler: the exception keeps the step's tensors alive.
        self._embeddings.clear()
        self._embedding_bytes = 0
        if self.backbone.device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            return action()
        except Exception as error:
            raise _told(error) from error


def _told(error: Exception) -> Exception:
    """The error for whoever asked."""
    if not _is_out_of_memory(error):
        return error
    return OutOfMemory(
        "The device is out of memory for this request: ask for fewer frames, or later."
    )


def _is_out_of_memory(error: Exception) -> bool:
    """On a CPU torch says so in words only, with a plain RuntimeError."""
    is_cpu = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return is_cpu or isinstance(error, (torch.OutOfMemoryError, MemoryError))
