"""Judges that other packages install: found by name, checked, and used by a trial."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.unlearn.help import CAPABILITIES, ENCODER, POGO, FakeJudge
from unlearn.judges.base import JudgeInvalid
from unlearn.judges.classifier import ClassifierJudge
from unlearn.judges.load import GROUP, load_judge
from unlearn.trial.gate import Gate
from unlearn.trial.outcomes import outcome_of
from unlearn.trial.probes import judging_plan
from unlearn.trial.trial import Trial
from video.models.prompt_book import PromptBook

Install = Callable[..., None]

JUDGE = """
    from tests.unlearn.help import FakeJudge
    from unlearn.judges.base import JudgeIdentity

    class BookJudge(FakeJudge):
        def __init__(self, book):
            super().__init__()
            self.book = book
            self.bases = []
            self.identity = JudgeIdentity(name="book judge", version="2", hash="sha256:" + "1" * 64)

        def shows(self, frames, concept, kind, base=None):
            self.bases.append(base)
            return super().shows(frames, concept, kind)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that puts a package with a judge's entry point on `sys.path`."""
    modules: list[str] = []

    def put(source: str, attribute: str = "BookJudge", package: str = "book-judge") -> None:
        module = package.replace("-", "_")
        site = tmp_path / f"site-{package}"
        site.mkdir()
        (site / f"{module}.py").write_text(dedent(source))
        dist = site / f"{module}-2.0.dist-info"
        dist.mkdir()
        (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.0\n")
        (dist / "entry_points.txt").write_text(f"[{GROUP}]\nbook = {module}:{attribute}\n")
        monkeypatch.syspath_prepend(site)
        modules.append(module)

    yield put
    for module in modules:
        sys.modules.pop(module, None)


def test_an_installed_judge_is_found_by_its_name_and_gets_the_book(
    install: Install, book: PromptBook
) -> None:
    install(JUDGE)
    judge = load_judge("book", book)
    assert isinstance(judge, FakeJudge)
    assert judge.book is book  # type: ignore[attr-defined]
    assert str(judge.identity) == "book judge 2"


def test_a_trial_uses_it_and_hands_it_the_bases_frames(install: Install, book: PromptBook) -> None:
    install(JUDGE)
    judge = load_judge("book", book)
    assert isinstance(judge, FakeJudge)
    plan = judging_plan([POGO], encoder=ENCODER, judge=judge, book=book, capabilities=CAPABILITIES)
    trial = Trial(plan, [POGO], Gate())
    bases: list[object] = []
    while probes := trial.next_round():
        outcomes = []
        for probe in probes:
            base = judge.clip(probe.concept)
            encoder = judge.clip(None if probe.is_target else probe.concept)
            outcomes.append(outcome_of(probe, base, encoder, judge))
            bases.append(base)
        trial.tell(outcomes)
    assert Gate().failures(trial.measures()) == []
    assert len(bases) == len(trial.outcomes) > 0
    given = [base for base in judge.bases if base is not None]  # type: ignore[attr-defined]
    assert [id(base) for base in given] == [id(base) for base in bases]


def test_a_directory_goes_before_an_installed_judge_of_its_name(
    install: Install,
    book: PromptBook,
    tiny_backbone_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(JUDGE)
    monkeypatch.chdir(tmp_path)
    assert isinstance(load_judge("book", book), FakeJudge)
    (tmp_path / "book").symlink_to(tiny_backbone_dir / "judge")
    for source in ("book", "./book", Path("book")):
        assert isinstance(load_judge(source, book), ClassifierJudge)


@pytest.mark.parametrize("source", ["./book", "some/book", Path("book")])
def test_a_path_is_never_the_name_of_an_installed_judge(
    install: Install,
    book: PromptBook,
    source: str | Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(JUDGE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(JudgeInvalid, match="no installed judge"):
        load_judge(source, book)


def test_a_name_that_no_judge_has_is_refused_with_those_there_are(
    install: Install, book: PromptBook
) -> None:
    install(JUDGE)
    with pytest.raises(JudgeInvalid, match=r"no judge 'color'\. Installed are: .*owner/name"):
        load_judge("color", book)


@pytest.mark.parametrize(
    ("source", "attribute", "says"),
    [
        ("import no_such_module", "BookJudge", "cannot be imported .*no_such_module.*Reinstall"),
        (JUDGE, "NoSuchJudge", "cannot be imported .*NoSuchJudge.*Reinstall"),
        ("make = 3", "make", "cannot be made .*not callable.*documentation"),
        ("def make(book): raise OSError('no weights')", "make", "cannot be made .*no weights"),
        ("def make(book): return None", "make", "makes a NoneType .*`identity`.*`labels`.*`knows"),
        (
            JUDGE + "\n    def make(book):\n        return JudgeIdentity(name='', version='1')",
            "make",
            "cannot be made .*ValidationError",
        ),
        (
            JUDGE + "\n    BookJudge.shows = lambda self, frames, concept, kind: []",
            "BookJudge",
            r"the protocol .*: `shows\(frames, concept, kind, base=None\)` cannot be called\. I",
        ),
        (
            JUDGE + "\n    def make(book):\n        judge = BookJudge(book)"
            "\n        judge.labels = {'animal': ['cat']}\n        return judge",
            "make",
            "`labels` is no mapping with keys of object, ",
        ),
    ],
)
def test_a_faulty_plug_in_is_refused_with_what_to_do(
    install: Install, book: PromptBook, source: str, attribute: str, says: str
) -> None:
    install(source, attribute)
    with pytest.raises(JudgeInvalid, match=f"(?s){says}") as refused:
        load_judge("book", book)
    assert f"The judge 'book' of book-judge (book_judge:{attribute})" in str(refused.value)


def test_two_packages_with_one_name_are_refused(install: Install, book: PromptBook) -> None:
    install(JUDGE)
    install(JUDGE, package="other-judge")
    with pytest.raises(JudgeInvalid, match="Several packages") as refused:
        load_judge("book", book)
    assert "book-judge (book_judge:BookJudge)" in str(refused.value)
    assert "other-judge (other_judge:BookJudge)" in str(refused.value)
