"""Jobs: submit one to a server, show its progress, and cancel it on Ctrl-C."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from cli import show
from cli.client import Client, Unreachable, api_path
from cli.errors import CommandFailed

PENDING = ("queued", "in_progress")
POLL_INTERVAL_S = 0.3


def run_job(
    client: Client,
    kind: str,
    body: dict[str, Any],
    title: str,
    files: Sequence[tuple[str, bytes]] = (),
) -> dict[str, Any]:
    """Submit a job, and return it once it has completed or failed. Ctrl-C cancels it.

    Args:
        client: A client of the server.
        kind: `videos` or `encoders`.
        body: The request's JSON.
        title: Text beside the progress bar.
        files: Images that go with it, (name, content); a form is sent then.

    Raises:
        Refused: The server does not accept the job, or another client deleted it.
        Unreachable: The server does not answer any more.
    """
    job: dict[str, Any] = {}
    path = ""
    try:
        with _interrupt_deferred():
            if files:
                job = client.post_form(api_path(kind), body, files)
            else:
                job = client.post(api_path(kind), body)
            path = api_path(kind, job["id"])
        if expected := job.get("estimated_seconds_left"):
            show.aside(f"{title}: about {show.duration(expected)}.")
        job = follow(client, path, job, title)
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


def follow(client: Client, path: str, job: dict[str, Any], title: str) -> dict[str, Any]:
    """Show a job's progress, and return it once it has completed or failed.

    Args:
        client: A client of the server.
        path: The job's path.
        job: The job as the server described it last.
        title: Text beside the progress bar.
    """
    with show.progress() as progress:
        task = progress.add_task(title, total=100, phase=job["status"])
        while job["status"] in PENDING:
            time.sleep(POLL_INTERVAL_S)
            job = client.get(path)
            phase = str(job.get("phase", job["status"])).replace("_", " ")
            progress.update(task, completed=job["progress"], phase=phase)
    return job


@contextmanager
def _interrupt_deferred() -> Generator[None]:
    """Defer Ctrl-C to the end of the context; a second Ctrl-C takes effect at once.

    A job that the server has just accepted can be cancelled only once its id is known.
    """
    is_interrupted = False

    def defer(*_: object) -> None:
        nonlocal is_interrupted
        if is_interrupted:
            raise KeyboardInterrupt
        is_interrupted = True

    before = signal.signal(signal.SIGINT, defer)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if is_interrupted:
        raise KeyboardInterrupt
