"""`palimpsest encoders remake --all`: two bases in turn on one data directory, over real HTTP."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from encoders import Encoder
from encoders.composite import composite_card
from encoders.store import EncoderStore
from server.api.app import create_app
from server.auth.guard import Guard
from server.auth.live_keys import LiveKeys
from tests.cli.help import Command, RunningServer, palimpsest, serve_in_thread, wait_until
from tests.server.conftest import quickened
from tests.server.help import device_held, publish, settings_for, wait_for, wait_ready

EASY = {"min_base_rate": 0, "min_forget_rate": 0, "max_retain_drop": 1, "max_probes": 1}
QUICK = {"steps": 1, "adversary_weight": 0}


@pytest.fixture(scope="module")
def other_backbone_dir(tiny_epsilon_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model with another text encoder."""
    return quickened(tiny_epsilon_dir, tmp_path_factory.mktemp("other") / "tiny")


@contextmanager
def serving(backbone: Path, data: Path) -> Generator[RunningServer]:
    """Serve a model over a data directory."""
    app = create_app(settings_for(backbone, data, max_probes=1, judged_videos=1))
    runtime = app.state.runtime
    observe = runtime.metrics.observe
    door = Guard(app, keys=LiveKeys(None, list), max_body_bytes=1 << 20, observe=observe)
    with serve_in_thread(door) as url:
        served = RunningServer(url, url, runtime)
        wait_ready(served.client)
        yield served
        served.client.close()


def make(served: RunningServer, encoder_id: str, concept: str, kind: str, **more: Any) -> None:
    body = {"id": encoder_id, "concept": concept, "kind": kind, "settings": QUICK, "gate": EASY}
    served.client.post("/v1/encoders", json={**body, **more}).raise_for_status()
    made = wait_for(served.client, f"/v1/encoders/{encoder_id}")
    assert made["status"] == "published", made["error"]


def compose(served: RunningServer, encoder_id: str, members: list[str]) -> None:
    body = {"id": encoder_id, "compose": members, "gate": EASY}
    served.client.post("/v1/encoders", json=body).raise_for_status()
    assert wait_for(served.client, f"/v1/encoders/{encoder_id}")["status"] == "published"


def targets(served: RunningServer) -> dict[str, str]:
    return {alias["id"]: alias["encoder"] for alias in served.get("/v1/aliases")["data"]}


def remake(served: RunningServer) -> Any:
    return palimpsest("encoders", "remake", "--all", "--json", server=served.url)


