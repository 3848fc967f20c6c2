"""The gate in a request body: a tier by its name, and single thresholds."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from server.api.request_fields import Number, StrictRequest
from server.settings import Probes, Rate
from unlearn.trial.tiers import Tier

NeighbourProbes = Annotated[int, Field(ge=0, le=100)]
Distance = Annotated[float, Field(ge=0, le=100)]


class GateRequest(StrictRequest):
    """Thresholds that an encoder must reach to be published.

    Omitted ones are the tier's; without a tier, the server's.
    """

    tier: Tier | None = Field(
        default=None,
        description="quick: a look, decided by the counted rates. standard: 90 % forgotten, with "
        "an interval that supports it. certified: 97 %. custom: quick, for gates that are given "
        "whole",
    )

    min_forget_rate: Annotated[Rate | None, Number] = Field(
        default=None, description="Each concept must be gone from this share of clips"
    )
    max_retain_drop: Annotated[Rate | None, Number] = Field(
        default=None,
        description="The share of clips that show other concepts may fall by this much",
    )
    min_base_rate: Annotated[Rate | None, Number] = Field(
        default=None, description="The base must show each concept in this share of clips"
    )
    max_probes: Annotated[Probes | None, Number] = Field(
        default=None, description="Most probes of each concept"
    )
    max_retain_probes: Annotated[Probes | None, Number] = Field(
        default=None, description="Most probes of other concepts; quick: max_probes"
    )
    by_interval: bool | None = Field(
        default=None,
        description="True: the 95 % intervals must reach the rates. False: the counted rates must",
    )
    neighbour_probes: Annotated[NeighbourProbes | None, Number] = Field(
        default=None, description="Probes of each of the five nearest other concepts"
    )
    max_neighbour_drop: Annotated[Rate | None, Number] = Field(
        default=None, description="The worst of these may lose this share, and what chance adds"
    )
    max_retain_distance: Annotated[Distance | None, Number] = Field(
        default=None,
        description="Mean distance of other concepts' clips to the base's own; 1 is another seed's",
    )
    max_redirected_rate: Annotated[Rate | None, Number] = Field(
        default=None,
        description="Another concept may be drawn in a concept's place in this share of its clips",
    )
    max_collapse: Annotated[Rate | None, Number] = Field(
        default=None,
        description="The share of clips that show nothing known may rise by this much",
    )

    def given(self) -> dict[str, Any]:
        """Return the fields that the request has."""
        return self.model_dump(exclude_none=True)
