"""The auditor keeps to spare moments: requests come first, and only judged encoders are audited."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from encoders import Encoder, EncoderRef
from server.jobs.served_clips import MOST_WAITING, ServedClip, ServedClips
from tests.server.audit_help import asked, publish_judged
from tests.server.conftest import MakeClient
from tests.server.help import SERVER_TIMEOUT_S, Client, device_held, publish, wait_for
from tests.server.set_help import OPEN, make_set, publish_members
from tests.server.test_dispatcher import until
from unlearn.trial.audit import AuditCounts, GroupCounts
from unlearn.trial.audit_plan import AuditPlan
from unlearn.trial.probes import Probe
from video import GenerationRequest

VIDEO = {"prompt": "a meadow", "steps": 2, "frames": 2}


def judged(client: Client, name: str, *, seed: int = 1) -> str:
    """Publish an encoder that counts as judged, and return its identity."""
    store = client.runtime.loaded.store
    publish(client.runtime, f"{name}-raw", seed=seed)
    raw = store.load(f"{name}-raw")
    store.delete(f"{name}-raw")
    card = raw.card.model_copy(update={"id": name})
    return publish_judged(client.runtime, Encoder(card, raw.overrides)).identity


def probes_of(client: Client, identity: str) -> int:
    return asked(client.runtime.storage.audits.get(identity))


def watched(client: Client) -> list[tuple[GenerationRequest, Any]]:
    """Return a list that collects the requests given to the engine from now on, and tickets."""
    engine, found = client.runtime.loaded.engine, list[tuple[GenerationRequest, Any]]()
    submit = engine.submit

    def noting(request: GenerationRequest, *rest: Any) -> Any:
        ticket = submit(request, *rest)
        found.append((request, ticket))
        return ticket

    engine.submit = noting  # type: ignore[method-assign]
    return found


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every probe take a hundred steps of 16 frames."""
    probe_of: Callable[[AuditPlan, int], Probe] = AuditPlan.probe

    def endless(plan: AuditPlan, number: int) -> Probe:
        probe = probe_of(plan, number)
        base = replace(probe.base, steps=100, frames=16)
        return replace(probe, base=base, encoder=replace(base, encoder=probe.encoder.encoder))

    monkeypatch.setattr(AuditPlan, "probe", endless)


@pytest.mark.usefixtures("endless")
def test_a_probe_under_way_is_given_up_for_a_video(make_client: MakeClient) -> None:
    client = make_client(audit_share=1.0)
    found = watched(client)
    identity = judged(client, "audited")
    until(lambda: any(ticket.progress > 0 for _, ticket in found), "no probe began")
    made = client.post("/v1/videos", json=VIDEO).json()
    assert wait_for(client, f"/v1/videos/{made['id']}")["status"] == "completed"
    order = [request.low_priority for request, _ in found]
    first = order.index(False)
    before = [ticket for _, ticket in found[:first]]
    assert {ticket.state for ticket in before} == {"cancelled"}
    # No probe began between the video's request and its end.
    video = found[first][1]
    assert video.device_seconds > 0
    assert probes_of(client, identity) == 0
    until(lambda: len(found) > first + 1, "the audit did not go on")
    assert found[first + 1][0].prompt == found[0][0].prompt  # the same probe is asked again


def test_nothing_is_audited_while_the_device_works(make_client: MakeClient) -> None:
    client = make_client(audit_share=1.0)
    with device_held(client.runtime):
        identity = judged(client, "audited")
        found = watched(client)
        time.sleep(1.5)  # three looks for a spare moment
        assert found == []
    until(lambda: probes_of(client, identity) > 0, "the spare moment was not used")


def test_it_goes_from_one_judged_encoder_to_the_next(make_client: MakeClient) -> None:
    client = make_client(audit_share=1.0)
    publish(client.runtime, "imported", seed=3)  # nobody has judged it
    names = publish_members(client, "member", OPEN, OPEN)
    make_set(client, "both", names)
    every = [judged(client, "one"), judged(client, "two", seed=2)]
    every.append(client.runtime.loaded.store.card("both").identity)
    until(lambda: all(probes_of(client, one) >= 6 for one in every), "one was left out")
    assert set(client.runtime.storage.audits.all()) == set(every)


def test_another_judge_begins_anew(make_client: MakeClient) -> None:
    client = make_client(audit_share=1.0)
    store, audits = client.runtime.loaded.store, client.runtime.storage.audits
    with device_held(client.runtime):
        judged(client, "audited")
        card = store.card("audited")
        counts = AuditCounts({}, GroupCounts(1000, 1000, 1000, 0))
        audits.save(card.ref, counts.to_json(), {}, [], judge="sha256:another")
    until(lambda: 0 < probes_of(client, card.identity) < 1000, "the counts were added up")


def test_the_share_is_kept(make_client: MakeClient) -> None:
    client = make_client(audit_share=0.01)
    identity = judged(client, "audited")
    until(lambda: probes_of(client, identity) == 1, "nothing was audited")
    time.sleep(1.2)  # a probe takes 20 ms at least, so the next one is due after two seconds
    assert probes_of(client, identity) == 1


def test_off_is_off(make_client: MakeClient) -> None:
    client = make_client()
    judged(client, "audited")
    found = watched(client)
    made = client.post("/v1/videos", json={**VIDEO, "encoder": "audited"}).json()
    assert wait_for(client, f"/v1/videos/{made['id']}")["status"] == "completed"
    time.sleep(1.2)
    assert len(found) == 1
    assert client.runtime.storage.audits.all() == {}
    assert client.runtime.jobs.context.served_clips.take() is None


def test_a_served_clip_counts_for_each_member_of_a_set(make_client: MakeClient) -> None:
    client = make_client(audited_clips_share=1.0, ad_hoc_sets=True)
    names = publish_members(client, "member", OPEN, OPEN)
    for encoder in ("base", "+".join(names)):
        made = client.post("/v1/videos", json={**VIDEO, "encoder": encoder}).json()
        assert wait_for(client, f"/v1/videos/{made['id']}")["status"] == "completed"
    audits, store = client.runtime.storage.audits, client.runtime.loaded.store
    until(lambda: len(audits.all()) == 2, "the clip was not looked at")
    for name in names:
        row = audits.get(store.card(name).identity)
        assert row is not None
        assert (row.state, row.served_judged, row.audited_at) == ("unaudited", 1, None)
    assert client.runtime.jobs.context.served_clips.take() is None


def test_few_clips_wait_and_the_oldest_goes() -> None:
    clips = ServedClips()
    for i in range(MOST_WAITING + 2):
        frames = np.full((1, 2, 2, 3), i, np.uint8)
        clips.offer(ServedClip(EncoderRef("one", "x"), frames), share=1.0)
    left = list(iter(clips.take, None))
    assert [int(clip.frames[0, 0, 0, 0]) for clip in left] == [2, 3, 4, 5]
    clips.offer(left[0], share=0.0)
    assert clips.take() is None
    clips.offer(left[0], share=1.0)
    clips.clear()
    assert clips.take() is None


def test_a_server_stops_at_once_while_it_audits(make_client: MakeClient, endless: None) -> None:
    client = make_client(audit_share=1.0)
    found = watched(client)
    judged(client, "audited")
    until(lambda: any(ticket.progress > 0 for _, ticket in found), "no probe began")
    began = time.monotonic()
    client.runtime.stop_work()
    assert time.monotonic() - began < SERVER_TIMEOUT_S / 10
    assert {ticket.state for _, ticket in found} <= {"cancelled", "failed"}
