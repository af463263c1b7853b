"""Curves of a training, by tag, from what the training step left.

| tag | of metrics.jsonl |
|---|---|
| `loss/next_token`, `loss/mtp`, `loss/balance` | `loss`, `mtp_loss`, `balance_loss`, nats |
| `loss_by_source/<source>` | `loss_by_source`, nats |
| `held_out_bits_per_byte/<source>` | `held_out`, in the steps where the recipe looks; `*` is all sources |
| `final_bits_per_byte/<model>/<source>` | of evaluation.json: `model`, `unigram`, `bigram` |
| `optimiser/gradient_norm`, `optimiser/learning_rate` | the same, and `gamma`, `mtp_weight`, `sequences` |
| `progress/step`, `progress/tokens` | the same |
| `experts_<measure>/<layer>` | `experts`: `max_violation`, `mean_violation` and `entropy` of every layer |
| `experts_max_violation/*` | `max_expert_violation`: the largest over layers |

Any further number is a curve under its own name, in `other/` where it stands alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import DataError

_TAGS = {
    "step": "progress/step",
    "tokens": "progress/tokens",
    "sequences": "optimiser/sequences",
    "loss": "loss/next_token",
    "mtp_loss": "loss/mtp",
    "balance_loss": "loss/balance",
    "gradient_norm": "optimiser/gradient_norm",
    "learning_rate": "optimiser/learning_rate",
    "gamma": "optimiser/gamma",
    "mtp_weight": "optimiser/mtp_weight",
    "max_expert_violation": "experts_max_violation/*",
}
_GROUPS = {"held_out": "held_out_bits_per_byte"}


@dataclass(frozen=True)
class CurvePoint:
    """A line of metrics.jsonl: optimiser steps and tokens trained on so far, and values of curves by tag."""

    step: int
    tokens: int
    values: Mapping[str, float]


def curves_of(folder: Path) -> list[CurvePoint]:
    """The curves of metrics.jsonl in `folder`, what a training step left, line by line.

    Values are finite or not, as they were written; a null is left out. Raises DataError naming file and line
    for metrics that are missing, empty or not what a training writes.
    """
    path = folder / "metrics.jsonl"
    layers = _layers(folder)
    points = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            record = json.loads(line)
            at = (record["step"], record["tokens"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not a line of a training's metrics: {error!r}") from error
        if not all(type(place) is int and 0 <= place < 2**63 for place in at):
            raise DataError(f"{path}:{number}: step {at[0]!r} and tokens {at[1]!r} must be whole numbers")
        points.append(CurvePoint(*at, dict(_curves(record, layers))))
    if not points:
        raise DataError(f"{path}: empty: the training made no step")
    last = points[-1]
    return [*points[:-1], replace(last, values={**last.values, **_final(folder)})]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _layers(folder: Path) -> list[str]:
    """Names of the mixture layers, from routing.json; none where it is not there."""
    found = _json(folder / "routing.json").get("layers", [])
    return [str(name) for name in found]


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} does not hold a JSON object")
    return found


def _curves(record: Mapping[str, Any], layers: Sequence[str]) -> Iterator[tuple[str, float]]:
    for name, value in record.items():
        if _number(value):
            yield _TAGS.get(name, f"other/{name}"), value
        elif name == "experts" and isinstance(value, dict):
            for measure, of_layers in value.items():
                yield from _of_list(f"experts_{measure}", of_layers, layers)
        elif isinstance(value, dict):
            group = _GROUPS.get(name, name)
            yield from ((f"{group}/{key}", one) for key, one in value.items() if _number(one))
        elif isinstance(value, list):
            yield from _of_list(name, value, ())


def _of_list(group: str, values: Sequence[Any], names: Sequence[str]) -> Iterator[tuple[str, float]]:
    known = names if len(names) == len(values) else [str(place) for place in range(len(values))]
    yield from ((f"{group}/{name}", one) for name, one in zip(known, values, strict=True) if _number(one))


def _final(folder: Path) -> dict[str, float]:
    """Bits per byte of the documents held out, from evaluation.json; empty where none were."""
    scores = _json(folder / "evaluation.json").get("scores") or {}
    found = {}
    for model, by_source in scores.items():
        for source, score in by_source.items():
            if _number(score["bits_per_byte"]):
                found[f"final_bits_per_byte/{model}/{source}"] = score["bits_per_byte"]
    return found


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
