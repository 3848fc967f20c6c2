"""Makes a text encoder forget concepts.

    from encoders import Concept
    from unlearn import UnlearnTask, unlearn

    run = unlearn(UnlearnTask((Concept(name="pogo", kind="character"),)), backbone)
    for progress in run:
        print(progress.step, progress.loss)
    run.encoder

Importing this package does not import torch; running something in it does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unlearn.judges.base import Judge, JudgeInvalid, UnknownConcept
    from unlearn.judges.classifier import ClassifierJudge, JudgeConfig
    from unlearn.judges.clip import ClipJudge
    from unlearn.judges.load import load_judge
    from unlearn.layers import LayersInvalid
    from unlearn.methods.optimise import Unlearning, unlearn
    from unlearn.prompts import few_shot_prompts, few_shot_requests, few_shots_of
    from unlearn.settings import Method, SettingsInvalid, UnlearnSettings
    from unlearn.task import TaskInvalid, UnlearnProgress, UnlearnTask
    from unlearn.trial.gate import Gate
    from unlearn.trial.measures import Outcome, outcome_of
    from unlearn.trial.probes import ProbePlan, judging_plan
    from unlearn.trial.trial import Trial

_HOMES = {
    "ClassifierJudge": "unlearn.judges.classifier",
    "ClipJudge": "unlearn.judges.clip",
    "Gate": "unlearn.trial.gate",
    "Judge": "unlearn.judges.base",
    "JudgeConfig": "unlearn.judges.classifier",
    "JudgeInvalid": "unlearn.judges.base",
    "LayersInvalid": "unlearn.layers",
    "Method": "unlearn.settings",
    "Outcome": "unlearn.trial.measures",
    "ProbePlan": "unlearn.trial.probes",
    "SettingsInvalid": "unlearn.settings",
    "TaskInvalid": "unlearn.task",
    "Trial": "unlearn.trial.trial",
    "UnknownConcept": "unlearn.judges.base",
    "UnlearnProgress": "unlearn.task",
    "UnlearnSettings": "unlearn.settings",
    "UnlearnTask": "unlearn.task",
    "Unlearning": "unlearn.methods.optimise",
    "few_shot_prompts": "unlearn.prompts",
    "few_shot_requests": "unlearn.prompts",
    "few_shots_of": "unlearn.prompts",
    "judging_plan": "unlearn.trial.probes",
    "load_judge": "unlearn.judges.load",
    "outcome_of": "unlearn.trial.measures",
    "unlearn": "unlearn.methods.optimise",
}

__all__ = [
    "ClassifierJudge",
    "ClipJudge",
    "Gate",
    "Judge",
    "JudgeConfig",
    "JudgeInvalid",
    "LayersInvalid",
    "Method",
    "Outcome",
    "ProbePlan",
    "SettingsInvalid",
    "TaskInvalid",
    "Trial",
    "UnknownConcept",
    "UnlearnProgress",
    "UnlearnSettings",
    "UnlearnTask",
    "Unlearning",
    "few_shot_prompts",
    "few_shot_requests",
    "few_shots_of",
    "judging_plan",
    "load_judge",
    "outcome_of",
    "unlearn",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'unlearn' has no attribute {name!r}")
