"""Families that run as stock pipelines: a pipeline object for each request, whose text encoder is a
stand-in that lays the request's overrides over the base.

All weights are shared, no state is. Requests take turns at their schedulers' steps, but share none.
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
from video.families.options import Options, size_of
from video.families.parts import parts_of
from video.families.supported_pipelines import SUPPORTED_PIPELINES, PipelineSpec
from video.generation_request import GenerationRequest
from video.models.backbone import Backbone, BackboneInvalid, BackboneParts, NoNativeDenoiser
from video.models.denoiser import Denoiser
from video.models.pipeline_run import PipelineRun
from video.models.placement import Placement
from video.models.tokens import Tokens

FOLDERS = ("tokenizer", "text_encoder", "vae", "transformer", "transformer_2", "scheduler")


class PipelineBackbone(Backbone):
    """A text-to-video pipeline of which each request has an object of its own."""

    is_native = False
    decodes_beside = False  # the pipeline decodes in its own call

    def __init__(
        self,
        basics: BackboneParts,
        options: Options,
        *,
        pipeline: type[Any],
        components: Mapping[str, Any],
        tried: PipelineSpec,
    ) -> None:
        super().__init__(basics, options.placement.device, options.dtype)
        self._pipeline = _placed(pipeline, self.device)
        self._components = dict(components)
        self._tried = tried

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

    def begin(
        self,
        request: GenerationRequest,
        overrides: Mapping[str, Tensor] | None,
        embed: Callable[[str], Tensor],
    ) -> PipelineRun:
        scheduler: Any = self._components["scheduler"]
        pipeline = self._pipeline(
            **{
                **self._components,
                "scheduler": type(scheduler).from_config(scheduler.config),
                "text_encoder": StandIn(self, overrides),
            }
        )
        pipeline.set_progress_bar_config(disable=True)
        frames = request.frames or 1
        arguments: dict[str, Any] = {
            **self._tried.arguments,
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
            self._tried.frames: self._tried.makes(frames),
            "width": self.capabilities.native_width,
            "height": self.capabilities.native_height,
            "generator": torch.Generator("cpu").manual_seed(request.seed),
            "output_type": "np",
        }
        return PipelineRun(pipeline, arguments, lambda output: output.frames[0][:frames])

    def step(self, runs: Sequence[PipelineRun]) -> None:
        for run in runs:
            run.advance()


class StandIn(nn.Module):
    """What a pipeline takes for its text encoder: the base, with one request's overrides."""

    def __init__(self, backbone: PipelineBackbone, overrides: Mapping[str, Tensor] | None) -> None:
        super().__init__()
        text_encoder = backbone.text_encoder
        self._fetch, self._encode = text_encoder.fetch, text_encoder.forward
        self._overrides = overrides
        self.device = backbone.device
        self.dtype = backbone.dtype  # in which the denoiser wants embeddings
        self.config = text_encoder.module.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
        """All that the text model returns."""
        self._fetch()
        return self._encode(self._overrides, input_ids=input_ids, attention_mask=attention_mask)


def _placed(pipeline: type[Any], device: torch.device) -> type[Any]:
    """The pipeline, computing on a device wherever its parts are waiting."""
    where = property(lambda _: device)
    return type(pipeline.__name__, (pipeline,), {"_execution_device": where})


def load_text_encoder(files: ModelFiles, options: Options) -> tuple[Tokens, TextEncoder]:
    """The tokenizer and T5's or umT5's encoder. Raises BackboneInvalid."""
    tried = SUPPORTED_PIPELINES[files.pipeline]
    tokenizer = files.tokenizer("T5Tokenizer", "T5TokenizerFast")
    tokens = Tokens(tokenizer, tried.prompt_tokens, tried.clean)
    module = files.load("text_encoder", tried.encoder, "auto")
    return tokens, options.text_encoder(module, padding=tried.padding, pad_token=tokens.pad)


def load(files: ModelFiles, options: Options) -> PipelineBackbone:
    """A pipeline of those that were tried. Raises BackboneInvalid."""
    tried = SUPPORTED_PIPELINES[files.pipeline]
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
            components[name] = files.scheduler()
        elif isinstance(files.index.get(name), (int, float, bool)):
            components[name] = files.index[name]  # a setting
        elif files.kind(name) and name not in ("tokenizer", "text_encoder"):
            dtype = torch.float32 if name in tried.full_precision else options.dtype
            module = files.load(name, _class(files, name), dtype)
            if name == "vae":
                module.enable_tiling()
            components[name] = placed(module, options.placement)
    size = size_of(options, tried.size, tried.multiple)
    return PipelineBackbone(
        parts_of(files, options, tokens, text_encoder, size, tried.defaults),
        options,
        pipeline=pipeline,
        components=components,
        tried=tried,
    )


def placed(module: Any, placement: Placement) -> Any:
    """A component that is fetched to the device when the pipeline uses it."""
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
    def fetched(*arguments: Any, **options: Any) -> Any:
        placement.fetch(module)
        return method(*arguments, **options)

    return fetched


def _class(files: ModelFiles, component: str) -> Any:
    """A component's class: a model of diffusers' or transformers'. Raises BackboneInvalid."""
    name = str(files.kind(component))
    for library, kind in ((diffusers, ModelMixin), (transformers, PreTrainedModel)):
        found = getattr(library, name, None)
        if isinstance(found, type) and issubclass(found, kind):
            return found
    raise BackboneInvalid(f"{files.directory}: {component} is a {name}, which is no known model.")
