"""What training showed: the loss against the two bars every model must beat, and the experts' balance."""

from __future__ import annotations

import json
import math
from typing import Any

from corpusmill.pipelines.errors import IntegrityError
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.storage import Json

POINTS = 400  # of a curve; longer ones are averaged in equal stretches
_CURVES = ("loss", "mtp_loss", "gradient_norm", "max_expert_violation")


def training(record: RunRecord) -> Json | None:
    """Summary of the receipt and curves of `metrics.jsonl`; None before the model is trained.

    `summary`: losses in nats; `ln_vocab` is the loss of a uniform guess, `unigram_entropy` the best that a
    guess without context can do. `curves`: steps and means of equal stretches of steps.
    `loss_by_source`: mean over the last 5% of steps.
    """
    step = record.complete("train")
    if step is None:
        return None
    summary = step.units[0]["summary"]
    path = step.data.data / "metrics.jsonl"
    total = int(summary["steps"])
    stretch = max(1, math.ceil(total / POINTS))
    sums: list[dict[str, float]] = []
    counts: list[int] = []
    tail: dict[str, list[float]] = {}
    first_of_tail = total - max(1, total // 20)
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            metrics = _metrics(line, number, str(path))
            if number % stretch == 0:
                sums.append(dict.fromkeys(_CURVES, 0.0))
                counts.append(0)
            counts[-1] += 1
            for name in _CURVES:
                sums[-1][name] += float(metrics.get(name, 0.0))
            if number >= first_of_tail:
                for source, loss in metrics.get("loss_by_source", {}).items():
                    tail.setdefault(source, []).append(loss)
    ends = [min(total, (k + 1) * stretch) for k in range(len(sums))]
    return {
        "options": step.stages[-1]["options"],
        "summary": summary,
        "curves": {
            "step": ends,
            **{name: [part[name] / n for part, n in zip(sums, counts, strict=True)] for name in _CURVES},
        },
        "steps_averaged": stretch,
        "loss_by_source": {source: math.fsum(held) / len(held) for source, held in sorted(tail.items())},
    }


def _metrics(line: str, number: int, path: str) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise IntegrityError(
            f"{path}, line {number + 1}: {error}; remove its step's folder and run again"
        ) from error
    return value
