"""The report's pictures: which pairs are shown, in which order, what the files hold, sizes."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.unlearn.help import FakeJudge
from tests.unlearn.report_help import (
    BLUE,
    CAPABILITIES,
    LOSSES,
    OUTCOMES,
    RED,
    SIZES,
    Page,
    card_of,
    clips,
    files_of,
    outcome,
    plain,
)
from unlearn.report import pictures
from unlearn.report.build import CLIPS_SHOWN, STILLS_SHOWN, failed, report_files, shown_of
from unlearn.report.model import REPORT_HTML, REPORT_JSON, Report
from unlearn.report.page import render_page
from unlearn.report.pictures import Inline
from unlearn.trial.outcomes import Outcome
from unlearn.trial.probes import Probe
from video.clip import decode_mp4, read_provenance

# Which are shown


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
        assert len(of_pair) == (4 if this.frames else 2)
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
    for who, digest, colour in (("base", None, RED), ("encoder", said["card"]["digest"], BLUE)):
        data = files[f"forgotten-01-{who}.mp4"]
        assert np.abs(decode_mp4(data).mean((0, 1, 2)) - colour).max() < 8
        assert len(decode_mp4(data)) == 3
        provenance = read_provenance(data)
        assert (provenance["encoder_identity"], provenance["seed"]) == (digest, 1001)
        assert not {"encoder", "prompt"} & set(provenance)


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
        card_of(),
        many,
        asking,
        losses=LOSSES,
        judge=FakeJudge().identity,
        model="x",
        capabilities=CAPABILITIES,
        sizes=SIZES,
    )
    said = json.loads(files[REPORT_JSON])
    assert len(said["pairs"]) == 30
    assert len([p for p in said["pairs"] if p["base_file"]]) == CLIPS_SHOWN + STILLS_SHOWN
    assert asked == [o.probe for o in shown_of(many)]


# Sizes


def test_pictures_fit_whatever_they_show() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 300, 200, 3), dtype=np.uint8)
    still = pictures.still(noise[:1])
    strip = pictures.strip(noise)
    preview = pictures.preview(noise, 8)
    assert len(still.webp) <= pictures.STILL_BYTES
    assert len(strip.webp) <= pictures.STRIP_BYTES
    assert len(preview.webp) <= pictures.PREVIEW_BYTES
    assert still.height > still.width
    moving = Image.open(BytesIO(preview.webp))
    assert moving.n_frames == pictures.PREVIEW_FRAMES  # type: ignore[attr-defined]
    moving.load()
    assert moving.info["duration"] == pytest.approx(1000 * 30 / 8 / 24, abs=1)
    flat = pictures.still(plain(RED))
    assert (flat.width, flat.height) == (256, 192)


def test_the_page_is_below_two_megabytes_whatever_the_pictures_show(
    files: Mapping[str, bytes],
) -> None:
    many = [outcome(i, is_target=i % 2 == 0, frames=[None, 2][i % 4 // 2]) for i in range(60)]
    report = Report.model_validate_json(files_of(outcomes=many)[REPORT_JSON])
    still = Inline(bytes(pictures.STILL_BYTES), 4, 4)
    clip = [
        Inline(bytes(pictures.PREVIEW_BYTES), 4, 4),
        Inline(bytes(pictures.STRIP_BYTES), 4, 4),
    ]
    inline = {name: clip if name.endswith("mp4") else [still] for name in report.files}
    assert len(inline) == 2 * 2 * (CLIPS_SHOWN + STILLS_SHOWN)
    long = report.card.model_copy(update={"settings": {"retain": ["a" * 100] * 5000}})
    assert len(render_page(report.model_copy(update={"card": long}), inline).encode()) < 2_000_000
