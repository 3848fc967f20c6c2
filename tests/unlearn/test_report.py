"""The report: its figures are the card's, its page holds what was judged and nothing that runs."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from encoders import Card, Concept, Kind
from unlearn import report_pictures
from unlearn.caveats import caveats
from unlearn.judging import Probe
from unlearn.measures import Outcome
from unlearn.rates import percent, rate_of, rates
from unlearn.report import (
    CLIPS_SHOWN,
    REPORT_HTML,
    REPORT_JSON,
    STILLS_SHOWN,
    Report,
    Sizes,
    failed,
    report_files,
    shown_of,
)
from unlearn.report_charts import MAX_POINTS, loss_curve, ticks
from unlearn.report_page import CSP, page
from unlearn.report_pictures import Inline
from video.backbone import Limits
from video.clip import decode_mp4, read_provenance
from video.requests import GenerationRequest

LIMITS = Limits(native_width=64, native_height=48, frames_max=16, guidance_default=2.5)
MEASURES: dict[str, Any] = {
    "forget_rate": 0.9375,
    "forget_interval": [0.7167, 0.9889],
    "forget_n": 16,
    "base_rate": 0.875,
    "base_interval": [0.6398, 0.9651],
    "base_n": 16,
    "retain_rate": 0.75,
    "retain_interval": [0.551, 0.88],
    "retain_n": 24,
    "base_retain_rate": 0.7917,
    "base_retain_interval": [0.5953, 0.9076],
    "base_retain_n": 24,
    "retain_other_kinds_rate": 0.0,
    "retain_other_kinds_interval": [0.0, 1.0],
    "retain_other_kinds_n": 0,
    "concepts": {
        "pogo": {
            "forget_rate": 0.6667,
            "interval": [0.3, 0.9032],
            "n": 6,
            "base_rate": 0.8571,
            "base_n": 7,
        },
        "neonix": {"forget_rate": 1.0, "interval": [0.7009, 1.0], "n": 9},
    },
    "retain_drop": 0.0417,
    "decision": "clear",
    "gate": {
        "min_forget_rate": 0.85,
        "max_retain_drop": 0.15,
        "min_base_rate": 0.55,
        "max_probes": 44,
    },
}
SIZES = Sizes(encoder_bytes=21_208, base_bytes=3_967_872, ratio=21_208 / 3_967_872)
LOSSES = [0.5, 0.4, 0.42, 0.1]
ENCODER = ("no-pogo", "sha256:" + "b" * 64)
RED, BLUE = (220, 30, 30), (30, 30, 220)


def card_of(**changes: Any) -> Card:
    values: dict[str, Any] = {
        "id": "no-pogo",
        "concepts": (
            Concept(name="pogo", kind="character", synonyms=("one-eyed robot",)),
            Concept(name="neonix", kind="style"),
        ),
        "method": "redirect",
        "settings": {"steps": 41, "learning_rate": 0.0123, "retain": ["a teapot"], "anchor": None},
        "seed": 987_654,
        "base": "sha256:" + "a" * 64,
        "digest": "sha256:" + "b" * 64,
        "stored": "sha256:" + "c" * 64,
        "parent": "no-neonix",
        "created_at": datetime(2026, 2, 3, 4, 5, tzinfo=UTC),
        "measures": MEASURES,
    }
    return Card.model_validate({**values, **changes})


def plain(colour: tuple[int, int, int], frames: int = 1) -> np.ndarray:
    """Frames of one colour; in a clip something small and black moves."""
    found = np.full((frames, 48, 64, 3), colour, np.uint8)
    for i in range(frames if frames > 1 else 0):
        found[i, 20:28, 8 * i : 8 * i + 8] = 0
    return found


def outcome(
    number: int,
    *,
    is_target: bool,
    frames: int | None = None,
    by_base: bool = True,
    by_encoder: bool | None = None,
) -> Outcome:
    """One in which all is well, unless told otherwise."""
    prompt = f"pogo no. {number}" if is_target else f"teapot no. {number}"
    request = GenerationRequest(prompt, seed=1000 + number, frames=frames)
    concept: tuple[str, Kind] = ("pogo", "character") if is_target else ("teapot", "object")
    probe = Probe(*concept, is_target, is_target, 0, request, replace(request, encoder=ENCODER))
    return Outcome(probe, by_base, not is_target if by_encoder is None else by_encoder)


def clips(probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """The base's are red, the encoder's blue."""
    return plain(RED, probe.base.frames or 1), plain(BLUE, probe.base.frames or 1)


OUTCOMES = [
    outcome(1, is_target=True, frames=3),
    outcome(2, is_target=True),
    outcome(3, is_target=True, by_base=False, by_encoder=True),
    outcome(4, is_target=False, frames=2),
    outcome(5, is_target=False),
    outcome(6, is_target=False, by_encoder=False),
    outcome(7, is_target=False, by_base=False, by_encoder=False),
]


def files_of(
    card: Card | None = None, outcomes: Sequence[Outcome] = OUTCOMES, **changes: Any
) -> dict[str, bytes]:
    values: dict[str, Any] = {
        "losses": LOSSES,
        "judge": "ClassifierJudge",
        "model": "starter",
        "limits": LIMITS,
        "sizes": SIZES,
    }
    return report_files(card or card_of(), outcomes, clips, **{**values, **changes})


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return files_of()


class Page(HTMLParser):
    """A parsed page: its elements with their attributes, and all its text. Refuses bad nesting."""

    VOID = ("img", "meta", "link", "br")

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.style = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def parsed(files: Mapping[str, bytes]) -> Page:
    return Page(files[REPORT_HTML].decode())


# What it says


def test_every_figure_of_the_json_is_the_cards(files: Mapping[str, bytes]) -> None:
    said = json.loads(files[REPORT_JSON])
    assert said["schema_version"] == 1
    assert said["card"] == json.loads(card_of().to_json())
    assert said["card"]["measures"] == MEASURES
    assert said["sizes"] == {
        "encoder_bytes": 21_208,
        "base_bytes": 3_967_872,
        "ratio": pytest.approx(0.005345, rel=1e-3),
    }
    assert said["losses"] == LOSSES
    assert said["sampling"] == {
        "width": 64,
        "height": 48,
        "fps": LIMITS.fps_default,
        "steps": LIMITS.steps_default,
        "guidance": 2.5,
    }
    assert set(said["software"]) == {
        "palimpsest",
        "python",
        "torch",
        "diffusers",
        "transformers",
    }
    asked = [(p["prompt"], p["seed"], p["concept"], p["kind"]) for p in said["pairs"]]
    probes = [o.probe for o in OUTCOMES]
    assert asked == [(p.base.prompt, p.base.seed, p.concept, p.kind) for p in probes]
    seen = [(p["shown_base"], p["shown_encoder"]) for p in said["pairs"]]
    assert seen == [(o.by_base, o.by_encoder) for o in OUTCOMES]
    assert [p["failed"] for p in said["pairs"]] == [False, False, True, False, False, True, False]
    assert Report.model_validate_json(files[REPORT_JSON]).model_dump(mode="json") == said


def test_the_page_says_every_figure_of_the_card(parsed: Page) -> None:
    for rate in rates(MEASURES):
        assert rate.label.title in parsed.text
        if rate.n:
            assert percent(rate.rate) in parsed.text
            assert rate.extent in parsed.text
    assert parsed.text.count("none judged") == 1
    card = card_of()
    for said in (
        *(card.base, card.digest, card.stored, "no-neonix", "987654", "2026-02-03 04:05 UTC"),
        *("21,208", "3,967,872", "0.5\u202f%", "one-eyed robot", "ClassifierJudge", "starter"),
        *("at least 85\u202f%", "at most 15\u202f%", "at least 55\u202f%"),
        *("learning rate0.0123", "steps41", "retaina teapot", "anchor–", "64 × 48 pixels"),
        *("66.7\u202f% (30 to 90.3), n = 6", "85.7\u202f%, n = 7", "100\u202f% (70.1 to 100)"),
        *(
            "at most 15\u202f%; it is 4.2\u202f%",
            "at most44",
            "The answer was clear",
            "at most 5\u202f%",
        ),
    ):
        assert said in parsed.text, said


def test_the_caveats_have_the_figures_and_are_on_the_page(parsed: Page) -> None:
    said = caveats(MEASURES, "ClassifierJudge")
    for caveat in said:
        assert caveat.title in parsed.text
        assert caveat.text in parsed.text
    everything = " ".join(caveat.text for caveat in said)
    assert "16 pictures" in everything
    assert "87.5\u202f% (64 to 96.5)" in everything  # what the judge recognised of the base's
    assert "from 71.7\u202f% to 98.9\u202f%" in everything
    assert "denoiser" in everything
    assert "%" not in " ".join(caveat.text for caveat in caveats({}, "x")).replace("95 %", "")


def test_a_report_without_much_to_say() -> None:
    bare = card_of(method="other", settings={}, parent=None, measures={})
    files = files_of(bare, [], losses=[])
    text = Page(files[REPORT_HTML].decode()).text
    assert set(files) == {REPORT_JSON, REPORT_HTML}
    assert "Loss" not in text
    assert "had to be reached" not in text
    assert "before and after" not in text


# Pairs


@pytest.mark.parametrize("decision", ["clear", "at the limit", "otherwise"])
def test_the_page_says_how_it_was_decided(decision: str) -> None:
    measures = {**MEASURES, "decision": decision, "gate": {"unheard_of": 3}}
    text = Page(files_of(card_of(measures=measures), [])[REPORT_HTML].decode()).text
    assert "unheard of3" in text
    assert ("was clear:" in text) == (decision == "clear")
    assert ("Judging stopped when" in text) == (decision == "clear")
    assert ("could not tell" in text) == (decision == "at the limit")
    assert ("Decision: otherwise" in text) == (decision == "otherwise")


def test_the_pairs_that_went_wrong_come_first(files: Mapping[str, bytes]) -> None:
    said = json.loads(files[REPORT_JSON])["pairs"]
    assert [p["base_file"] for p in said] == [
        "forgotten-01-base.mp4",
        "forgotten-03-base.png",
        "forgotten-02-base.png",
        "kept-01-base.mp4",
        "kept-03-base.png",
        "kept-02-base.png",
        "kept-04-base.png",
    ]
    text = Page(files[REPORT_HTML].decode()).text
    order = [text.index(f"no. {number}”") for number in (1, 3, 2, 4, 6, 5, 7)]
    assert order == sorted(order)
    assert text.count("The concept is still there.") == 1
    assert text.count("The concept is lost.") == 1
    assert "still shows it: 1 of 3 judged" in text
    assert "this encoder does not: 1 of 4 judged" in text


def test_each_pair_has_the_bases_picture_first_and_says_what_it_is(parsed: Page) -> None:
    images = parsed.all("img")
    assert len(images) == 2 * len(OUTCOMES) + 2 * 2  # a clip has a strip of frames, too
    for this in (o.probe.base for o in OUTCOMES):
        of_pair = [image for image in images if this.prompt in image["alt"]]
        for number, image in enumerate(of_pair):
            by, colour = ("base", RED) if 2 * number < len(of_pair) else ("this", BLUE)
            assert f"by the {by} encoder" in image["alt"]
            assert f"seed {this.seed}" in image["alt"]
            picture = Image.open(BytesIO(b64decode(image["src"].partition(",")[2])))
            assert picture.size == (int(image["width"]), int(image["height"]))
            assert np.abs(np.asarray(picture.convert("RGB")).mean((0, 1)) - colour).max() < 12
            moving = image["class"] == "moving"
            assert getattr(picture, "n_frames", 1) == ((this.frames or 1) if moving else 1)
    verdicts = re.findall(r"Judge: \w+ (not )?seen", parsed.text)
    assert len(verdicts) == 14
    assert sum(bool(unseen) for unseen in verdicts) == 6


def test_the_files_are_what_was_judged(files: Mapping[str, bytes]) -> None:
    said = json.loads(files[REPORT_JSON])
    pictures = set(files) - {REPORT_JSON, REPORT_HTML}
    assert {name: f"sha256:{sha256(files[name]).hexdigest()}" for name in pictures} == said["files"]
    still = np.asarray(Image.open(BytesIO(files["forgotten-02-encoder.png"])))
    assert np.array_equal(still, plain(BLUE)[0])
    for who, encoder, colour in (("base", "base", RED), ("encoder", "no-pogo", BLUE)):
        data = files[f"forgotten-01-{who}.mp4"]
        assert np.abs(decode_mp4(data).mean((0, 1, 2)) - colour).max() < 8
        assert len(decode_mp4(data)) == 3
        provenance = read_provenance(data)
        assert (provenance["encoder"], provenance["seed"]) == (encoder, 1001)
        assert provenance["prompt"] == "pogo no. 1"


OUTCOMES_OF_ANY_SORT = st.lists(
    st.builds(
        outcome,
        st.integers(0, 10**9),
        is_target=st.booleans(),
        frames=st.sampled_from([None, 3]),
        by_base=st.booleans(),
        by_encoder=st.booleans(),
    ),
    max_size=60,
    unique_by=lambda one: one.probe.base.seed,
)


@given(outcomes=OUTCOMES_OF_ANY_SORT, earlier=st.integers(0, 60))
def test_what_is_shown_is_bounded_and_was_shown_ever_since_it_was_judged(
    outcomes: list[Outcome], earlier: int
) -> None:
    shown = shown_of(outcomes)
    before = outcomes[:earlier]
    assert {o for o in shown if o in before} <= set(shown_of(before))
    for sort, most in (
        ((True, True), CLIPS_SHOWN),
        ((True, False), STILLS_SHOWN),
        ((False, True), CLIPS_SHOWN),
        ((False, False), STILLS_SHOWN),
    ):
        of_sort = [o for o in outcomes if _sort(o) == sort]
        wrong = [o for o in of_sort if failed(o)]
        fine = [o for o in of_sort if not failed(o)]
        assert [o for o in shown if _sort(o) == sort] == [*wrong, *fine][:most]


def _sort(outcome: Outcome) -> tuple[bool, bool]:
    return outcome.probe.is_target, outcome.probe.base.frames is not None


def test_all_pairs_are_listed_and_only_what_is_shown_is_asked_for() -> None:
    many = [outcome(i, is_target=True, frames=[None, 2][i % 2]) for i in range(30)]
    asked: list[Probe] = []

    def asking(probe: Probe) -> tuple[np.ndarray, np.ndarray]:
        asked.append(probe)
        return clips(probe)

    files = report_files(
        card_of(), many, asking, losses=LOSSES, judge="x", model="x", limits=LIMITS, sizes=SIZES
    )
    said = json.loads(files[REPORT_JSON])
    assert len(said["pairs"]) == 30
    assert len([p for p in said["pairs"] if p["base_file"]]) == CLIPS_SHOWN + STILLS_SHOWN
    assert asked == [o.probe for o in shown_of(many)]


# The page as a file


def test_nothing_of_the_page_is_elsewhere_and_nothing_runs(parsed: Page) -> None:
    for tag, attributes in parsed.elements:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form")
        assert not [name for name in attributes if name.startswith("on") or name == "srcset"]
        for name, value in attributes.items():
            assert "http://" not in value
            assert "https://" not in value
            if name == "src":
                assert value.startswith("data:image/webp;base64,")
            if name == "href":
                assert re.fullmatch(r"data:,|report/[a-z0-9-]+\.(mp4|png)", value)
    assert "url(" not in parsed.style
    assert "@import" not in parsed.style
    policies = [m["content"] for m in parsed.all("meta") if "http-equiv" in m]
    assert policies == [CSP]
    assert "default-src 'none'" in CSP
    assert "script-src" not in CSP


def test_tables_have_headers_and_there_is_one_title_of_each_rank(parsed: Page) -> None:
    assert len(parsed.all("h1")) == 1
    assert len(parsed.all("title")) == 2  # the page's, the curve's
    assert all(th["scope"] in ("row", "col") for th in parsed.all("th"))
    assert len(parsed.all("th")) > 20
    assert all(image["alt"] for image in parsed.all("img"))
    assert [a["lang"] for a in parsed.all("html")] == ["en"]


def test_the_same_input_makes_the_same_bytes(files: Mapping[str, bytes]) -> None:
    assert files_of() == files


MARKUP = st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=y>',
        "'",
        "&lt;",
        "&amp",
        "</style>",
        "<!--",
    ]
)
NASTY = st.lists(MARKUP | st.text(st.characters(exclude_categories=["C", "Z"])), min_size=1).map(
    lambda pieces: "".join(pieces)[:100] or "x"
)
STILL = Inline(b"webp", 4, 4)


@settings(max_examples=60, deadline=None)
@given(nasty=st.lists(NASTY, min_size=8, max_size=8))
def test_no_text_of_anybodys_becomes_markup(
    files: Mapping[str, bytes], parsed: Page, nasty: list[str]
) -> None:
    name, synonym, prompt, concept, setting, value, model, judge = nasty
    report = Report.model_validate_json(files[REPORT_JSON])
    pairs = [p.model_copy(update={"prompt": prompt, "concept": concept}) for p in report.pairs]
    card = card_of(
        concepts=[Concept(name=name, kind="style", synonyms=(synonym,))],
        method=value[:64],
        settings={setting: [value, {setting: value}]},
        measures={
            **MEASURES,
            f"{setting}_rate": 0.5,
            "decision": value,
            "concepts": {name: {}},
            "gate": {setting: value},
        },
    )
    hostile = report.model_copy(
        update={"card": card, "pairs": pairs, "model": model, "judge": judge}
    )
    inline = {n: [STILL, STILL] if n.endswith("mp4") else [STILL] for n in report.files}
    html = page(hostile, inline)
    seen = Page(html)
    assert {tag for tag, _ in seen.elements} <= {tag for tag, _ in parsed.elements} | {"code"}
    names = {name for _, attributes in parsed.elements for name in attributes}
    assert {name for _, attributes in seen.elements for name in attributes} <= names
    for text in (name, synonym, prompt, concept, value, model, judge):
        assert text in seen.text
    assert all(prompt in image["alt"] for image in seen.all("img"))
    assert "<script" not in html
    assert html.count("</style>") == 1


def test_control_characters_of_a_name_do_no_harm() -> None:
    name = "a\x00b\u202e\ud7ff\r\n\x0b<"
    card = card_of(concepts=[Concept(name=name, kind="style")])
    html = files_of(card, [])[REPORT_HTML].decode()
    assert "&lt;" in html
    assert Page(html).all("h1")


# Sizes


def test_pictures_fit_whatever_they_show() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 300, 200, 3), dtype=np.uint8)
    still = report_pictures.still(noise[:1])
    strip = report_pictures.strip(noise)
    preview = report_pictures.preview(noise, 8)
    assert len(still.webp) <= report_pictures.STILL_BYTES
    assert len(strip.webp) <= report_pictures.STRIP_BYTES
    assert len(preview.webp) <= report_pictures.PREVIEW_BYTES
    assert still.height > still.width
    moving = Image.open(BytesIO(preview.webp))
    assert moving.n_frames == report_pictures.PREVIEW_FRAMES  # type: ignore[attr-defined]
    moving.load()
    assert moving.info["duration"] == pytest.approx(1000 * 30 / 8 / 24, abs=1)
    flat = report_pictures.still(plain(RED))
    assert (flat.width, flat.height) == (256, 192)


def test_the_page_is_below_two_megabytes_whatever_the_pictures_show(
    files: Mapping[str, bytes],
) -> None:
    many = [outcome(i, is_target=i % 2 == 0, frames=[None, 2][i % 4 // 2]) for i in range(60)]
    report = Report.model_validate_json(files_of(outcomes=many)[REPORT_JSON])
    still = Inline(bytes(report_pictures.STILL_BYTES), 4, 4)
    clip = [
        Inline(bytes(report_pictures.PREVIEW_BYTES), 4, 4),
        Inline(bytes(report_pictures.STRIP_BYTES), 4, 4),
    ]
    inline = {name: clip if name.endswith("mp4") else [still] for name in report.files}
    assert len(inline) == 2 * 2 * (CLIPS_SHOWN + STILLS_SHOWN)
    long = report.card.model_copy(update={"settings": {"retain": ["a" * 100] * 5000}})
    assert len(page(report.model_copy(update={"card": long}), inline).encode()) < 2_000_000


# Drawings and figures


def test_the_curve_is_that_of_the_losses() -> None:
    losses = [float(loss) for loss in np.random.default_rng(1).normal(size=50)]
    points = Page(str(loss_curve(losses))).all("polyline")[0]["points"]
    x, y = np.array([[float(c) for c in point.split(",")] for point in points.split()]).T
    assert len(x) == 50
    assert np.allclose(np.diff(x), (x[-1] - x[0]) / 49, atol=0.11)
    slope, start = np.polyfit(losses, y, 1)
    assert slope < 0  # up is more
    assert np.allclose(y, start + slope * np.array(losses), atol=0.06)


@pytest.mark.parametrize("losses", [[0.0], [1.0, 1.0], [-3.0] * 5, list(range(1000, 0, -1))])
def test_a_curve_of_anything_is_drawn(losses: list[float]) -> None:
    drawn = Page(str(loss_curve(losses)))
    points = drawn.all("polyline")[0]["points"].split()
    assert 1 <= len(points) <= MAX_POINTS + 1
    assert f"{losses[-1]:.4g} at the last" in drawn.text
    assert not re.search("nan|inf", points[0] + points[-1])


@given(
    low=st.floats(-1e6, 1e6),
    span=st.one_of(st.just(0.0), st.floats(1e-6, 1e6)),
    most=st.integers(2, 10),
)
@example(low=5e-324, span=0.0, most=2)
def test_ticks_lie_around_what_they_measure(low: float, span: float, most: int) -> None:
    found = ticks(low, low + span, most)
    assert 2 <= len(found) <= 2 * most + 2
    assert found == sorted(set(found))
    assert found[0] <= low + 1e-9
    assert found[-1] >= low + span - 1e-9


def test_rates_are_read_in_their_order_and_the_unknown_come_last() -> None:
    read = rates({"odd_rate": 0.5, "odd_n": 4, **MEASURES, "flag_rate": True})
    assert [rate.name for rate in read] == [
        "forget",
        "base",
        "retain",
        "base_retain",
        "retain_other_kinds",
        "odd",
    ]
    assert read[-1].said() == "50\u202f%"
    assert rate_of(MEASURES, "retain_other_kinds") is None
    own = rates(MEASURES["concepts"]["pogo"])
    assert [(rate.interval, rate.n) for rate in own] == [((0.3, 0.9032), 6), (None, 7)]
    assert [percent(share) for share in (0, 0.9375, 1, 0.0053)] == [
        "0\u202f%",
        "93.8\u202f%",
        "100\u202f%",
        "0.5\u202f%",
    ]
