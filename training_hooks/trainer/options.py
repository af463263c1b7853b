"""Groups of the trainer's options. Importing this module imports neither torch nor numpy."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Balance(BaseModel):
    """How experts are kept evenly loaded (section 2.1.2).

    One of the two options may be 0; without both, experts collapse, so that must be asked for as
    `balance: off`. A short run needs a larger gamma than the report's: `usual_gamma`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gamma: float | None = Field(
        None,
        ge=0.0,
        le=1.0,
        description="Step of the routing bias; null: DeepSeek-V3's 0.001, more in a short run.",
    )
    alpha: float = Field(
        1e-4, ge=0.0, le=1.0, description="Weight of the sequence-wise balance loss (DeepSeek-V3: 0.0001)."
    )

    @model_validator(mode="after")
    def _something_balances(self) -> Self:
        if self.gamma == 0 and self.alpha == 0:
            raise ValueError("gamma 0 and alpha 0 leave experts unbalanced; to mean it, write `balance: off`")
        return self


class Checkpointing(BaseModel):
    """When the state of training is kept, so that a run that was stopped or killed goes on from there.

    Checkpoints are removed when the model is done. No option changes the result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: int | None = Field(
        None,
        ge=1,
        description="Steps between; null: a minute at least, and under 2% of the time spent on them.",
    )
    keep: int = Field(2, ge=1, le=1000, description="Checkpoints to keep, the latest.")


class Parallel(BaseModel):
    """How the ranks of a training divide its model; what is left divides the data, with ZeRO-1.

    ranks = pipeline x experts x data. Layouts differ in round-off only: a training may go on in another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: int = Field(1, ge=1, le=4096, description="Ranks that the layers are spread over, in stages.")
    experts: int = Field(
        1, ge=1, le=65536, description="Ranks that the routed experts of a layer are spread over."
    )
    schedule: Literal["dualpipe", "dualpipev", "zb1p", "1f1b"] = Field(
        "dualpipe", description="Order of passes in a pipeline (`corpusmill schedule` compares them)."
    )
    nodes: int = Field(
        1,
        ge=1,
        le=65536,
        description="Nodes that ranks of `experts` lie on; rows go once to each, then on within.",
    )

    @model_validator(mode="after")
    def _nodes_divide(self) -> Self:
        if self.experts % self.nodes:
            raise ValueError(f"{self.experts} ranks of experts do not divide among {self.nodes} nodes")
        return self


def usual_gamma(steps: int) -> float:
    """gamma of a run of `steps`: the report's 0.001, but enough to move a bias by 4 in the whole run.

    Affinities lie between 0 and 1, and a bias has to make up for differences between them. V3's biases could
    move by 235 in its 235,000 steps; with 0.001, those of a run of 200 steps by 0.2, which leaves the
    load as uneven as it becomes without. Measured on `v3-tiny`, 200 steps of 2,048 tokens of web, code and
    mathematics (largest violation over the last steps, loss): gamma 0.001: 1.43, 6.145; 0.01: 0.49, 6.118;
    0.02: 0.48, 6.127; 0.05: 0.66, 6.173, where biases overshoot. Hence at most 0.02.
    """
    return max(0.001, min(4.0 / steps, 0.02))
