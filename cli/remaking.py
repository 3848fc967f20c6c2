"""Remaking: encoders of another base, made again for the base of the server that is asked.

An encoder fits one base. On another it stays in the store, and each use of it is an error. It is
not replaced: the new one gets an id of its own, `no-pogo.remade-2`, so that nothing is lost if it
does not pass its gate, or if the server goes back to the old base. What is done can be read from
the server, so an interrupted remaking has no state of its own: it looks again and goes on.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from typing import Any

from cli.client import Client, Refused, api_path
from cli.jobs import PENDING, follow

_GENERATION = re.compile(r"(.+)\.remade-([0-9]+)")
_FINAL = "gate_failed"
"""Code of a failure that would come again."""
EncoderJson = dict[str, Any]
MemberJson = dict[str, str]


class NotRemade(Exception):
    """Error: an encoder cannot be made again, or was not; the message says why."""


@dataclass
class Remade:
    """The outcome for one encoder of another base."""

    id: str
    """The encoder of the other base, which stays as it is."""
    now: str | None = None
    """Id of the encoder that takes its place; None if there is none."""
    why: str | None = None
    """Reason why there is none."""
    aliases: list[str] = field(default_factory=list)
    """Aliases that were pointed to the new encoder."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


class Remaking:
    """The encoders of one server, and those of them that have to be made again.

    Args:
        client: A client of the server, with an admin's key if the server has keys.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._encoders = {one["id"]: one for one in client.pages(api_path("encoders"))}
        # Models are listed for encoders of the server's own base only.
        models = client.get(api_path("models"))["data"]
        self._own = {model["encoder"] for model in models}
        self._usable = {one for one in self._own if not self._is_broken(one)}
        self._failures: dict[str, str] = {}

    def run(self) -> Generator[Remade]:
        """Make every encoder of another base again, parents first, and yield each outcome.

        Aliases are pointed to a new encoder as soon as it is published.

        Raises:
            Unreachable: The server does not answer any more.
        """
        for encoder_id in self._outdated():
            outcome = Remade(encoder_id)
            try:
                outcome.now = self.usable(encoder_id)
                outcome.aliases = self._point_aliases(outcome.now)
            except NotRemade as error:
                outcome.why = str(error)
            yield outcome

    def usable(self, encoder_id: str) -> str:
        """Return the id of the encoder that does on this base what the named one did on its own.

        It is made if there is none yet, and followed if it is being made.

        Raises:
            NotRemade: There is none, and none can be made.
        """
        encoder = self._encoders.get(encoder_id)
        if encoder is None:
            raise NotRemade(f"{encoder_id} was deleted.")
        generations = self._generations(encoder)
        same = [one for one in generations if one in self._usable]
        if same:
            return encoder_id if encoder_id in same else max(same, key=_number)
        whole = [one for one in generations if not self._is_broken(one)]
        newest = max(whole or generations, key=_number)
        if newest not in self._failures:
            try:
                return self._make(self._encoders[newest])
            except NotRemade as error:
                self._failures[newest] = str(error)
            except Refused as error:
                self._failures[newest] = f"The server refuses it: {error}"
        raise NotRemade(self._failures[newest])

    def _outdated(self) -> list[str]:
        """Return the newest generation of another base of every encoder, oldest encoder first."""
        old = [one for one in self._published() if one["id"] not in self._own]
        old.sort(key=lambda one: (one["created_at"], self._depth(one["id"]), one["id"]))
        newest = (
            max((g for g in self._generations(one) if g not in self._own), key=_number)
            for one in old
        )
        return list(dict.fromkeys(newest))

    def _depth(self, encoder_id: str, below: frozenset[str] = frozenset()) -> int:
        """Return the number of generations above an encoder: parents, and members of a set.

        Two that were made in the same second are told apart by it.
        """
        encoder = self._encoders.get(encoder_id)
        if encoder is None:
            return 0
        above = [member["id"] for member in encoder["members"]]
        if encoder["parent"] is not None:
            above.append(encoder["parent"])
        # An id that was deleted and given again can lead back to an encoder below it.
        below |= {encoder_id}
        return 1 + max((self._depth(one, below) for one in above if one not in below), default=0)

    def _published(self) -> list[EncoderJson]:
        return [one for one in self._encoders.values() if one["base"] is not None]

    def _generations(self, encoder: EncoderJson) -> list[str]:
        """Return the published encoders of one root and the same concepts, itself included."""
        return [
            one["id"]
            for one in self._published()
            if _root(one["id"]) == _root(encoder["id"])
            and _same_concepts(one["concepts"], encoder["concepts"])
        ]

    def _is_broken(self, encoder_id: str) -> bool:
        """Return True for a set one of whose members was deleted or replaced."""
        encoder = self._encoders.get(encoder_id)
        return encoder is not None and not all(map(self._is_there, encoder["members"]))

    def _is_there(self, member: MemberJson) -> bool:
        """Return True if the encoder with a member's id is the one that the set lists."""
        published = self._encoders.get(member["id"])
        return published is not None and published["identity"] == member["identity"]

    def _make(self, encoder: EncoderJson) -> str:
        """Have an encoder made again and judged, and return the new one's id."""
        root = _root(encoder["id"])
        taken = [_number(one["id"]) for one in self._published() if _root(one["id"]) == root]
        new_id = f"{root}.remade-{1 + max(taken)}"
        body = {"id": new_id, **self._request(encoder)}
        path = api_path("encoders", new_id)
        job = self._encoders.get(new_id)
        if job is not None and job["status"] == "failed" and job["error"]["code"] != _FINAL:
            self._client.delete(path)  # a failure of the moment: it is tried again
            job = None
        if job is None:
            job = self._client.post(api_path("encoders"), body)
        if job["status"] in PENDING:
            job = follow(self._client, path, job, f"{encoder['id']} → {new_id}")
        self._encoders[new_id] = job
        if job["status"] == "failed":
            raise NotRemade(
                f"{new_id} failed: {job['error']['message']} It is tried again once that is "
                f"deleted: `palimpsest encoders delete {new_id}`."
            )
        self._own.add(new_id)
        self._usable.add(new_id)
        return new_id

    def _request(self, encoder: EncoderJson) -> dict[str, Any]:
        """Return the request that makes an encoder again, from its card.

        What it is made of is made first.
        """
        if members := encoder["members"]:
            return {"compose": self._remade_members(members), "gate": _gate(encoder)}
        settings = dict(encoder["settings"])
        if "method" not in settings:
            how = "merge" if "members" in settings else "import"
            raise NotRemade(
                "It was not made by a method of unlearning: make it with "
                f"`palimpsest encoders {how}` for this base."
            )
        settings.pop("images", None)  # how many there were
        settings.pop("found", None)  # from which pictures the concept was named
        own, parent = encoder["concepts"], encoder["parent"]
        request: dict[str, Any] = {"settings": settings, "gate": _gate(encoder)}
        if parent is not None:
            try:
                request["parent"] = self.usable(parent)
            except NotRemade as error:
                raise NotRemade(f"Its parent {parent} is not made: {error}") from error
            inherited = self._encoders[parent]["concepts"]
            if not _same_concepts(own[: len(inherited)], inherited):
                raise NotRemade(f"Its parent {parent} was replaced by one of other concepts.")
            own = own[len(inherited) :]
        request["concepts"] = [
            {"concept": one["name"], "kind": one["kind"], "synonyms": one["synonyms"]}
            for one in own
        ]
        return request

    def _remade_members(self, members: list[MemberJson]) -> list[str]:
        """Return the ids of the encoders that a composite is to list; they are made first.

        Raises:
            NotRemade: One cannot be made; or was deleted or replaced, since whoever put the set
                together did not choose what has its id now.
        """
        for member in members:
            if not self._is_there(member):
                raise NotRemade(
                    f"Its member {member['id']} was deleted or replaced since the set was put "
                    "together: put a new one together with `palimpsest encoders compose`."
                )
        found: list[str] = []
        for member in members:
            try:
                found.append(self.usable(member["id"]))
            except NotRemade as error:
                raise NotRemade(f"Its member {member['id']} is not made: {error}") from error
        return found

    def _point_aliases(self, now: str) -> list[str]:
        """Point to an encoder the aliases of its generations of another base; return their names.

        An alias that points to an encoder of this base stays where it is.
        """
        old = set(self._generations(self._encoders[now])) - self._own
        names = [
            alias["id"]
            for alias in self._client.get(api_path("aliases"))["data"]
            if alias["encoder"] in old
        ]
        for name in names:
            self._client.put(api_path("aliases", name), {"encoder": now})
        return names


def _same_concepts(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    """Return True for the same concepts in any order.

    A composite's concepts and their synonyms stand in the order of its members' identities, which
    is another on each base.
    """
    first, second = (
        {(concept["kind"], concept["name"], frozenset(concept["synonyms"])) for concept in concepts}
        for concepts in (one, other)
    )
    return first == second


def _root(encoder_id: str) -> str:
    match = _GENERATION.fullmatch(encoder_id)
    return match[1] if match else encoder_id


def _number(encoder_id: str) -> int:
    match = _GENERATION.fullmatch(encoder_id)
    return int(match[2]) if match else 1


def _gate(encoder: EncoderJson) -> dict[str, Any]:
    """Return the gate that an encoder passed, whole: one from before there were tiers is custom."""
    gate: dict[str, Any] = encoder["gate"]
    return {"tier": "custom", **gate} if gate else {}
