"""The smoke gate: whether a finished training shows that its data is sound."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from corpusmill.training_hooks.evaluation.held_out import ALL, Score
from corpusmill.training_hooks.evaluation.options import Require

PART = 20  # the first and last 5% of steps are compared


class Fall(NamedTuple):
    """Mean training loss of a source over the first and the last part of the steps, in nats a token.

    NaN where it had no token there.
    """

    first: float
    last: float


def loss_falls(metrics: Path) -> dict[str, Fall]:
    """The fall of every source's training loss, from metrics.jsonl (a line names those with tokens).

    The first and the last part are of the steps that have a target.
    """
    with metrics.open(encoding="utf-8") as lines:
        every: list[dict[str, float]] = [json.loads(line)["loss_by_source"] for line in lines]
    by_step = [losses for losses in every if losses]
    part = max(1, len(by_step) // PART)
    sources = sorted({source for step in by_step for source in step})
    return {source: Fall(_mean(by_step[:part], source), _mean(by_step[-part:], source)) for source in sources}


def _mean(steps: list[dict[str, float]], source: str) -> float:
    held = [step[source] for step in steps if source in step]
    return math.fsum(held) / len(held) if held else math.nan


def judge(
    require: Require, falls: Mapping[str, Fall], scores: Mapping[str, Mapping[str, Score]] | None
) -> list[str]:
    """What does not hold, in words; nothing is empty.

    `scores`: of `model`, `unigram` and `bigram`, by source and of all; None where nothing was held out. A
    source that is too rare to be seen in the first or last steps, or without held-out documents, is not
    judged by that; where nothing can be judged at all, that is said.
    """
    return [*_falls(require, falls), *_beats(require, scores)]


def _falls(require: Require, falls: Mapping[str, Fall]) -> list[str]:
    if require.loss_falls is None:
        return []
    found = []
    seen = {source: fall for source, fall in falls.items() if not any(map(math.isnan, fall))}
    for source, fall in seen.items():
        if not fall.first - fall.last >= require.loss_falls:
            found.append(
                f"the loss of {source} went from {fall.first:.3f} to {fall.last:.3f}, a fall of "
                f"{fall.first - fall.last:.3f} nats; {require.loss_falls:g} are required"
            )
    if not seen:
        found.append("no source was seen in both the first and the last steps, so no fall can be told")
    return found


def _beats(require: Require, scores: Mapping[str, Mapping[str, Score]] | None) -> list[str]:
    if require.beats is None:
        return []
    if scores is None or not scores["model"][ALL].bytes:
        return [
            f"beating the {require.beats} asks for documents held out, and there are none; "
            "raise `held_out` under `pack`, or set `beats: null`"
        ]
    found = []
    for bar in ("unigram", "bigram") if require.beats == "bigram" else ("unigram",):
        for source, score in scores["model"].items():
            own, theirs = score.nats, scores[bar][source].nats
            if score.bytes and not own < theirs:
                per_byte = score.bytes * math.log(2)
                name = "all sources together" if source == ALL else source
                found.append(
                    f"held-out documents of {name}: {own / per_byte:.3f} bits per byte, not below the "
                    f"{bar}'s {theirs / per_byte:.3f}"
                )
    return found
