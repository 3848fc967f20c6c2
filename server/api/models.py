"""Routes of `/v1/models`: the names that a request's `model` can have."""

from __future__ import annotations

from fastapi import APIRouter, Request

from server.api.encoder_objects import in_listing, is_usable
from server.api.response_models import Model, Page
from server.auth.access import is_listed, visible_cards
from server.auth.guard import caller_of
from server.auth.keys import BASE
from server.errors import NotFound
from server.runtime import runtime_of

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("", summary="List models")
def list_models(request: Request) -> Page[Model]:
    """List the base and every encoder and alias that the caller may use."""
    return Page[Model].of(_models(request))


@router.get("/{model_id}", summary="Look at a model")
def get_model(request: Request, model_id: str) -> Model:
    """Return one of the listed models."""
    for model in _models(request):
        if model.id == model_id:
            return model
    raise NotFound(f"There is no model {model_id[:80]!r}.", param="model", code="model_not_found")


def _models(request: Request) -> list[Model]:
    caller = caller_of(request)
    runtime = runtime_of(request)
    model = runtime.model
    root = model.name
    most = model.capabilities.prompt_tokens
    models: list[Model] = []
    if is_listed(caller, BASE):
        models.append(
            Model(
                id=root,
                created=0,
                root=root,
                parent=None,
                encoder=BASE,
                usable=True,
                max_prompt_tokens=most,
            )
        )
    cards = runtime.encoders.cards()
    published, refused = in_listing(cards), runtime.storage.audits.refused()
    made = {
        card.id: card
        for card in visible_cards(caller, cards, runtime.aliases)
        if card.base == model.base
    }
    names = {encoder_id: encoder_id for encoder_id in made}
    for alias, target in runtime.aliases.all().items():
        if target in made and is_listed(caller, alias):
            names[alias] = target
    models.extend(
        Model(
            id=f"{root}:{name}",
            created=int(made[target].created_at.timestamp()),
            root=root,
            parent=root,
            encoder=target,
            usable=is_usable(made[target], published, model, refused),
            max_prompt_tokens=most,
        )
        for name, target in names.items()
    )
    return models