def by_id(outcomes: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {outcome["id"]: outcome for outcome in outcomes}


def test_every_encoder_is_made_again_in_order_and_aliases_follow(
    quick_backbone_dir: Path, other_backbone_dir: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with serving(quick_backbone_dir, data) as served:
        make(served, "no-pogo", "pogo", "character", synonyms=["the robot"])
        make(served, "child", "teapot", "object", parent="no-pogo")
        compose(served, "both", ["no-pogo", "child"])
        publish(served.runtime, "imported")
        for name, encoder in (("live", "child"), ("plain", "no-pogo"), ("set", "both")):
            palimpsest("encoders", "alias", name, encoder, server=served.url)
        assert palimpsest("encoders", "remake", server=served.url).status == 2
        nothing = palimpsest("encoders", "remake", "--all", server=served.url)
        assert (nothing.status, nothing.out) == (0, "Every encoder is of this server's base.\n")
        old = {card.id: card for card in EncoderStore(data / "encoders").cards()}
    with serving(other_backbone_dir, data) as served:
        done = remake(served)
        found = by_id(done.json)
        assert list(found) == ["no-pogo", "child", "both", "imported"]
        assert found["child"]["now"] == "child.remade-2"
        assert found["child"]["aliases"] == ["live"]
        assert "`palimpsest encoders import`" in found["imported"]["why"]
        done_err = "1 of 4 are not made; the old ones are as they were.\n"
        assert (done.status, done.err) == (1, done_err)
        assert targets(served) == {
            "live": "child.remade-2",
            "plain": "no-pogo.remade-2",
            "set": "both.remade-2",
        }
        store = EncoderStore(data / "encoders")
        new = {card.id: card for card in store.cards()}
        assert {name: new[name] for name in old} == old
        child, parent = new["child.remade-2"], new["no-pogo.remade-2"]
        assert child.parent == parent.id
        assert child.base == parent.base != old["child"].base
        assert {member.ref for member in new["both.remade-2"].members} == {child.ref, parent.ref}
        for name in ("no-pogo", "child"):
            again = new[f"{name}.remade-2"]
            assert (again.concepts, again.settings) == (old[name].concepts, old[name].settings)
            now, before = again.measures["gate"], old[name].measures["gate"]
            assert now == {**now, **before, "tier": "custom"}
        again = remake(served)
        assert by_id(again.json)["child"]["now"] == "child.remade-2"
        assert len(store.cards()) == len(new)
    with serving(quick_backbone_dir, data) as served:  # and back to the first base
        remake(served)
        assert targets(served) == {"live": "child", "plain": "no-pogo", "set": "both"}
        assert {card.id for card in store.cards()} == set(new)


def test_one_that_does_not_pass_leaves_the_old_one_and_what_points_to_it(
    quick_backbone_dir: Path, other_backbone_dir: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with serving(quick_backbone_dir, data) as served:
        make(served, "weak", "mira", "person")
        make(served, "child", "teapot", "object", parent="weak")
        palimpsest("encoders", "alias", "live", "weak", server=served.url)
        store = EncoderStore(data / "encoders")
        weak = store.load("weak")
        store.delete("weak")
        strict = {**weak.card.measures, "gate": {**EASY, "min_base_rate": 1, "max_probes": 2}}
        card = weak.card.model_copy(update={"measures": strict})
        store.publish(type(weak)(card, weak.overrides))
    with serving(other_backbone_dir, data) as served:
        for _ in range(2):  # the second time it is not tried again
            done = remake(served)
            assert done.status == 1
            found = by_id(done.json)
            assert found["weak"]["now"] is None
            assert "weak.remade-2 failed: The base shows 'mira' in only" in found["weak"]["why"]
            assert "Its parent weak is not made" in found["child"]["why"]
            assert targets(served) == {"live": "weak"}
            assert store.card("weak") == card
        first = served.get("/v1/encoders/weak.remade-2")["created_at"]
        assert served.get("/v1/encoders/weak.remade-2")["created_at"] == first
        said = palimpsest("encoders", "remake", "--all", server=served.url)
        assert "weak is not made again. weak.remade-2 failed" in said.out


def test_interrupted_it_goes_on_with_the_one_that_is_being_made(
    quick_backbone_dir: Path, other_backbone_dir: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with serving(quick_backbone_dir, data) as served:
        make(served, "one", "pogo", "character")
        make(served, "two", "mira", "person")
        palimpsest("encoders", "alias", "live", "two", server=served.url)
    with serving(other_backbone_dir, data) as served:
        with device_held(served.runtime):
            command = Command("encoders", "remake", "--all", "--server", served.url)
            wait_until(lambda: served.client.get("/v1/encoders/one.remade-2").is_success)
            command.process.send_signal(signal.SIGINT)
            assert command.done().status == 130
        job = served.get("/v1/encoders/one.remade-2")
        said = palimpsest("encoders", "remake", "--all", server=served.url)
        assert (said.status, said.err) == (0, "")
        first, second, last = said.out.splitlines()
        assert first == "one.remade-2 is published in the place of one."
        assert second == "two.remade-2 is published in the place of two, and of live."
        assert last.startswith("Aliases point to the new encoders.")
        assert served.get("/v1/encoders/one.remade-2")["created_at"] == job["created_at"]
        # A kill between the new encoder and its alias: the alias follows the next time.
        served.client.put("/v1/aliases/live", json={"encoder": "two"}).raise_for_status()
        assert by_id(remake(served).json)["two"]["aliases"] == ["live"]


@pytest.mark.slow
def test_a_set_is_made_again_once_in_whatever_order_its_members_were_named(
    quick_backbone_dir: Path, other_backbone_dir: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with serving(quick_backbone_dir, data) as served:
        make(served, "no-pogo", "pogo", "character", synonyms=["the robot"])
        make(served, "no-pogo-too", "pogo", "character", synonyms=["tin friend"])
        make(served, "no-tea", "teapot", "object")
        names = ["no-pogo", "no-pogo-too", "no-tea"]
        store = EncoderStore(data / "encoders")
        for set_id, members in (("there", names), ("back", names[::-1])):
            card = composite_card(set_id, [store.card(one) for one in members])
            card = card.model_copy(update={"measures": {"gate": EASY}})
            store.publish(Encoder(card, {}))
            served.client.put(f"/v1/aliases/live-{set_id}", json={"encoder": set_id})
        there, back = (store.card(one).concepts for one in ("there", "back"))
        assert there[0].name != back[0].name
        assert there[0].synonyms == back[1].synonyms[::-1]
    with serving(other_backbone_dir, data) as served:
        for _ in range(2):
            assert remake(served).status == 0
            assert targets(served) == {"live-there": "there.remade-2", "live-back": "back.remade-2"}
            assert {one for one in store.ids() if "remade" in one} == {
                f"{one}.remade-2" for one in (*names, "there", "back")
            }


@pytest.mark.slow
def test_a_set_of_a_member_that_was_deleted_or_replaced_is_not_made_again(
    quick_backbone_dir: Path, other_backbone_dir: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with serving(quick_backbone_dir, data) as served:
        for seed, one in enumerate(("pogo-a", "pogo-b", "pogo-c")):
            make(served, one, "pogo", "character", settings={**QUICK, "seed": seed})
        compose(served, "with-b", ["pogo-a", "pogo-b"])
        compose(served, "with-c", ["pogo-a", "pogo-c"])
        for name in ("with-b", "with-c"):
            served.client.put(f"/v1/aliases/live-{name}", json={"encoder": name})
        for one in ("pogo-b", "pogo-c"):
            served.client.delete(f"/v1/encoders/{one}?force=true").raise_for_status()
        make(served, "pogo-b", "pogo", "character", settings={**QUICK, "seed": 7})
        before = targets(served)
    with serving(other_backbone_dir, data) as served:
        for _ in range(2):
            done = remake(served)
            assert done.status == 1
            found = by_id(done.json)
            assert found["pogo-a"]["now"] == "pogo-a.remade-2"
            assert found["pogo-b"]["now"] == "pogo-b.remade-2"
            for name, member in (("with-b", "pogo-b"), ("with-c", "pogo-c")):
                assert found[name]["now"] is None
                assert f"Its member {member} was deleted or replaced" in found[name]["why"]
                assert "`palimpsest encoders compose`" in found[name]["why"]
            assert targets(served) == before == {"live-with-b": "with-b", "live-with-c": "with-c"}
            assert not EncoderStore(data / "encoders").has("with-b.remade-2")


@pytest.mark.slow
def test_back_on_a_base_where_a_member_was_deleted_no_alias_goes_to_the_broken_set(
    quick_backbone_dir: Path, other_backbone_dir: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with serving(quick_backbone_dir, data) as served:
        make(served, "no-pogo", "pogo", "character")
        make(served, "no-tea", "teapot", "object")
        compose(served, "both", ["no-pogo", "no-tea"])
        served.client.put("/v1/aliases/live", json={"encoder": "both"}).raise_for_status()
    with serving(other_backbone_dir, data) as served:
        remake(served)
        assert targets(served) == {"live": "both.remade-2"}
    with serving(quick_backbone_dir, data) as served:
        served.client.delete("/v1/encoders/no-tea?force=true").raise_for_status()
        assert remake(served).status == 0
        assert targets(served) == {"live": "both.remade-3"}
        members = {
            member.id for member in EncoderStore(data / "encoders").card("both.remade-3").members
        }
        assert members == {"no-pogo", "no-tea.remade-3"}
