"""Ablations of the trainer on given shards: what each part of DeepSeek-V3's recipe is worth at this size.

Every recipe of configs/ablations trains on the same shards from the same start; only its `train` section is
taken from it. `--shards` is the data folder of a finished `pack` step (of `configs/ablations/base.yaml` or
any other run with documents held out), `--tokenizer` that of its `tokenizer` step. Jobs are `bits per byte`
on all held-out documents and by source, `training loss` (last 5% of steps, nats a token), `max violation` and
`load entropy` (expert load, last 5% of steps, means over layers) and `seconds`; tools are the recipes, and
the `unigram` and `bigram` fitted on the same shards. With `--seeds N` each is a mean of N seeds, and `spread`
the difference of the largest and the smallest bits per byte: differences below it mean nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from harness import Bench, bounded

from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.recipe.loader import load_recipe

RECIPES = Path(__file__).resolve().parent.parent / "configs" / "ablations"
TAIL = 20
QUICK_RECIPES = 2
Figures = dict[str, tuple[float, str]]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shards", type=Path, required=True, help="folder of token shards")
    parser.add_argument("--tokenizer", type=Path, help="folder of the tokenizer that encoded them")
    parser.add_argument("--only", nargs="*", help="names of recipes; all by default")
    parser.add_argument("--steps", type=int, help="optimiser steps; the recipe's by default")
    parser.add_argument("--preset", help="size of the model; the recipe's by default")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--quick", action="store_true", help="4 steps of two recipes: shows that all of it runs"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    return parser.parse_args()


def one(path: Path, given: argparse.Namespace, seed: int) -> tuple[Figures, dict[str, float]]:
    """Figures of one training by job, and bits per byte of the baselines."""
    ((_, found),) = load_recipe(path).sections["train"].stages()
    stage: Any = found
    changed = {"steps": 4 if given.quick else given.steps, "preset": given.preset}
    data = {**stage.model_dump(), **{name: value for name, value in changed.items() if value is not None}}
    made = type(stage).model_validate({**data, "require": None}).prepare(Context(seed=seed))
    inputs = {"shards": sorted(given.shards.glob("*.arrow"))}
    if given.tokenizer is not None:
        inputs["tokenizer"] = [given.tokenizer]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        summary = made.run(inputs, Path(folder))
        seconds = time.perf_counter() - began
        judged = json.loads((Path(folder) / "evaluation.json").read_text(encoding="utf-8"))
        lines = (Path(folder) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    if judged["scores"] is None:
        raise SystemExit(f"no shard in {given.shards} is held out: pack with `held_out` above 0")
    last = [json.loads(line) for line in lines][-max(1, len(lines) // TAIL) :]
    figures: Figures = {
        f"bits per byte, {'all' if source == '*' else source}": (score["bits_per_byte"], "bits")
        for source, score in judged["scores"]["model"].items()
        if score["bits_per_byte"] is not None
    }
    if summary["last_loss"] is not None:
        figures["training loss"] = summary["last_loss"], "nats"
    for job, measure in (("max violation", "max_violation"), ("load entropy", "entropy")):
        values = [value for line in last for value in line["experts"][measure] if value is not None]
        if values:
            figures[job] = math.fsum(values) / len(values), "of even"
    figures["seconds"] = seconds, "s"
    return figures, {name: judged["scores"][name]["*"]["bits_per_byte"] for name in ("unigram", "bigram")}


def main() -> None:
    given = options()
    bench = Bench("ablations")
    baselines: dict[str, float] = {}
    for path in sorted(RECIPES.glob("*.yaml"))[: QUICK_RECIPES if given.quick and not given.only else None]:
        if given.only and path.stem not in given.only:
            continue
        held: dict[str, list[tuple[float, str]]] = defaultdict(list)
        for seed in range(given.seeds):
            figures, baselines = one(path, given, 17 + seed)
            for job, figure in figures.items():
                held[job].append(figure)
        for job, found in held.items():
            bench.add(job, path.stem, math.fsum(value for value, _ in found) / len(found), found[0][1])
        bits = [value for value, _ in held["bits per byte, all"]]
        if given.seeds > 1:
            bench.add("bits per byte, all, spread", path.stem, max(bits) - min(bits), "bits")
    for name, value in baselines.items():
        bench.add("bits per byte, all", name, value, "bits")
    bench.print(given.json)


if __name__ == "__main__":
    bounded(main)
