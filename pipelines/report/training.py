"""What training showed: losses beside the bars every model must beat, and where each source's tokens went."""

from __future__ import annotations

import json
import math
from typing import Any

from corpusmill.pipelines.errors import damaged
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord
from corpusmill.pipelines.storage import Json, read_json

POINTS = 400  # of a curve; longer ones are averaged in equal stretches
_CURVES = ("loss", "mtp_loss", "gradient_norm", "max_expert_violation", "learning_rate")
_EXPERTS = ("max_violation", "mean_violation", "entropy")


def training(record: RunRecord) -> Json | None:
    """Summary of the receipt and curves of `metrics.jsonl`; None before the model is trained.

    `summary`: losses in nats; `ln_vocab` is the loss of a uniform guess, `unigram_entropy` the best that a
    guess without context can do. `curves`: steps and means of equal stretches of steps. `experts`: such means
    of every mixture layer's measures of load, [layer][point], null where none were noted. `loss_by_source`:
    mean over the last 5% of steps. `held_out`: bits per byte by source at the steps that were looked at,
    `evaluation`: the content of evaluation.json, `routing`: see `specialisation`; null where there is none.
    """
    step = record.complete("train")
    if step is None:
        return None
    summary = step.units[0]["summary"]
    path = step.data.file("metrics.jsonl")
    total = int(summary["steps"])
    stretch = max(1, math.ceil(total / POINTS))
    curves, experts = _Means(stretch), _Means(stretch)
    tail: dict[str, list[float]] = {}
    looks: list[tuple[int, dict[str, float | None]]] = []
    first_of_tail = total - max(1, total // 20)
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            metrics = _metrics(line, number, str(path))
            curves.add(number, {name: float(metrics.get(name, 0.0)) for name in _CURVES})
            held = metrics.get("experts", {})
            layers = {(name, k): float(v) for name in _EXPERTS for k, v in enumerate(held.get(name, ()))}
            experts.add(number, layers)
            if "held_out" in metrics:
                looks.append((number + 1, metrics["held_out"]))
            if number >= first_of_tail:
                for source, loss in metrics.get("loss_by_source", {}).items():
                    tail.setdefault(source, []).append(loss)
    ends = [min(total, (k + 1) * stretch) for k in range(curves.points)]
    return {
        "options": step.stages[-1]["options"],
        "summary": summary,
        "curves": {"step": ends, **{name: curves.mean(name) for name in _CURVES}},
        "experts": _experts(experts),
        "steps_averaged": stretch,
        "loss_by_source": {source: math.fsum(held) / len(held) for source, held in sorted(tail.items())},
        "held_out": _looks(looks),
        "evaluation": _if_there(step, "evaluation.json"),
        "routing": specialisation(_if_there(step, "routing.json")),
    }


class _Means:
    """Means of named values over equal stretches of lines."""

    def __init__(self, stretch: int) -> None:
        self._stretch = stretch
        self._sums: list[dict[Any, float]] = []
        self._counts: list[int] = []

    @property
    def points(self) -> int:
        return len(self._sums)

    def names(self) -> list[Any]:
        return sorted({name for part in self._sums for name in part})

    def add(self, number: int, values: dict[Any, float]) -> None:
        if number % self._stretch == 0:
            self._sums.append({})
            self._counts.append(0)
        self._counts[-1] += 1
        for name, value in values.items():
            self._sums[-1][name] = self._sums[-1].get(name, 0.0) + value

    def mean(self, name: Any) -> list[float]:
        return [part.get(name, 0.0) / n for part, n in zip(self._sums, self._counts, strict=True)]


def _experts(means: _Means) -> Json | None:
    layers = sorted({layer for _, layer in means.names()})
    if not layers:
        return None
    return {name: [means.mean((name, layer)) for layer in layers] for name in _EXPERTS}


def _looks(looks: list[tuple[int, dict[str, float | None]]]) -> Json | None:
    """`step` and, by source and of all (`*`), `bits_per_byte` in the same order."""
    if not looks:
        return None
    sources = sorted({source for _, held in looks for source in held})
    return {
        "step": [step for step, _ in looks],
        "bits_per_byte": {source: [held.get(source) for _, held in looks] for source in sources},
    }


def specialisation(routing: Json | None) -> Json | None:
    """How far experts keep to sources, from the counts of routing.json.

    `layers`, `sources` (those with tokens) and `over_even[layer][source][expert]`: the expert's share of the
    source's tokens over its share of all tokens, sources weighing the same; 1 where it does not care.
    `information[layer]`: what the expert tells about the source, in bits, of at most log2 of the sources.
    """
    if routing is None:
        return None
    tokens = [sum(sum(layer[k]) for layer in routing["counts"]) for k in range(len(routing["sources"]))]
    present = [k for k, count in enumerate(tokens) if count]
    over_even, information = [], []
    for layer in routing["counts"]:
        shares = [[count / max(sum(layer[k]), 1) for count in layer[k]] for k in present]
        even = [math.fsum(column) / max(len(shares), 1) for column in zip(*shares, strict=True)]
        ratios = [[share / e if e else 1.0 for share, e in zip(row, even, strict=True)] for row in shares]
        over_even.append(ratios)
        told = [
            share * math.log2(ratio)
            for row, over in zip(shares, ratios, strict=True)
            for share, ratio in zip(row, over, strict=True)
            if share
        ]
        information.append(max(0.0, math.fsum(told) / max(len(shares), 1)))
    return {
        "steps": routing["steps"],
        "layers": routing["layers"],
        "sources": [routing["sources"][k] for k in present],
        "over_even": over_even,
        "information": information,
    }


def _if_there(step: StepRecord, name: str) -> Json | None:
    return read_json(step.data.file(name)) if name in step.data.files() else None


def _metrics(line: str, number: int, path: str) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise damaged(f"{path}, line {number + 1}: {error}") from error
    return value
