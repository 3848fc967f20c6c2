"""Auditor: the thread that audits published encoders in spare moments.

A moment is spare while no job is pending and the engine has nothing to do. Whatever comes then is
first: a probe under way is given up between two steps, and asked again later.
"""

from __future__ import annotations

import logging
import time
from threading import Thread
from typing import TYPE_CHECKING

from encoders import Card, EncoderInvalid, EncoderNotFound, MemberUnusable, PalimpsestError
from encoders.composite import check_members
from server.jobs.audit import MomentOver, ask, look_at, plan_of
from server.jobs.context import JobContext
from server.loaded import Loaded
from server.outage import brief, is_outage
from server.storage.audit_rows import FAILED_AUDIT
from server.storage.records import EncoderRecord, VideoRecord
from server.storage.storage_errors import DatabaseUnusable

if TYPE_CHECKING:
    from unlearn.trial.audit_plan import AuditPlan

log = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 0.5
"""Time between two looks for a spare moment."""
_TROUBLE_INTERVAL_S = 30.0


class Auditor:
    """The audits of one server, one probe at a time.

    An encoder gets a probe in each of its groups; then it is the turn of the one that was audited
    the longest time ago. After each probe, given up or not, the thread waits, so that its share of
    the time is `audit_share` at most.
    """

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._turn_of: tuple[Card, AuditPlan] | None = None
        self._left = 0  # probes of its turn
        self._unusable: set[str] = set()
        self._thread = Thread(target=self._run, name="palimpsest-auditor", daemon=True)

    def start(self) -> None:
        """Audit from now on, if the settings give it a share of anything."""
        settings = self._context.settings
        if settings.audit_share or settings.audited_clips_share:
            self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Wait for the probe under way to be given up. `JobContext.stopping` must be set."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        stopping, pause = self._context.stopping, _LOOK_INTERVAL_S
        while not stopping.wait(pause):
            try:
                pause = self._step()
            except Exception as error:
                if stopping.is_set():
                    return
                pause = _TROUBLE_INTERVAL_S
                if not is_outage(error):
                    log.exception("an audit failed to be made; it is tried again")
                elif not isinstance(error, DatabaseUnusable):  # that is logged
                    log.warning("audits wait for storage: %s", brief(error))

    def _step(self) -> float:
        """Do one piece of work if the moment is spare; return the seconds to wait after it."""
        context = self._context
        loaded, share = context.loaded(), context.settings.audit_share
        if loaded is None or loaded.judge is None or not self._is_spare(loaded):
            return _LOOK_INTERVAL_S
        clip = context.served_clips.take()
        if clip is not None:
            look_at(context, loaded, clip)
            return 0.0
        # One replica for all: two would make the same probes, and write over each other's counts.
        turn = self._turn(loaded) if share and context.lease.audits else None
        if turn is None:
            return _LOOK_INTERVAL_S
        card, plan = turn
        started = time.perf_counter()
        try:
            ask(context, loaded, card, plan)
            self._left -= 1
        except MomentOver:
            pass  # the time was taken all the same
        except PalimpsestError as error:
            if context.stopping.is_set() or is_outage(error):
                raise
            # Such as an encoder that was deleted, or does not fit: the others go on.
            log.warning("encoder %s is not audited until the next start: %s", card.id, error)
            self._unusable.add(card.identity)
            self._left = 0
        return (time.perf_counter() - started) * (1 - share) / share

    def _is_spare(self, loaded: Loaded) -> bool:
        if loaded.engine.stats().in_flight:
            return False
        records = self._context.records
        return not any(records.pending_by_owner(table) for table in (VideoRecord, EncoderRecord))

    def _turn(self, loaded: Loaded) -> tuple[Card, AuditPlan] | None:
        """Return the encoder that is probed now, with its probes; None if there is none to audit.

        A failed one is left alone: more probes would not make it better.
        """
        rows = self._context.audits.all()

        def is_open(card: Card) -> bool:
            row = rows.get(card.identity)
            failed = row is not None and row.state == FAILED_AUDIT
            return not failed and self._can_audit(loaded, card)

        if self._left > 0 and self._turn_of is not None and is_open(self._turn_of[0]):
            return self._turn_of
        waiting = [card for card in loaded.store.cards() if is_open(card)]
        if not waiting:
            return None

        def last_audited(card: Card) -> int:
            row = rows.get(card.identity)
            return (row.audited_at or 0) if row is not None else 0

        card = min(waiting, key=last_audited)
        plan = plan_of(self._context, loaded, card)
        self._turn_of, self._left = (card, plan), plan.round
        return self._turn_of

    def _can_audit(self, loaded: Loaded, card: Card) -> bool:
        """Return True if an encoder was judged, can be used here, and the judge knows it all."""
        judge = loaded.judge
        if judge is None or "concepts" not in card.measures or card.identity in self._unusable:
            return False
        try:
            check_members(card, loaded.store.card)
        except (EncoderNotFound, EncoderInvalid, MemberUnusable):
            return False
        return card.base == loaded.backbone.text_encoder.fingerprint and all(
            judge.knows(concept.name, concept.kind) for concept in card.concepts
        )
