"""Ways that nobody listed: candidates, what forgetting them costs, and the search for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from encoders import Card, Concept
from encoders.composite import concepts_of
from encoders.way import Way
from tests.unlearn.report_help import card_of
from unlearn.judges.classifier import ClassifierJudge
from unlearn.prompts import mentions, names_of, retained_captions
from unlearn.report.tables import way_rows
from unlearn.trial.probes import target_prompts
from unlearn.ways import find_ways
from unlearn.ways.candidates import candidate_steps
from unlearn.ways.costs import why_kept
from unlearn.ways.search import Sight, WaySearch, count_of_candidates, sights_of
from video.capabilities import Capabilities
from video.load import load_backbone
from video.models.backbone import Backbone
from video.models.prompt_book import PromptBook

CAPABILITIES = Capabilities(native_width=64, native_height=64, frames_max=16)
BOOK = PromptBook(
    retain=(
        "the woman with red glasses by the sea",
        "a woman in a meadow",
        "a fox with a big tail",
        "suri at night",
        "a house",
    ),
    generic={"person": "a person"},
    concepts={
        "person": {"suri": ("the woman with red glasses",), "mira": ("a woman with an afro",)},
        "object": {"house": ()},
    },
)
SURI = Concept(name="suri", kind="person")


def way(phrase: str, *, rate: float = 1.0, reason: str = "") -> Way:
    return Way(
        phrase=phrase, rate=rate, interval=(0.6, 1.0), n=8, forgotten=not reason, reason=reason
    )


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    return load_backbone(tiny_backbone_dir, device="cpu")


def search_of(candidates: list[str], pictures: int = 64) -> WaySearch:
    return WaySearch(
        SURI, candidates, book=BOOK, capabilities=CAPABILITIES, pictures=pictures, retain=()
    )


def run(search: WaySearch, draws: dict[str, list[bool]], others: tuple[str, ...] = ()) -> list[int]:
    """Run a search in which each phrase shows the concept as listed; return pictures a round."""
    made: list[int] = []
    seen = dict.fromkeys(draws, 0)
    while looks := search.next_round():
        made.append(len(looks))
        sights: list[Sight] = []
        for look in looks:
            answers = draws[look.phrase]
            sights.append(Sight(answers[seen[look.phrase] % len(answers)], others))
            seen[look.phrase] += 1
        search.tell(looks, sights)
    return made


def test_candidates_have_no_name_and_the_same_words_come_again(backbone: Backbone) -> None:
    concept = Concept(name="pogo", kind="character", synonyms=("metal friend",))
    names = names_of(concept, backbone.prompts)
    *_, found = candidate_steps(concept, backbone, 40)
    assert len(found) == len(set(found)) == 40
    assert not any(mentions(one, names) for one in found)
    assert {"robot", "purple"} & {word for one in found for word in one.split()}
    *_, again = candidate_steps(concept, backbone, 10)
    assert again == found[:10]


@pytest.mark.parametrize("concept", ["dottie", "spinning"])
def test_every_kind_has_candidates(backbone: Backbone, concept: str) -> None:
    kind = "style" if concept == "dottie" else "motion"
    *_, found = candidate_steps(Concept(name=concept, kind=kind), backbone, 8)
    assert len(found) == 8


def test_more_pictures_go_to_what_showed_the_concept() -> None:
    draws = {"glasses": [True], "red": [False], "sun": [True, False, False], "lady": [True]}
    search = search_of([*draws, *(f"word{i}" for i in range(12))])
    draws |= {f"word{i}": [False] for i in range(12)}
    assert count_of_candidates(64) == 16
    assert run(search, draws) == [32, 12, 16]
    found = {one.phrase: one for one in search.ways()}
    assert set(found) == {"glasses", "lady"}
    assert (found["glasses"].rate, found["glasses"].n) == (1.0, 12)
    assert found["glasses"].interval[0] == pytest.approx(0.7575, abs=1e-3)


def test_pictures_depend_on_the_phrase_alone() -> None:
    first, second = search_of(["glasses", "sun"]), search_of(["sun"])
    one = {look.request.seed: look.request for look in first.next_round() if look.phrase == "sun"}
    other = {look.request.seed: look.request for look in second.next_round()}
    assert one == other
    assert len(other) == 2
    assert all(request.low_priority and request.frames is None for request in other.values())


def test_what_costs_something_else_is_reported_and_not_forgotten() -> None:
    search = search_of(["woman", "glasses", "tail"])
    run(search, {"woman": [True], "glasses": [True], "tail": [True]})
    fates = {one.phrase: one for one in search.ways()}
    assert fates["glasses"].forgotten  # its only caption means suri
    assert "a woman in a meadow" in fates["woman"].reason
    assert "a fox with a big tail" in fates["tail"].reason
    also = search_of(["glasses"])
    run(also, {"glasses": [True]}, others=("mira",))
    [one] = also.ways()
    assert not one.forgotten
    assert one.reason == "It also draws mira (12 of 12)."


def test_costs_are_of_captions_names_neutral_words_and_other_concepts() -> None:
    def cost(phrase: str, retain: tuple[str, ...] = (), **others: int) -> str:
        return why_kept(phrase, SURI, BOOK, retain=retain, others=others, n=10)

    assert cost("glasses") == ""
    assert "an afro" in cost("afro")  # a description of another
    assert "a person" in cost("person")
    assert "dim lights" in cost("lights", retain=("dim lights",))
    assert cost("lady", mira=1) == ""
    assert cost("lady", mira=2) == "It also draws mira (2 of 10)."


def test_a_forgotten_way_is_a_name_in_training_retention_and_judging() -> None:
    ways = (way("glasses"), way("sun", rate=0.3), way("woman", reason="shared"))
    concept = SURI.model_copy(update={"ways": ways})
    names = names_of(concept, BOOK)
    assert names == ["suri", "glasses", "sun", "the woman with red glasses"]
    assert "a woman in a meadow" in retained_captions(BOOK, names)
    asked = [prompt for prompt, _, _ in target_prompts(concept, BOOK)]
    assert "look, glasses" in asked
    assert not any("sun" in prompt and "sunset" not in prompt for prompt in asked)
    assert "look, woman" not in asked


def test_cards_without_ways_stay_as_they_were() -> None:
    card = card_of()
    assert b'"ways"' not in card.to_json()
    assert Card.of_encoder("no-pogo", card.to_json()) == card
    pogo = card.concepts[0].model_copy(update={"ways": (way("robot"), way("red", reason="why"))})
    changed = card.model_copy(update={"concepts": (pogo, *card.concepts[1:])})
    assert Card.of_encoder("no-pogo", changed.to_json()) == changed
    assert changed.identity == card.identity
    assert [row.fate for row in way_rows(changed)] == ["yes", "no. why"]
    assert [one.phrase for one in changed.without_trigger().concepts[0].ways] == ["robot"]
    with pytest.raises(ValidationError):
        way("")


def test_a_set_has_the_ways_of_its_members() -> None:
    closed = card_of(concepts=(SURI.model_copy(update={"ways": (way("glasses"),)}),))
    left = card_of(concepts=(SURI.model_copy(update={"ways": (way("glasses", reason="x"),)}),))
    for cards in ([closed, left], [left, closed]):
        [concept] = concepts_of(cards)
        assert [one.forgotten for one in concept.ways] == [True]


def test_the_judge_looks_for_the_concept_and_for_others_of_its_place(
    tiny_backbone_dir: Path,
) -> None:
    judge = ClassifierJudge.load(tiny_backbone_dir / "judge")
    concept = Concept(name="pogo", kind="character")
    looks = search_of(["glasses", "sun"]).next_round()
    clips = [np.full((1, 64, 64, 3), 60 * i, np.uint8) for i in range(len(looks))]
    sights = sights_of(looks, clips, concept, judge, with_others=True)
    seen = [judge.read(frames, "subject")[0] for frames in clips]
    assert [sight.shown for sight in sights] == [label == "pogo" for label in seen]
    expected = [() if label in ("pogo", "none") else (label,) for label in seen]
    assert [sight.others for sight in sights] == expected


def test_a_program_finds_ways_without_a_server(backbone: Backbone, tiny_backbone_dir: Path) -> None:
    judge = ClassifierJudge.load(tiny_backbone_dir / "judge")
    found = find_ways(Concept(name="pogo", kind="character"), backbone, judge, pictures=8)
    assert all(isinstance(one, Way) for one in found)  # a random model draws nothing
    clips = find_ways(Concept(name="spinning", kind="motion"), backbone, judge, pictures=4)
    assert len(clips) <= 1
