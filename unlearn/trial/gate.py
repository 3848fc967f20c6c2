"""What an encoder has to reach in order to be published."""

from __future__ import annotations

from dataclasses import dataclass

from unlearn.trial.measures import Measures


@dataclass(frozen=True)
class Gate:
    """The thresholds, each against what is measured of the encoder in pairs with its base."""

    min_forget_rate: float = 0.9
    """Of the clips in which the base shows a concept: the share from which it must be gone. Each
    concept must reach it by itself."""
    max_retain_drop: float = 0.1
    """By how much the share of clips that show another concept may fall."""
    min_base_rate: float = 0.5
    """The base must show each concept in at least this share of clips, or there is no telling."""
    max_probes: int = 32
    """At most so many probes of each concept, and so many of others; if it is not clear by then,
    the rates as they are decide."""

    def failures(self, measures: Measures) -> list[str]:
        """Why an encoder with these measures does not pass, in words; nothing if it does."""
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
