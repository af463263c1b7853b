"""Groups of the trainer's options about judging. Importing this module imports neither torch nor numpy."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Evaluate(BaseModel):
    """When the model is judged on the documents held out, besides the end.

    `every`: steps between; null: at the end alone. `tokens`: about how many tokens such a look takes (whole
    held-out shards, at least one; null: all); the end takes all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=2**20, ge=1)


class Require(BaseModel):
    """What must hold for the run to succeed; see `evaluation.judge`.

    `shards`: no shard has a fault that `evaluation.faults` looks for; looked at before training begins.
    `loss_falls`: the training loss of every source, from the first to the last twentieth of the steps, in
    nats a token; null: not asked. `beats`: bits per byte on the held-out documents of every source, and of
    all together, below those of the token unigram, or of unigram and smoothed bigram, fitted on the same
    shards; null: not asked. A loss that is no finite number fails every run, asked for or not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shards: bool = True
    loss_falls: float | None = Field(default=0.1, ge=0.0)
    beats: Literal["unigram", "bigram"] | None = "unigram"
