"""What a finished training leaves: weights, routing by source, and figures of its metrics."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.trainer.expert_load import layer_names
from corpusmill.training_hooks.trainer.loop import Run, Trained

TAIL = 20  # the last 5% of steps are averaged


def write_weights(folder: Path, model: Transformer, trained: Trained) -> None:
    """`model.safetensors` and `config.json`, and `ema.safetensors` where an average was kept."""
    from safetensors.torch import save_file

    weights: dict[str, Tensor] = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    mode = folder.stat().st_mode & 0o666
    files = {"model.safetensors": weights, "ema.safetensors": trained.ema}
    for name, tensors in files.items():
        if tensors is not None:
            save_file(tensors, folder / name)
            (folder / name).chmod(mode)  # safetensors makes files for their owner alone
    written = json.dumps(model.config.to_json(), indent=2, sort_keys=True) + "\n"
    (folder / "config.json").write_text(written, encoding="utf-8")


def write_routing(path: Path, model: Transformer, sources: Sequence[str], run: Run, trained: Trained) -> None:
    """`counts[layer][source][expert]` of real tokens over `steps` (first, last; from 1), with the names of
    `layers` (mixture layers, MTP's last) and `sources`."""
    content = {
        "steps": [run.routing_from + 1, run.steps],
        "layers": layer_names(model),
        "sources": list(sources),
        "counts": trained.routing,
    }
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")


def layouts(trained: Trained) -> dict[str, Any]:
    """For the summary, `layouts` of ranks that a training went through, each with the first step (from 1) it
    did; nothing where it was one process throughout."""
    names = ("pipeline", "data", "experts")
    found = [
        {"from_step": after + 1, **dict(zip(names, sizes, strict=True))} for after, *sizes in trained.layouts
    ]
    alone = all(sizes == [1, 1, 1] for _, *sizes in trained.layouts)
    return {} if alone else {"layouts": found}


def summary(metrics: Path, steps: int) -> dict[str, Any]:
    """`first_loss`, `tokens`, `steps`, and means over the last 5% of steps: `last_loss` and
    `max_expert_violation`.

    A step without a target (windows of padding alone) has no loss: the first and the last ones are those of
    steps that have one, and `steps_without_targets` counts the others where there are any. Figures of which
    there are none are None.
    """
    losses, violations = _Ends(), _Ends()
    tokens = done = 0
    with metrics.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            done, tokens = done + 1, record["tokens"]
            losses.add(record["loss"])
            violations.add(record["max_expert_violation"])
    if not done:
        raise AssertionError("training wrote no metrics")
    found = {
        "first_loss": losses.first,
        "last_loss": losses.last(steps),
        "tokens": tokens,
        "steps": steps,
        "max_expert_violation": violations.last(steps),
    }
    without = done - losses.count
    return found | ({"steps_without_targets": without} if without else {})


class _Ends:
    """The values of a figure that steps have: how many, the first, and the mean of the last ones.

    The last 5% of those that have one may begin before the last 5% of all steps, so all are kept, in 8 bytes
    each.
    """

    def __init__(self) -> None:
        self._values = array("d")

    def add(self, value: float | None) -> None:
        if value is not None:
            self._values.append(value)

    @property
    def count(self) -> int:
        return len(self._values)

    @property
    def first(self) -> float | None:
        return self._values[0] if self._values else None

    def last(self, steps: int) -> float | None:
        """Mean of the last 5% of the values; of `steps` values where every step has one."""
        if not self._values:
            return None
        tail = self._values[-max(1, min(self.count, steps) // TAIL) :]
        return math.fsum(tail) / len(tail)
