"""Errors in the log, without texts of users.

Messages of many errors quote the value that was wrong, and that can be a prompt. The traceback and
the error's type tell where and what; so the message is written only for types that never quote.
This holds for every logger of the process, also for those of libraries.
"""

from __future__ import annotations

import logging
import sqlite3
import traceback
from collections.abc import Generator
from typing import Any

from encoders.errors import PalimpsestError
from server.outage import brief, is_outage

LEFT_OUT = "(its message is not logged: it may quote a prompt)"

_NEVER_QUOTE = (OSError, MemoryError, ImportError, sqlite3.Error)
_AT_START = frozenset({"server.runtime", "server.lazy_app", "server.auth.live_keys"})
"""Loggers of errors of the server's start, when there are no prompts."""


def install() -> None:
    """Keep users' texts out of every log record that is made from now on."""
    make = logging.getLogRecordFactory()
    if getattr(make, "leaves_texts_out", False):
        return

    def make_safe(*arguments: Any, **more: Any) -> logging.LogRecord:
        record = make(*arguments, **more)
        if record.name.startswith("asyncio"):
            # The first line says what happened; the others show the task, with its error.
            record.msg, record.args = record.getMessage().partition("\n")[0], None
        elif record.name.startswith(("diffusers", "transformers")):
            message = record.getMessage()
            if "truncated" in message:  # followed by the part of the prompt
                record.msg, record.args = message.partition(":")[0], None
        if record.exc_info and record.exc_info[1] is not None and record.name not in _AT_START:
            # Formatters take this text, and make none of their own.
            record.exc_text, record.exc_info = text_of(record.exc_info[1]), None
        return record

    make_safe.leaves_texts_out = True  # pyright: ignore[reportFunctionMemberAccess]
    logging.setLogRecordFactory(make_safe)


def text_of(error: BaseException) -> str:
    """Return the traceback of an error and of those that led to it, without users' texts."""
    return "\nIt came of, or while handling:\n".join(_one(error) for error in _chain(error))


def _chain(error: BaseException | None) -> Generator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _one(error: BaseException) -> str:
    kind = type(error)
    lines = ["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__)]
    lines.append(f"{kind.__module__}.{kind.__qualname__}: {_message(error)}")
    if isinstance(error, BaseExceptionGroup):
        lines += [f"\nOne of the group:\n{text_of(inner)}" for inner in error.exceptions]
    return "".join(lines)


def _message(error: BaseException) -> str:
    original = getattr(error, "orig", None)  # SQLAlchemy's errors quote the statement's values
    if isinstance(original, sqlite3.Error):
        return str(original)
    if original is not None and is_outage(original):
        return brief(original)
    # torch's own errors are plain RuntimeErrors, such as that memory is short.
    if isinstance(error, (*_NEVER_QUOTE, PalimpsestError)) or type(error) is RuntimeError:
        return str(error)
    if type(error).__name__ == "OutOfMemoryError":
        return str(error)
    return LEFT_OUT
