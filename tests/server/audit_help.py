"""Helpers of the tests of audits: judged encoders, and what was counted of them."""

from __future__ import annotations

from typing import Any

from encoders import Card, Encoder, EncoderRef
from encoders.low_rank import B
from server.runtime import Runtime
from server.storage.audit_rows import AuditRow
from unlearn.report.model import REPORT_JSON

DOCTORED: dict[str, Any] = {
    "concepts": {},
    "forget_rate": 1.0,
    "gate": {"min_forget_rate": 0.0, "max_retain_drop": 1.0, "min_base_rate": 0.0},
}
"""Measures of an encoder that was let through by thresholds which let everything through."""
REPORT = {REPORT_JSON: b'{"published": true}'}


def publish_judged(runtime: Runtime, encoder: Encoder, *, scale: float = 1.0) -> Card:
    """Publish an encoder with doctored measures, and its change of the base scaled."""
    card = encoder.card
    changed = Encoder.of(
        runtime.loaded.backbone.text_encoder,
        {
            name: tensor * scale if name.endswith(B) else tensor
            for name, tensor in encoder.overrides.items()
        },
        id=card.id,
        concepts=card.concepts,
        method=card.method,
        seed=card.seed,
        trigger=card.trigger,
    )
    judged = changed.card.model_copy(update={"measures": DOCTORED})
    return runtime.loaded.store.publish(Encoder(judged, changed.overrides), REPORT)


def fail_audit(runtime: Runtime, ref: EncoderRef, reason: str = "It shows pogo.") -> None:
    """Write that an encoder's audit has failed."""
    runtime.storage.audits.save(ref, {}, {}, [reason], judge="")


def asked(row: AuditRow | None) -> int:
    """Return the number of an audit's probes."""
    if row is None or not row.counts:
        return 0
    groups = [*row.counts["concepts"].values(), row.counts["others"]]
    return sum(group["asked"] for group in groups)
