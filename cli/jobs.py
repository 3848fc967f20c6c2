"""Asking a server for something that takes a while, and staying with it to its end."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from cli import show
from cli.client import Client, Unreachable, at
from cli.errors import CommandFailed

PENDING = ("queued", "in_progress")
LOOK_EVERY_S = 0.3


def made(client: Client, kind: str, body: dict[str, Any], title: str) -> dict[str, Any]:
    """The job once it has ended, whichever way. Ctrl-C cancels it on the server.

    Args:
        kind: `videos` or `encoders`.
        body: what to ask for.
        title: what stands beside the progress bar.

    Raises:
        Refused: the server does not accept it, or somebody deleted it.
        Unreachable: the server has gone.
    """
    job: dict[str, Any] = {}
    path = ""
    try:
        with _interrupt_held():
            job = client.post(at(kind), body)
            path = at(kind, job["id"])
        with show.progress() as progress:
            task = progress.add_task(title, total=100, phase=job["status"])
            while job["status"] in PENDING:
                time.sleep(LOOK_EVERY_S)
                job = client.get(path)
                phase = str(job.get("phase", job["status"])).replace("_", " ")
                progress.update(task, completed=job["progress"], phase=phase)
    except KeyboardInterrupt:
        if job:
            with suppress(CommandFailed):
                client.delete(path)
                show.note(f"Cancelled: {job['id']} is deleted on the server.")
        raise
    except Unreachable as error:
        if not job:
            raise
        raise CommandFailed(f"{error} {job['id']} is not cancelled.") from error
    return job


@contextmanager
def _interrupt_held() -> Generator[None]:
    """Ctrl-C takes effect at the end of this: a job that the server has just accepted has to be
    known by its id in order to be cancelled. A second one takes effect at once.
    """
    is_interrupted = False

    def hold(*_: object) -> None:
        nonlocal is_interrupted
        if is_interrupted:
            raise KeyboardInterrupt
        is_interrupted = True

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if is_interrupted:
        raise KeyboardInterrupt
