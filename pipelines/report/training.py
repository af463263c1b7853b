"""What training showed: losses beside the bars every model must beat, and where each source's tokens went."""

from __future__ import annotations

import json
import math
from typing import Any

from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.contract.given import MODEL
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.storage.sealed import read_json

POINTS = 400  # of a curve; longer ones are averaged in equal stretches
_CURVES = ("loss", "mtp_loss", "gradient_norm", "max_expert_violation", "learning_rate")
_EXPERTS = ("max_violation", "mean_violation", "entropy")


def training(record: RunRecord) -> Json | None:
    """Summary of the receipt and curves of `metrics.jsonl`; None before the model is trained.

    Steps that lack a figure (those without a target have no loss) are in no mean of it, and a mean over none
    is None. `summary`: losses in nats; `ln_vocab` is the loss of a uniform guess, `unigram_entropy` the best
    that a guess without context can do. `curves`: steps and means of equal stretches of steps. `experts`:
    such means of every mixture layer's measures of load, [layer][point], null where none were noted.
    `loss_by_source`: mean over the last 5% of steps. `held_out`: bits per byte by source at the steps that
    were looked at, `evaluation`: the content of evaluation.json, `routing`: see `specialisation`; null where
    there is none.
    """
    step = record.finished_giving(MODEL)
    if step is None:
        return None
    summary = step.units[0].summary
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
            curves.add(number, {name: metrics.get(name) for name in _CURVES})
            held = metrics.get("experts", {})
            layers = {(name, k): value for name in _EXPERTS for k, value in enumerate(held.get(name, ()))}
            experts.add(number, layers)
            if "held_out" in metrics:
                looks.append((number + 1, metrics["held_out"]))
            if number >= first_of_tail:
                for source, loss in metrics.get("loss_by_source", {}).items():
                    tail.setdefault(source, []).append(loss)
    ends = [min(total, (k + 1) * stretch) for k in range(curves.points)]
    return {
        "step": step.name,
        "options": step.stages[-1].options,
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
        self._sums: list[dict[Any, tuple[float, int]]] = []  # sum and number of the values that there are

    @property
    def points(self) -> int:
        return len(self._sums)

    def names(self) -> list[Any]:
        return sorted({name for part in self._sums for name in part})

    def add(self, number: int, values: dict[Any, float | None]) -> None:
        if number % self._stretch == 0:
            self._sums.append({})
        here = self._sums[-1]
        for name, value in values.items():
            if value is not None:
                total, count = here.get(name, (0.0, 0))
                here[name] = total + float(value), count + 1

    def mean(self, name: Any) -> list[float | None]:
        """The mean in every stretch, None where no line of it has the value."""
        held = [part.get(name) for part in self._sums]
        return [None if found is None else found[0] / found[1] for found in held]


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
    source's tokens over its share of all tokens, sources weighing the same; 1 where it does not care,
    None for an expert that no token was sent to, and for a source that the layer met no token of.
    `information[layer]`: what the expert tells about the source, in bits, of at most log2 of the sources.
    """
    if routing is None:
        return None
    tokens = [sum(sum(layer[k]) for layer in routing["counts"]) for k in range(len(routing["sources"]))]
    present = [k for k, count in enumerate(tokens) if count]
    over_even, information = [], []
    for layer in routing["counts"]:
        met = [k for k in present if sum(layer[k])]  # an MTP module may meet no token of a rare source
        shares = {k: [count / sum(layer[k]) for count in layer[k]] for k in met}
        even = [math.fsum(column) / len(met) for column in zip(*shares.values(), strict=True)]
        ratios = {
            k: [share / e if e else None for share, e in zip(row, even, strict=True)]
            for k, row in shares.items()
        }
        nothing: list[float | None] = [None] * len(layer[0])
        over_even.append([ratios.get(k, nothing) for k in present])
        told = [
            share * math.log2(ratio)
            for k in met
            for share, ratio in zip(shares[k], ratios[k], strict=True)
            if share and ratio is not None
        ]
        information.append(max(0.0, math.fsum(told) / len(met)) if met else None)
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
