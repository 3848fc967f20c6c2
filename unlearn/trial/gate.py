"""The gate: thresholds that an encoder must meet to be published."""

from __future__ import annotations

from dataclasses import dataclass

from unlearn.trial.measures import Measures


@dataclass(frozen=True)
class Gate:
    """The thresholds for the measures of an encoder and its base. Rates are shares from 0 to 1."""

    min_forget_rate: float = 0.9
    """The least share, of the clips in which the base shows a concept, from which the concept must
    be gone. Each concept is held to it separately."""
    max_retain_drop: float = 0.1
    """The most by which the share of clips that show another concept may fall."""
    min_base_rate: float = 0.5
    """The least share of clips in which the base must show each concept; with fewer, nothing can be
    concluded about forgetting."""
    max_probes: int = 32
    """The most probes of each concept, and of the other concepts together. If the sequential test
    is not clear by then, the rates decide."""

    def failures(self, measures: Measures) -> list[str]:
        """List in words why an encoder with these measures does not pass; empty if it does."""
        found: list[str] = []
        for name, of in measures["concepts"].items():
            if of["base_rate"] < self.min_base_rate:
                found.append(
                    f"The base shows {name!r} in only {of['base_rate']:.0%} of the {of['base_n']} "
                    f"clips judged; at least {self.min_base_rate:.0%} are needed to tell whether "
                    "it is gone."
                )
            if of["forget_rate"] < self.min_forget_rate:
                found.append(
                    f"{name!r} is gone from only {of['forget_rate']:.0%} of the {of['n']} clips "
                    f"in which the base shows it ({self.min_forget_rate:.0%} needed): more steps, "
                    "or a higher learning rate."
                )
        if measures["retain_drop"] > self.max_retain_drop:
            found.append(
                f"Other concepts are lost from {measures['retain_drop']:.0%} of the "
                f"{measures['retain_n']} clips judged (at most {self.max_retain_drop:.0%} "
                "allowed): fewer steps, or a higher retain_weight."
            )
        return found
