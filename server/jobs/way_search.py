"""The search for ways through the engine, for jobs and for requests that wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from encoders import Concept
    from encoders.way import Way
    from server.loaded import Loaded
    from unlearn.judges.base import Judge
    from unlearn.ways.search import Look, WaySearch
    from video.engine.ticket import Ticket

T = TypeVar("T")

MOTION_PART = 5
"""A motion gets a fifth of the pictures, since they are clips."""


class Follow(Protocol):
    """Waits for work in the engine."""

    def __call__(self, tickets: Sequence[Ticket[T]], done: float, share: float) -> list[T]:
        """Return the results of the tickets.

        Args:
            tickets: Work in the engine.
            done: Share of the search that is done already, 0 to 1.
            share: Share of the search that these are.
        """
        ...


class EngineSearch:
    """One search for the ways to one concept.

    Args:
        loaded: The models and the judge.
        judge: It knows the concept.
        concept: What to look for, with its synonyms.
        pictures: The most pictures.
        follow: Waits for the engine.
        retain: Captions to retain beside the book's.
        owner: The party whose time it takes.
        state: State of an earlier run, as `save` got it; empty: a new search.
        save: Is called with the state after each round.
    """

    def __init__(
        self,
        loaded: Loaded,
        judge: Judge,
        concept: Concept,
        pictures: int,
        follow: Follow,
        *,
        retain: Sequence[str] = (),
        owner: str = "",
        state: Mapping[str, Any] | None = None,
        save: Callable[[Mapping[str, Any]], None] = lambda state: None,
    ) -> None:
        self._loaded, self._judge, self._concept = loaded, judge, concept
        self._most = max(1, pictures // MOTION_PART) if concept.kind == "motion" else pictures
        self._follow, self._retain, self._owner = follow, retain, owner
        self._state: dict[str, Any] = {"rounds": [], **(state or {})}
        self._save = save
        self._search: WaySearch | None = None
        self.pictures = 0
        """Pictures that were made and judged so far."""

    def run(self) -> tuple[Way, ...]:
        """Search, and return the ways.

        Raises:
            Exception: That of `follow`, or a picture could not be made. `ways` has what was found
                until then.
        """
        from unlearn.ways.search import WaySearch

        backbone = self._loaded.backbone
        search = self._search = WaySearch(
            self._concept,
            self._candidates(),
            book=backbone.prompts,
            capabilities=backbone.capabilities,
            pictures=self._most,
            retain=self._retain,
        )
        rounds: list[list[Any]] = self._state["rounds"]
        number = 0
        while looks := search.next_round():
            if number == len(rounds):
                rounds.append(self._rows(looks, with_others=not search.is_first_round))
                self._save(self._state)
            search.tell(looks, [_sight(row) for row in rounds[number]])
            self.pictures += len(looks)
            number += 1
        return self.ways()

    def ways(self) -> tuple[Way, ...]:
        """Return the ways that were found so far."""
        return tuple(self._search.ways()) if self._search is not None else ()

    def _candidates(self) -> list[str]:
        from unlearn.ways.candidates import candidate_steps
        from unlearn.ways.search import count_of_candidates

        if "candidates" not in self._state:
            count = count_of_candidates(self._most)
            ticket = self._loaded.engine.submit_iterator(
                lambda backbone: candidate_steps(self._concept, backbone, count)
            )
            [found] = self._follow([ticket], 0.0, 0.0)
            self._state["candidates"] = found
            self._save(self._state)
        return self._state["candidates"]

    def _rows(self, looks: Sequence[Look], *, with_others: bool) -> list[Any]:
        """Have a round's pictures made and judged: for each what was seen."""
        from unlearn.ways.search import sights_of

        engine = self._loaded.engine
        tickets = [engine.submit(replace(look.request, owner=self._owner)) for look in looks]
        clips = self._follow(tickets, self.pictures / self._most, len(looks) / self._most)
        sights = sights_of(looks, clips, self._concept, self._judge, with_others=with_others)
        return [[sight.shown, *sight.others] for sight in sights]


def _sight(row: Sequence[Any]) -> Any:
    from unlearn.ways.search import Sight

    shown, *others = row
    return Sight(bool(shown), tuple(others))
