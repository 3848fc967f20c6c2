"""A first contact with the command line: help, its speed, and the manual."""

from __future__ import annotations

import re
import resource
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Generator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.main import app
from encoders.version import VERSION
from tests.cli.help import Command, palimpsest
from tests.server.help import ROOT

SLOW = ("torch", "numpy", "transformers", "diffusers", "bentoml", "fastapi", "dbos", "av")
MANUAL = (ROOT / "docs/CLI.md").read_text()


def leaves(command: Any, *names: str) -> Generator[tuple[tuple[str, ...], Any]]:
    """Yield every command that has no subcommands, with the words that name it."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield names, command
    for name, one in (inner or {}).items():
        yield from leaves(one, *names, name)


COMMANDS = dict(leaves(typer.main.get_command(app)))


def test_help_imports_nothing_slow_and_takes_no_time() -> None:
    code = "import sys; from cli.main import app; app(['unlearn', '--help'], standalone_mode=False)"
    code += f"; print([name for name in {SLOW} if name in sys.modules])"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.splitlines()[-1] == "[]"
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < 1.5  # half a second on a machine that has nothing else to do


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_and_each_of_its_options(names: tuple[str, ...]) -> None:
    done = palimpsest(*names, "--help")
    assert done.status == 0
    command = COMMANDS[names]
    assert command.help
    assert command.params
    assert [one.name for one in command.params if not getattr(one, "help", None)] == []
    assert (names == ("serve",)) != ("--json" in done.out)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("palimpsest vid", ["videos"]), ("palimpsest unlearn --ki", ["--kind"])],
)
def test_a_shell_completes_commands_and_options(typed: str, offered: list[str]) -> None:
    done = Command(
        _PALIMPSEST_COMPLETE="complete_bash",
        COMP_WORDS=typed,
        COMP_CWORD=len(typed.split()) - 1,
    ).done()
    assert done.out.split() == offered


def test_completion_is_offered_for_installation() -> None:
    options = {option for one in typer.main.get_command(app).params for option in one.opts}
    assert {"--install-completion", "--show-completion"} < options


def test_the_key_is_never_an_option() -> None:
    options = {
        option for command in COMMANDS.values() for one in command.params for option in one.opts
    }
    assert "--server" in options
    assert not [option for option in options if option.startswith("-") and "key" in option]


def test_the_version_is_the_package_s() -> None:
    done = Command("--version").done()
    assert (done.status, done.out, done.err) == (0, f"palimpsest {VERSION}\n", "")


def test_the_script_is_this_app() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert list(scripts) == ["palimpsest"]
    assert EntryPoint("palimpsest", scripts["palimpsest"], "console_scripts").load() is app


def manual_commands() -> list[list[str]]:
    """Return every command line of the manual, without the program's name."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    words = [shlex.split(line.partition("|")[0], comments=True) for line in lines]
    return [line[line.index("palimpsest") + 1 :] for line in words if "palimpsest" in line]


@pytest.mark.parametrize("words", manual_commands(), ids=" ".join)
def test_the_manual_s_commands_are_commands(words: list[str]) -> None:
    Path("erased-text-encoder").mkdir()
    names = next(names for names in COMMANDS if tuple(words[: len(names)]) == names)
    # Raises if there is an option or argument too many or too few.
    COMMANDS[names].make_context(names[-1], words[len(names) :], resilient_parsing=False)


def test_the_manual_has_every_option() -> None:
    options = [(names, one.opts) for names, command in COMMANDS.items() for one in command.params]
    shown = [(names, opts) for names, opts in options if opts[0].startswith("-")]
    assert len(shown) > 50
    missing = [one for one in shown if not any(re.search(rf"{o}\b", MANUAL) for o in one[1])]
    assert missing == []


def test_the_manual_has_every_command() -> None:
    shown = {" ".join(words) for words in manual_commands()}
    assert len(COMMANDS) > 5
    assert not [n for n in COMMANDS if not any(s.startswith(" ".join(n)) for s in shown)]
