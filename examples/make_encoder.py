"""Make an encoder in Python, without a server: optimise, judge, publish, export.

Run it in the checkout: `python examples/make_encoder.py pogo character --export exported`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from encoders import Concept, Encoder
from encoders.exchange import export_directory
from encoders.residency import Residency
from encoders.store import EncoderStore
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.judges.load import load_judge
from unlearn.trial.gate import Gate
from unlearn.trial.neighbours import neighbour_steps
from unlearn.trial.outcomes import outcome_of
from unlearn.trial.probes import judging_plan
from unlearn.trial.tiers import DEFAULT_TIER, TIERS
from unlearn.trial.trial import Trial
from video import Engine, load_backbone
from video.models.backbone import Backbone

WEIGHTS = Path("starter/weights")  # the built-in model, in the checkout


def main() -> None:
    """Make one encoder; exit with the reasons if it does not pass the gate."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("concept")
    parser.add_argument("kind", help="object, character, person, style or motion")
    parser.add_argument("--steps", type=int, help="of the optimisation; default: the method's")
    parser.add_argument("--tier", choices=list(TIERS), default=DEFAULT_TIER)
    parser.add_argument("--max-probes", type=int, help="of each concept; default: the tier's")
    parser.add_argument("--folder", type=Path, default=Path("my-encoders"))
    parser.add_argument("--export", type=Path, help="a new directory for a plain text encoder")
    given = parser.parse_args()
    backbone = load_backbone(WEIGHTS)
    concept = Concept(name=given.concept, kind=given.kind)
    run = unlearn(UnlearnTask((concept,), UnlearnSettings(steps=given.steps)), backbone)
    for progress in run:
        print(f"step {progress.step} of {progress.steps}: loss {progress.loss:.4f}")
    gate = Gate.of_tier(given.tier, max_probes=given.max_probes)
    measures = judge(run.encoder, backbone, gate, EncoderStore(given.folder / "drafts"))
    if failures := gate.failures(measures):
        sys.exit("\n".join(failures))
    card = run.encoder.card.model_copy(update={"measures": measures})
    encoder = Encoder(card, run.encoder.overrides)
    EncoderStore(given.folder / "published").publish(encoder)
    print(f"{card.id}: published, forget rate {measures['forget_rate']:.0%}")
    if given.export:
        export_directory(backbone.text_encoder, encoder.overrides, given.export)


def judge(encoder: Encoder, backbone: Backbone, gate: Gate, drafts: EncoderStore) -> dict[str, Any]:
    """Compare an encoder with its base, round by round, until the gate's questions are answered."""
    book, can = backbone.prompts, backbone.capabilities
    eye = load_judge(WEIGHTS / "judge", book)
    card = drafts.publish(encoder)
    engine = Engine(lambda: backbone, lambda b: Residency(b.text_encoder, drafts, 2**30, "cpu"))
    engine.start()
    *_, near = neighbour_steps(card.concepts, eye, backbone)
    plan = judging_plan(
        card.concepts,
        encoder=card.ref,
        judge=eye,
        book=book,
        capabilities=can,
        gate=gate,
        neighbours=near,
    )
    trial = Trial(plan, card.concepts, gate)
    while probes := trial.next_round():
        tickets = {asked: engine.submit(asked) for probe in probes for asked in probe.requests}
        made = {asked: ticket.result() for asked, ticket in tickets.items()}
        trial.tell(
            [
                outcome_of(
                    p, made[p.base], made[p.encoder], eye, again=made[p.again] if p.again else None
                )
                for p in probes
            ]
        )
        print(f"{len(trial.outcomes)} pairs judged, at most {trial.most}")
    engine.stop()
    drafts.delete(card.id)
    return {**trial.measures(), "gate": vars(gate)}


if __name__ == "__main__":
    main()
