"""Groups of the trainer's options about judging. Importing this module imports neither torch nor numpy."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Evaluate(BaseModel):
    """When the model is judged on the documents held out, besides the end, which takes all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: int | None = Field(None, ge=1, description="Steps between evaluations; null: at the end alone.")
    tokens: int | None = Field(
        2**20, ge=1, description="Tokens of an evaluation before the end, about, in whole shards; null: all."
    )


class Require(BaseModel):
    """What must hold for the run to succeed; see `evaluation.judge`.

    Shards are looked at before training begins (`evaluation.faults`). The loss falls from the first to the
    last twentieth of the steps. `beats` compares bits per byte on the held-out documents of every source, and
    of all together, with baselines fitted on the same shards; `bigram` asks for both to be beaten. A loss
    that is no finite number fails every run, asked for or not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shards: bool = Field(True, description="Fail where a shard looks broken, before training begins.")
    loss_falls: float | None = Field(
        0.1,
        ge=0.0,
        description="Nats per token by which the loss of every source must fall; null: not asked.",
    )
    beats: Literal["unigram", "bigram"] | None = Field(
        "unigram", description="Baseline with more bits per byte than the model has; null: not asked."
    )
