"""Routes about the model: its limits and examples, and how it reads a prompt."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from encoders.composite import MAX_MEMBERS
from server.api.capabilities_models import (
    CallerAbilities,
    FieldRange,
    PromptCheck,
    PromptRequest,
    ServerCapabilities,
    Word,
)
from server.api.examples import PROMPT_EXAMPLES
from server.api.openapi import request_body
from server.api.request_parsing import check, read_fields
from server.api.video_parameters import default_size, deliverable_sizes, kept_of
from server.auth.access import may_use_base
from server.auth.guard import caller_of
from server.auth.keys import LOCAL, Caller
from server.errors import InvalidRequest
from server.runtime import Runtime, runtime_of
from server.served_model import ServedModel
from unlearn.methods.registry import method_names
from unlearn.trial.tiers import TIERS

router = APIRouter(prefix="/v1", tags=["models"])

_MOST_WORDS = 200


@router.get("/capabilities", summary="Look at the model's limits and the key's rights")
def get_capabilities(request: Request) -> ServerCapabilities:
    """Return the ranges of a request's fields, examples, and what the caller's key may do."""
    runtime, caller = runtime_of(request), caller_of(request)
    served, settings = runtime.model, runtime.settings
    model = served.capabilities
    return ServerCapabilities(
        model=served.name,
        steps=FieldRange(
            least=1, most=min(model.steps_max, settings.max_steps), default=model.steps_default
        ),
        guidance=FieldRange(least=0, most=30, default=model.guidance_default),
        frames=FieldRange(
            least=1, most=min(model.frames_max, settings.max_frames), default=model.frames_default
        ),
        fps=FieldRange(least=1, most=60, default=model.fps_default),
        sizes=deliverable_sizes(model, settings),
        default_size="{}x{}".format(*default_size(model)),
        max_prompt_tokens=model.prompt_tokens,
        max_prompt_chars=settings.max_prompt_chars,
        examples=list(served.examples),
        concepts={
            kind: {name: list(ways) for name, ways in names.items()}
            for kind, names in served.concepts.items()
        },
        judges=served.judge is not None,
        tiers={name: dict(gate) for name, gate in TIERS.items()},
        default_tier=settings.gate_tier,
        methods=method_names(),
        max_images=settings.max_images,
        max_image_bytes=settings.max_image_bytes,
        max_image_pixels=settings.max_image_pixels,
        max_body_bytes=settings.max_body_bytes,
        max_members=MAX_MEMBERS,
        caller=_abilities(runtime, caller),
    )


@router.post(
    "/prompts/check",
    summary="Count a prompt's tokens",
    openapi_extra=request_body(PromptRequest, PROMPT_EXAMPLES, is_idempotent=True),
)
async def check_prompt(request: Request) -> PromptCheck:
    """Say how many tokens a prompt has, word by word, and how far the model reads it."""
    text = check(PromptRequest, await read_fields(request, max_files=0)).prompt
    runtime = runtime_of(request)
    if len(text) > runtime.settings.max_prompt_chars:
        raise InvalidRequest(
            f"prompt has {len(text)} characters; at most {runtime.settings.max_prompt_chars} are "
            "taken.",
            param="prompt",
        )
    return await run_in_threadpool(_check, text, runtime.model)


def _check(text: str, model: ServedModel) -> PromptCheck:
    tokens, most = model.prompt_tokens(text), model.capabilities.prompt_tokens
    kept = text if tokens <= most else kept_of(text, model)
    empty = model.prompt_tokens("")
    found = list(re.finditer(r"\S+", text))[:_MOST_WORDS]
    return PromptCheck(
        tokens=tokens,
        max_prompt_tokens=most,
        fits=tokens <= most,
        kept=kept,
        words=[
            Word(
                text=word[0],
                tokens=model.prompt_tokens(word[0]) - empty,
                read=word.end() <= len(kept),
            )
            for word in found
        ],
    )


def _abilities(runtime: Runtime, caller: Caller) -> CallerAbilities:
    return CallerAbilities(
        id=caller.id,
        role=caller.role,
        needed=caller is not LOCAL,
        base=may_use_base(caller),
        default_encoder=caller.default_encoder,
        sets=runtime.settings.ad_hoc_sets,
    )
