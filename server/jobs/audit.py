"""Audit of one encoder: a probe more, or a look at a clip that was served with it."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from encoders import Card, EncoderNotFound
from server.gates import server_gate
from server.jobs.context import JobContext
from server.jobs.judging import judge_of
from server.jobs.served_clips import ServedClip
from server.loaded import Loaded

if TYPE_CHECKING:
    from unlearn.trial.audit_plan import AuditPlan
    from unlearn.trial.outcomes import Outcome
    from unlearn.trial.probes import Probe
    from video.engine.ticket import Ticket
    from video.frames import Frames

log = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 0.02
"""Time between two looks for other work while a probe is made; a denoising step takes as long."""


class MomentOver(Exception):
    """Other work has come, or the server stops: the probe was given up, and counts for nothing."""


def plan_of(context: JobContext, loaded: Loaded, card: Card) -> AuditPlan:
    """Return the probes of an encoder."""
    from unlearn.trial.audit_plan import AuditPlan

    return AuditPlan(
        card.concepts,
        encoder=card.ref,
        judge=judge_of(loaded),
        book=loaded.backbone.prompts,
        capabilities=loaded.backbone.capabilities,
        judged=server_gate(context.settings).max_probes,
    )


def ask(context: JobContext, loaded: Loaded, card: Card, plan: AuditPlan) -> None:
    """Have an encoder's next probe made and judged, and write what its audit amounts to.

    The thresholds are the server's own: those in the card are what is being checked.

    Raises:
        MomentOver: The probe was given up.
        Exception: It could not be made or counted.
    """
    from unlearn.trial.audit import AuditCounts, audit_failures, audit_measures
    from unlearn.trial.outcomes import outcome_of

    row, judge = context.audits.get(card.identity), judge_of(loaded)
    counts = AuditCounts()
    if row is not None and row.judge == judge.identity.hash:  # another one's answers do not add up
        counts = AuditCounts.of_json(row.counts)
    probe = plan.probe(counts.asked)
    base, encoder = _make_pair(context, loaded, probe)
    outcome = outcome_of(probe, base, encoder, judge, forgotten=card.concepts)
    counts = counts.added(outcome)
    measures = audit_measures(counts, card.concepts)
    failures = audit_failures(measures, server_gate(context.settings))
    if not context.audits.save(
        card.ref,
        counts.to_json(),
        measures,
        failures,
        judge=judge.identity.hash,
        since={} if row is None else row.counts,
    ):
        raise MomentOver  # this server was stopped for a while, and another has counted on
    context.metrics.audit_probes.labels(_outcome_name(outcome)).inc()
    if failures:
        log.warning("encoder %s has failed its audit: %s", card.id, " ".join(failures))


def look_at(context: JobContext, loaded: Loaded, clip: ServedClip) -> None:
    """Have a served clip judged, and count for each of its encoders whether it shows too much."""
    from unlearn.trial.probes import any_frame

    judge = judge_of(loaded)
    for ref in clip.encoder.members or (clip.encoder,):
        with suppress(EncoderNotFound):  # it was deleted meanwhile
            card = loaded.store.card(ref.id)
            known = [one for one in card.concepts if judge.knows(one.name, one.kind)]
            if card.identity != ref.identity or not known:
                continue
            shown = any(any_frame(judge.shows(clip.frames, c.name, c.kind)) for c in known)
            context.audits.count_served(ref, shown=shown)
            context.metrics.served_clips_judged.labels("yes" if shown else "no").inc()


def _make_pair(context: JobContext, loaded: Loaded, probe: Probe) -> tuple[Frames, Frames]:
    """Make both clips of a probe, unless other work comes meanwhile."""
    engine = loaded.engine
    tickets = [engine.submit(probe.base), engine.submit(probe.encoder)]
    try:
        while not all(ticket.done() for ticket in tickets):
            if engine.stats().in_flight > _undone(tickets):
                raise MomentOver
            if context.stopping.wait(_LOOK_INTERVAL_S):
                raise MomentOver
        base, encoder = (ticket.result() for ticket in tickets)
        return base, encoder
    finally:
        for ticket in tickets:
            ticket.cancel()


def _undone(tickets: list[Ticket[Frames]]) -> int:
    return sum(not ticket.done() for ticket in tickets)


def _outcome_name(outcome: Outcome) -> str:
    """Return an outcome's label among the metrics."""
    if not outcome.by_base:
        return "unshown"
    if outcome.probe.is_target:
        return "missed" if outcome.by_encoder else "forgotten"
    return "kept" if outcome.by_encoder else "lost"
