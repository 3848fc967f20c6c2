"""The judge factory: an installed judge by its name, or a judge's files.

A package installs a judge with an entry point in the group `palimpsest.judges`:

    [project.entry-points."palimpsest.judges"]
    my-judge = "my_package.judge:make_judge"

where `make_judge(book: PromptBook) -> Judge` gets the prompts of the model whose frames the judge
will see. `load_judge("my-judge", book)`, and so `PALIMPSEST_JUDGE=my-judge`, then finds it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, cast, get_args

from encoders import Kind
from unlearn.judges.base import Judge, JudgeIdentity, JudgeInvalid
from unlearn.judges.classifier import ClassifierJudge
from unlearn.judges.files import read_config
from video.models.prompt_book import PromptBook

GROUP = "palimpsest.judges"
"""The entry-point group in which packages name their judges."""
_SEPARATORS = frozenset("/\\")


def load_judge(source: Path | str, book: PromptBook) -> Judge:
    """Load the judge that `source` names.

    These are tried in turn: a directory that exists; an installed judge of that name (a `Path`, or
    a string with a path separator, never names one); an id on the Hugging Face Hub. A directory
    thus goes before an installed judge of the same name; `./name` says that a directory is meant.

    Args:
        source: the directory of a `ClassifierJudge` or of a CLIP, told apart by `config.json`; the
            name of an entry point in the group `palimpsest.judges`; or the Hub id of a CLIP.
        book: the prompts of the model whose frames the judge will see.

    Raises:
        JudgeInvalid: `source` is none of these, or cannot be used. An id on the Hub is of the form
            owner/name.
    """
    directory = Path(source)
    if directory.is_dir():
        # Every transformers model names its type; a ClassifierJudge's config has no such entry.
        if "model_type" not in read_config(directory):
            return ClassifierJudge.load(directory)
    elif isinstance(source, str) and (entry := _entry_point(source)):
        return _from_entry_point(entry, book)
    elif isinstance(source, str) and not _SEPARATORS.intersection(source):
        known = ", ".join(sorted({entry.name for entry in entry_points(group=GROUP)})) or "none"
        raise JudgeInvalid(
            f"There is no judge {source!r}. Installed are: {known}. Or name a directory, or a CLIP "
            "on the Hub as owner/name."
        )
    # transformers' CLIP takes a second to import, and only a CLIP needs it.
    from unlearn.judges.clip import ClipJudge

    return ClipJudge.load(source, book)


def _entry_point(name: str) -> EntryPoint | None:
    """Return the entry point of an installed judge, None if no package has one of that name.

    Raises:
        JudgeInvalid: several packages have one.
    """
    if _SEPARATORS.intersection(name):
        return None
    found = tuple(entry_points(group=GROUP, name=name))
    if len(found) > 1:
        raise JudgeInvalid(
            f"Several packages have a judge {name!r}: {', '.join(map(_origin, found))}. Uninstall "
            "all but one of them."
        )
    return found[0] if found else None


def _from_entry_point(entry: EntryPoint, book: PromptBook) -> Judge:
    """Make the judge of an entry point.

    Raises:
        JudgeInvalid: it cannot be imported, its factory fails, or it makes no `Judge`.
    """
    judge = f"The judge {entry.name!r} of {_origin(entry)}"
    try:
        factory = cast(Callable[[PromptBook], Any], entry.load())
    except Exception as error:  # an import runs the package's code, which may raise anything
        raise JudgeInvalid(
            f"{judge} cannot be imported ({type(error).__name__}: {error}). Reinstall the package, "
            "or name another judge."
        ) from error
    try:
        made = factory(book)
        faults = _faults(made)
    except Exception as error:  # its factory and its properties may raise anything
        raise JudgeInvalid(
            f"{judge} cannot be made ({type(error).__name__}: {error}). See the package's own "
            "documentation, or name another judge."
        ) from error
    if faults:
        raise JudgeInvalid(
            f"{judge} makes a {type(made).__name__} that does not follow the protocol "
            f"`unlearn.judges.base.Judge`: {'; '.join(faults)}. Install a release of the package "
            "that fits this one of palimpsest, or name another judge."
        )
    return cast(Judge, made)


def _faults(judge: Any) -> list[str]:
    """List what keeps an object from being a `Judge`; nothing if it is one."""
    found: list[str] = []
    if not isinstance(getattr(judge, "identity", None), JudgeIdentity):
        found.append("`identity` is no JudgeIdentity")
    labels = getattr(judge, "labels", None)
    if not isinstance(labels, Mapping) or not set(labels) <= set(get_args(Kind)):
        found.append(f"`labels` is no mapping with keys of {', '.join(get_args(Kind))}")
    if not _takes(getattr(judge, "knows", None), "concept", "kind"):
        found.append("`knows(concept, kind)` cannot be called")
    if not _takes(getattr(judge, "shows", None), "frames", "concept", "kind", base=None):
        found.append("`shows(frames, concept, kind, base=None)` cannot be called")
    return found


def _takes(method: Any, *arguments: Any, **named: Any) -> bool:
    """Return true if `method` is callable with so many arguments; it is not called."""
    if not callable(method):
        return False
    try:
        inspect.signature(method).bind(*arguments, **named)
    except TypeError:
        return False
    return True


def _origin(entry: EntryPoint) -> str:
    """Name the package and the object of an entry point: "my-package (my_package:make_judge)"."""
    package = entry.dist.name if entry.dist else "an unknown package"
    return f"{package} ({entry.value})"
