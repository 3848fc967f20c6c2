"""Model runner: executes requests on the device, and measures the cost of each part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from time import perf_counter
from typing import TypeVar

import torch

from encoders.residency import Residency
from video.engine.encoder_loader import EncoderLease, EncoderLoader
from video.engine.fair_pool import FairPool
from video.engine.observer import Observer
from video.engine.ticket import OutOfMemory
from video.frames import Frames
from video.generation_request import GenerationRequest
from video.models.backbone import Backbone
from video.models.generation_state import GenerationState
from video.models.prompt_encoder import EmbeddingCache, TextDecisions

T = TypeVar("T")


class ModelRunner:
    """The backbone at work: leases encoders, embeds prompts, takes steps and decodes frames.

    Used by the engine's thread only. Encoders are loaded and frames decoded in other threads, so
    that neither delays the steps of other requests.
    """

    def __init__(self, backbone: Backbone, residency: Residency, observer: Observer) -> None:
        self.backbone = backbone
        self.residency = residency
        self.observer = observer
        self.steps = 0
        self.denoise_seconds = 0.0
        self._encoder_loader = EncoderLoader(residency)
        self._embeddings = EmbeddingCache()
        self._decoder = FairPool(1, "decode")

    def stop(self) -> None:
        """Cancel what has not started, and end the threads once the rest has finished."""
        self._encoder_loader.stop()
        self._decoder.shutdown(wait=True)

    def hold(self, request: GenerationRequest) -> Future[EncoderLease]:
        """Start to load a request's encoder; see `EncoderLoader.hold`."""
        return self._encoder_loader.hold(request.encoder)

    def begin(
        self, request: GenerationRequest, lease: Future[EncoderLease]
    ) -> tuple[GenerationState, TextDecisions]:
        """Start a request. Return its state, and the encoders' decisions about its texts.

        Args:
            request: the clip or still to make.
            lease: made by `hold` for this request, and done.

        Raises:
            RequestInvalid: the request exceeds the backbone's capabilities.
            EncoderNotFound: the encoder was deleted after the request was accepted.
            EncoderInvalid: the encoder was replaced or damaged after the request was accepted.
            OutOfMemory: the device has no room for the request.
        """
        request.check(self.backbone.capabilities)
        try:
            leased = lease.result()
        except Exception as error:
            raise _as_out_of_memory(error) from error
        is_video = request.frames is not None
        encoder = self.backbone.prompt_encoder(
            leased.members, is_video=is_video, cache=self._embeddings
        )
        started = perf_counter()
        state = self._retry_out_of_memory(lambda: self.backbone.begin(request, encoder))
        self.observer.embedded(perf_counter() - started)
        decisions = tuple(encoder.decisions)
        opened = [decision.is_open for each in decisions for decision in each]
        self.observer.decided(opened.count(True), opened.count(False))
        return state, decisions

    def step(self, batch: Sequence[GenerationState]) -> None:
        """Advance requests of one shape by one step each.

        Raises:
            OutOfMemory: the device has no room for the step; no request has advanced.
        """
        started = perf_counter()
        self._retry_out_of_memory(lambda: self.backbone.step(batch))
        seconds = perf_counter() - started
        self.denoise_seconds += seconds
        self.steps += len(batch)
        self.observer.stepped(seconds, len(batch))

    def decode_beside(self, owner: str, state: GenerationState) -> Future[Frames | None]:
        """Decode an owner's frames in another thread, once the request's steps are done.

        Returns:
            A future of the frames; of None if the backbone cannot decode beside steps or memory
            was short. Then call `decode`.
        """
        if not self.backbone.decodes_beside:
            cannot: Future[Frames | None] = Future()
            cannot.set_result(None)
            return cannot
        return self._decoder.submit(owner, self._try_to_decode, state)

    def decode(self, state: GenerationState) -> Frames:
        """Decode a request's frames now, while no step is taken. Raises OutOfMemory."""
        return self._retry_out_of_memory(lambda: self._decode(state))

    def _try_to_decode(self, state: GenerationState) -> Frames | None:
        try:
            return self._decode(state)
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
        return None  # the error itself would keep tensors alive

    def _decode(self, state: GenerationState) -> Frames:
        started = perf_counter()
        frames = state.decode()
        self.observer.decoded(perf_counter() - started)
        return frames

    def _retry_out_of_memory(self, action: Callable[[], T]) -> T:
        """Run `action`; if memory is short, free the caches and run it once more.

        Raises:
            OutOfMemory: memory was short the second time, too.
        """
        try:
            return action()
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
        # Repeated outside of the handler: the exception keeps the step's tensors alive.
        self._embeddings.clear()
        if self.backbone.device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            return action()
        except Exception as error:
            raise _as_out_of_memory(error) from error


def _as_out_of_memory(error: Exception) -> Exception:
    """Return an OutOfMemory for torch's errors of that kind, and any other error unchanged."""
    if not _is_out_of_memory(error):
        return error
    return OutOfMemory(
        "The device is out of memory for this request: ask for fewer frames, or later."
    )


def _is_out_of_memory(error: Exception) -> bool:
    """Return true for an error of missing memory. On a CPU, torch raises a plain RuntimeError."""
    is_cpu = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return is_cpu or isinstance(error, (torch.OutOfMemoryError, MemoryError))
