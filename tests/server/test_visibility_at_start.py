"""A bound key learns nothing of its encoder's parent while the server's models are loading."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

import server.loading
from encoders import EncoderNotFound
from server.storage.records import FAILED, IN_PROGRESS, QUEUED, EncoderRecord
from tests.server.help import Client, settings_for
from tests.server.test_dispatcher import until
from tests.server.test_visibility import (
    ADMIN,
    BOUND,
    CHILD,
    MASKED,
    PARENT,
    assert_events_hide,
    assert_hidden,
    keys_in,
    parent_of,
)


@pytest.fixture
def may_load(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Return the event that the loading of models waits for."""
    allowed, load = Event(), server.loading.load

    def load_later(*arguments: Any) -> Any:
        allowed.wait(60)
        return load(*arguments)

    monkeypatch.setattr(server.loading, "load", load_later)
    return allowed


def job(status: str) -> EncoderRecord:
    failed = {"error_code": "encoder_not_found", "error_message": f"No encoder '{PARENT}'."}
    return EncoderRecord(
        id=CHILD,
        job_id=f"job_{status}",
        owner="admin",
        request_hash="x",
        status=status,
        phase=FAILED if status == FAILED else QUEUED,
        concepts=[{"name": "blip", "kind": "character"}],
        parent=PARENT,
        parent_digest="sha256:" + "a" * 64,
        settings={},
        gate={},
        **(failed if status == FAILED else {}),
    )


def fail(client: Client) -> None:
    """End the child's job as it ends if its parent was deleted."""
    error = EncoderNotFound(f"There is no encoder '{PARENT}'.")

    def is_failed() -> bool:
        # The dispatcher may take up a job that nobody works on, as another attempt, between these
        # two lines: the end of the earlier attempt does not count then.
        record = client.runtime.records.get(EncoderRecord, EncoderRecord.id == CHILD)
        assert record is not None
        client.runtime.jobs.context.fail(record, error)
        record = client.runtime.records.get(EncoderRecord, EncoderRecord.id == CHILD)
        return record is None or record.status == FAILED

    until(is_failed, "the child's job is not failed")


def test_while_the_models_are_loading(
    may_load: Event, quick_backbone_dir: Path, tmp_path: Path
) -> None:
    settings = settings_for(quick_backbone_dir, tmp_path / "data", keys_file=keys_in(tmp_path))
    with Client(settings) as client:
        jobs = client.runtime.jobs
        for status in (QUEUED, IN_PROGRESS, FAILED):
            record = job(status)
            with client.runtime.database.writing() as session:
                session.add(record)
            assert parent_of(client, ADMIN) == PARENT
            statuses = assert_hidden(client)
            assert 200 in statuses[f"/v1/encoders/{CHILD}"]
            assert set(statuses["/v1/videos"]) == {200, 503}  # the list, and the refusals
            if status == FAILED:
                for key in BOUND:
                    text = client.get(f"/v1/encoders/{CHILD}/events", headers=key).text
                    assert MASKED in text
                    assert PARENT not in text
            else:
                assert_events_hide(client, partial(fail, client))
            jobs.remove(record)
        may_load.set()
