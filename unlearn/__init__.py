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
    from unlearn.clip_judge import ClipJudge
    from unlearn.fewshot import few_shot_prompts, few_shot_requests, few_shots_of
    from unlearn.gate import Gate
    from unlearn.judge import (
        ClassifierJudge,
        Judge,
        JudgeConfig,
        JudgeInvalid,
        UnknownConcept,
        load_judge,
    )
    from unlearn.judging import Plan, judging_plan
    from unlearn.layers import LayersInvalid
    from unlearn.measures import Outcome, outcome_of
    from unlearn.optimise import Unlearning, unlearn
    from unlearn.settings import Method, SettingsInvalid, UnlearnSettings
    from unlearn.task import TaskInvalid, UnlearnProgress, UnlearnTask
    from unlearn.trial import Trial

_HOMES = {
    "ClassifierJudge": "unlearn.judge",
    "ClipJudge": "unlearn.clip_judge",
    "Gate": "unlearn.gate",
    "Judge": "unlearn.judge",
    "JudgeConfig": "unlearn.judge",
    "JudgeInvalid": "unlearn.judge",
    "LayersInvalid": "unlearn.layers",
    "Method": "unlearn.settings",
    "Outcome": "unlearn.measures",
    "Plan": "unlearn.judging",
    "SettingsInvalid": "unlearn.settings",
    "TaskInvalid": "unlearn.task",
    "Trial": "unlearn.trial",
    "UnknownConcept": "unlearn.judge",
    "UnlearnProgress": "unlearn.task",
    "UnlearnSettings": "unlearn.settings",
    "UnlearnTask": "unlearn.task",
    "Unlearning": "unlearn.optimise",
    "few_shot_prompts": "unlearn.fewshot",
    "few_shot_requests": "unlearn.fewshot",
    "few_shots_of": "unlearn.fewshot",
    "judging_plan": "unlearn.judging",
    "load_judge": "unlearn.judge",
    "outcome_of": "unlearn.measures",
    "unlearn": "unlearn.optimise",
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
    "Plan",
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
