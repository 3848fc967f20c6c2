"""Caveats: the limits of unlearning in a text encoder, in plain words and with the figures."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, JsonValue

from unlearn.report.rates import percent, rate_of


class Caveat(BaseModel):
    """A conclusion that a report does not support."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    text: str


def caveats(measures: Mapping[str, JsonValue], judge: str) -> tuple[Caveat, ...]:
    """List the caveats of an encoder.

    Args:
        measures: its card's measures; a caveat leaves out the figures that they lack.
        judge: the name and version of the judge.
    """
    texts = (
        (
            "It redirects; it deletes nothing.",
            "What was changed is what a prompt means to the text encoder. Nothing was taken out of "
            "the denoiser, the part of the model that draws: it can still draw what this encoder "
            "no longer asks it for.",
        ),
        (
            "Anyone with the base encoder can undo it.",
            "With the base text encoder, or with embeddings of their own, anyone who has the "
            "model's files has the concept back. The encoder is a control for those who serve a "
            "model to others and do not hand out its weights; it is no guarantee about the "
            "weights.",
        ),
        (
            "There are attacks that need no such prompt.",
            "Inversion attacks look for an embedding, or for the noise of a given picture, that "
            "makes the denoiser draw the concept, and searches over prompts look for words that "
            "were not thought of. The first pass by the text encoder altogether. No attack was run "
            "for this report.",
        ),
        ("The judge is a model, and errs.", _judge(measures, judge)),
        ("The figures rest on a limited number of pictures.", _counts(measures)),
        (
            "They hold for what was tried.",
            "These prompts, these seeds, this model at these settings. The prompts were not used "
            "in making the encoder, but they are of its own language and manner; other wordings, "
            "longer prompts and other settings were not tried.",
        ),
    )
    return tuple(Caveat(title=title, text=text) for title, text in texts)


def _judge(measures: Mapping[str, JsonValue], judge: str) -> str:
    text = (
        f"Whether a picture shows a concept was decided by a classifier ({judge}), not by a person."
    )
    for name, asked in (
        ("base", "the concepts to be forgotten"),
        ("base_retain", "the concepts to be kept"),
    ):
        if rate := rate_of(measures, name):
            text += (
                f" Of {rate.n} pictures in which the base encoder was asked for {asked}, it "
                f"recognised {rate.said()}; in the rest the model did not draw what it was asked "
                "for, or the judge overlooked it."
            )
    return (
        f"{text} How often it overlooks a concept that is drawn in part, or unlike anything it was "
        "taught, these figures do not say. Look at the pictures."
    )


def _counts(measures: Mapping[str, JsonValue]) -> str:
    text = "Each rate has a 95 % interval, which says how far chance alone may reach."
    rate = rate_of(measures, "forget")
    if rate and rate.interval:
        text += (
            f" That the concept was gone from {percent(rate.rate)} of {rate.n} pictures in which "
            "the base shows it agrees with any true rate from "
            f"{percent(rate.interval[0])} to {percent(rate.interval[1])}."
        )
    gate = measures.get("gate")
    if isinstance(gate, dict) and gate.get("by_interval") is True:
        return f"{text} The numbers of pictures at which judging could stop were fixed beforehand."
    if measures.get("decision") == "clear":
        text += " Judging stopped when the answer was clear, which the intervals do not allow for."
    return text
