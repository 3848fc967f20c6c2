"""Families that run as stock pipelines.

Each request gets its own pipeline object, in which a stand-in with the request's encoder replaces
the text encoder. All weights are shared, no state is. Requests take turns after each step of their
noise schedulers, but cannot share a step.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import diffusers
import torch
import transformers
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from transformers import PreTrainedModel

from encoders.text_encoder import TextEncoder
from video.checkpoints.diffusers_directory import ModelFiles
from video.errors import BackboneInvalid, NoNativeDenoiser
from video.families.backbone_parts import backbone_parts
from video.families.options import Options, clip_size
from video.families.supported_pipelines import SUPPORTED_PIPELINES, PipelineSpec
from video.generation_request import GenerationRequest
from video.models.backbone import Backbone, BackboneParts
from video.models.denoiser import Denoiser
from video.models.pipeline_run import PipelineRun
from video.models.placement import Placement
from video.models.prompt_encoder import PromptEncoder
from video.models.tokens import Tokens

FOLDERS = ("tokenizer", "text_encoder", "vae", "transformer", "transformer_2", "scheduler")


class PipelineBackbone(Backbone):
    """A stock text-to-video pipeline.

    Args:
        parts: the text encoder and the rest that every backbone has.
        options: with the device and the denoiser's precision.
        pipeline: the pipeline's class.
        components: its constructor's arguments, but for the text encoder.
        spec: the arguments of its call.
    """

    is_native = False
    decodes_beside = False  # the pipeline decodes in its own call

    def __init__(
        self,
        parts: BackboneParts,
        options: Options,
        *,
        pipeline: type[Any],
        components: Mapping[str, Any],
        spec: PipelineSpec,
    ) -> None:
        super().__init__(parts, options.placement.device, options.dtype)
        self._pipeline = _with_device(pipeline, self.device)
        self._components = dict(components)
        self._spec = spec

    def embed(
        self,
        prompts: Sequence[str],
        overrides: Mapping[str, Tensor] | None = None,
        *,
        is_video: bool = True,
    ) -> Tensor:
        return self.text_encoder.encode(self.tokenize(prompts), overrides)

    def denoiser(self, is_video: bool) -> Denoiser:
        raise NoNativeDenoiser(
            f"{self._pipeline.__name__} runs as a stock pipeline, so that its denoiser cannot be "
            "learned from: use the method 'redirect', which needs none."
        )

    def begin(self, request: GenerationRequest, encoder: PromptEncoder) -> PipelineRun:
        noise_scheduler: Any = self._components["scheduler"]
        pipeline = self._pipeline(
            **{
                **self._components,
                "scheduler": type(noise_scheduler).from_config(noise_scheduler.config),
                "text_encoder": TextEncoderStandIn(self, encoder),
            }
        )
        pipeline.set_progress_bar_config(disable=True)
        frames = request.frames or 1
        arguments: dict[str, Any] = {
            **self._spec.arguments,
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
            self._spec.frames_argument: self._spec.possible_frames(frames),
            "width": self.capabilities.native_width,
            "height": self.capabilities.native_height,
            "generator": torch.Generator("cpu").manual_seed(request.seed),
            "output_type": "np",
        }
        return PipelineRun(pipeline, arguments, lambda output: output.frames[0][:frames])

    def step(self, states: Sequence[PipelineRun]) -> None:
        for state in states:
            state.advance()


class TextEncoderStandIn(nn.Module):
    """A module that a pipeline takes for its text encoder; it calls one request's encoder."""

    def __init__(self, backbone: Backbone, encoder: PromptEncoder) -> None:
        super().__init__()
        self._encoder = encoder
        self.device = backbone.device
        self.dtype = backbone.dtype  # pipelines cast embeddings to it, for the denoiser
        self.config = backbone.text_encoder.module.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
        """Return all outputs of the text model."""
        return self._encoder.forward(input_ids=input_ids, attention_mask=attention_mask)


def _with_device(pipeline: type[Any], device: torch.device) -> type[Any]:
    """Return a pipeline class that computes on a device, wherever its components are stored."""
    execution_device = property(lambda _: device)
    return type(pipeline.__name__, (pipeline,), {"_execution_device": execution_device})


def load_text_encoder(files: ModelFiles, options: Options) -> tuple[Tokens, TextEncoder]:
    """Load the tokenizer and the encoder of T5 or umT5. Raises BackboneInvalid."""
    spec = SUPPORTED_PIPELINES[files.pipeline]
    tokenizer = files.tokenizer("T5Tokenizer", "T5TokenizerFast")
    tokens = Tokens(tokenizer, spec.prompt_tokens, spec.cleaning)
    module = files.load("text_encoder", spec.encoder, "auto")
    return tokens, options.text_encoder(module, padding=spec.padding, pad_token=tokens.pad)


def load(files: ModelFiles, options: Options) -> PipelineBackbone:
    """Load a pipeline of `SUPPORTED_PIPELINES`. Raises BackboneInvalid."""
    spec = SUPPORTED_PIPELINES[files.pipeline]
    pipeline = cast(type[Any], getattr(diffusers, files.pipeline))
    if options.twin is not None:
        raise BackboneInvalid(
            f"{files.directory} is a {files.pipeline}, which runs as a stock pipeline and learns "
            "from no image twin: leave PALIMPSEST_TWIN out."
        )
    tokens, text_encoder = load_text_encoder(files, options)
    components: dict[str, Any] = {"tokenizer": tokens.tokenizer}
    for name in inspect.signature(pipeline.__init__).parameters:
        if name == "scheduler":
            components[name] = files.noise_scheduler()
        elif isinstance(files.index.get(name), (int, float, bool)):
            components[name] = files.index[name]  # a setting, stored in the index itself
        elif files.kind(name) and name not in ("tokenizer", "text_encoder"):
            dtype = torch.float32 if name in spec.full_precision else options.dtype
            module = files.load(name, _class(files, name), dtype)
            if name == "vae":
                module.enable_tiling()
            components[name] = placed(module, options.placement)
    size = clip_size(options, spec.size, spec.multiple)
    return PipelineBackbone(
        backbone_parts(files, options, tokens, text_encoder, size, spec.defaults),
        options,
        pipeline=pipeline,
        components=components,
        spec=spec,
    )


def placed(module: Any, placement: Placement) -> Any:
    """Return a component that moves to the device when the pipeline calls it."""
    placement.put(module)
    if not placement.offloads:
        return module
    for name in ("forward", "encode", "decode"):
        if (method := getattr(module, name, None)) is not None:
            setattr(module, name, _fetching(method, module, placement))
    return module


def _fetching(
    method: Callable[..., Any], module: nn.Module, placement: Placement
) -> Callable[..., Any]:
    def fetch_and_call(*arguments: Any, **options: Any) -> Any:
        placement.fetch(module)
        return method(*arguments, **options)

    return fetch_and_call


def _class(files: ModelFiles, component: str) -> Any:
    """Return a component's class, of diffusers or transformers. Raises BackboneInvalid."""
    name = str(files.kind(component))
    for library, kind in ((diffusers, ModelMixin), (transformers, PreTrainedModel)):
        found = getattr(library, name, None)
        if isinstance(found, type) and issubclass(found, kind):
            return found
    raise BackboneInvalid(f"{files.directory}: {component} is a {name}, which is no known model.")
