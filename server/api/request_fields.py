"""Fields that request bodies are made of, and their common base."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict


def _check_characters(text: str) -> str:
    if "\0" in text:  # databases cannot store it
        raise ValueError("must not contain the character NUL")
    return text


def _check_text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text.strip()


def _refuse_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


Line = Annotated[str, AfterValidator(_check_characters)]
Text = Annotated[Line, AfterValidator(_check_text)]
Number = BeforeValidator(_refuse_bool)


class StrictRequest(BaseModel):
    """Base of request bodies. Unknown fields are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
