"""Rows of replicas with roles: who leads, whose model counts, who drains."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from server.jobs.lease import replica_of
from server.role_check import RoleRefused, check_role
from server.settings import Settings
from server.storage.database import Database
from server.storage.model_table import ModelTable
from server.storage.record_store import RecordStore
from server.storage.records import IN_PROGRESS
from server.storage.replica_rows import ReplicaRow
from server.storage.replica_table import LEASE_S, OtherModel, ReplicaTable
from tests.server.databases import emptied
from tests.server.test_dispatcher import row
from tests.server.test_leases import BUCKET, silent


@pytest.fixture
def shared(postgres_url: str) -> Generator[Database]:
    database = emptied(postgres_url)
    yield database
    database.close()


def replica(name: str, role: str, *, model: str | None = None) -> ReplicaRow:
    made = replica_of(Settings.model_validate({"store": BUCKET, "role": role}), name)
    made.model = model
    return made


@pytest.mark.parametrize("role", ["api", "videos", "encoders"])
def test_a_role_of_several_needs_a_database_and_a_store_of_several(role: str) -> None:
    with pytest.raises(RoleRefused, match=f"{role} .* set PALIMPSEST_DATABASE"):
        check_role(Settings.model_validate({"role": role}))
    database = "postgresql+psycopg://a:b@c/d"
    with pytest.raises(RoleRefused, match="set PALIMPSEST_STORE"):
        check_role(Settings.model_validate({"role": role, "database": database}))
    check_role(Settings.model_validate({"role": role, "database": database, "store": BUCKET}))


def test_an_api_leads_and_has_no_slots_and_audits_are_a_maker_s(shared: Database) -> None:
    table = ReplicaTable(shared)
    first = table.join(replica("a", "api"))
    assert (first.leads, first.audits, first.slots) == (True, False, 0)
    videos = table.join(replica("v", "videos", model="m"))
    assert (videos.leads, videos.audits, videos.slots) == (False, False, 32)
    encoders = table.join(replica("e", "encoders", model="m"))
    assert (encoders.leads, encoders.audits, encoders.slots) == (False, True, 32)
    second = table.join(replica("f", "encoders", model="m"))
    assert not second.audits


def test_a_model_is_published_unless_a_living_replica_has_another(shared: Database) -> None:
    replicas = ReplicaTable(shared)
    models = ModelTable(shared, replicas)
    assert models.read() is None
    for name in ("a", "b"):
        replicas.join(replica(name, "videos"))
    models.publish("a", "tiny (1)", "{}")
    models.publish("b", "tiny (1)", '{"more": 1}')  # a later version's
    assert models.read() == '{"more": 1}'
    replicas.join(replica("c", "encoders"))
    with pytest.raises(OtherModel, match=r"the model tiny \(1\) .* this one has other \(2\)"):
        models.publish("c", "other (2)", "{}")
    assert replicas.refused is not None
    assert models.read() == '{"more": 1}'
    with pytest.raises(OtherModel):  # as one that was not seen for a while
        replicas.join(replica("c", "encoders", model="other (2)"))
    for name in ("a", "b"):
        silent(shared, name, LEASE_S + 1)
    models.publish("c", "other (2)", "{}")
    assert replicas.refused is None
    assert models.read() == "{}"


def test_a_list_has_what_each_replica_does(shared: Database) -> None:
    table, records = ReplicaTable(shared), RecordStore(shared)
    for name, role in (("a", "api"), ("v", "videos"), ("dead", "videos")):
        table.join(replica(name, role))
    silent(shared, "dead", LEASE_S + 1)
    records.accept(row("video_1", status=IN_PROGRESS, replica="v"), limit=9)
    assert table.drain("v")
    assert not table.drain("dead")
    assert not table.drain("nobody")
    found = {one.row.id: one for one in table.listed()}
    assert list(found) == ["a", "v", "dead"]
    assert [one.is_alive for one in found.values()] == [True, True, False]
    assert [one.leads for one in found.values()] == [True, False, False]
    assert [one.row.draining for one in found.values()] == [False, True, False]
    assert dict(found["v"].jobs) == {"videos": ["video_1"]}
    standing = table.renew("v")
    assert standing is not None
    assert standing.draining
