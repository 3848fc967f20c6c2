"""Encoder jobs, second phase: look for phrases that draw the concepts without naming them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from server.jobs.context import JobContext
from server.jobs.encoder_task import own_concepts, parent_of, settings_of
from server.jobs.judging import judge_of
from server.jobs.phases import Phase, phase_reporter
from server.jobs.way_search import EngineSearch
from server.storage.records import EncoderRecord

if TYPE_CHECKING:
    from video.engine.ticket import Ticket

T = TypeVar("T")


def look_for_ways(context: JobContext, record: EncoderRecord) -> None:
    """Find the ways to the job's own concepts, and write them into its record.

    After a restart the rounds that are done are not made again.
    """
    if record.judges is not None or record.composes:  # encoders that exist
        return
    loaded, workspace = context.wait_loaded(), context.workspace(record)
    report = phase_reporter(context.records, context.phase_times, record, Phase.WAYS)
    if record.way_pictures and not workspace.has_checkpoint():
        concepts = own_concepts(record, parent_of(record, loaded))
        inherited = record.concepts[: len(record.concepts) - len(concepts)]
        retain, judge = settings_of(record).retain, judge_of(loaded)
        found = list(concepts)
        for number, concept in enumerate(concepts):

            def follow(
                tickets: Sequence[Ticket[T]], done: float, share: float, number: int = number
            ) -> list[T]:
                def told(part: float | None) -> bool:
                    if part is None:
                        return report(None)
                    return report((number + done + share * part) / len(concepts))

                return context.tracker.follow(record.job_id, tickets, told)

            search = EngineSearch(
                loaded,
                judge,
                concept,
                record.way_pictures,
                follow,
                retain=retain,
                state=workspace.load_search(number),
                save=partial(workspace.save_search, number),
            )
            found[number] = concept.model_copy(update={"ways": search.run()})
        named = [*inherited, *(concept.model_dump(mode="json") for concept in found)]
        context.storage.run(
            f"the ways of job {record.job_id}",
            lambda: context.records.change(record, concepts=named),
        )
    if not workspace.has_checkpoint():  # or the progress of a later phase would be lost
        report(1.0)
