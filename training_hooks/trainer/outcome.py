"""What a finished training leaves: weights, routing by source, and figures of its metrics."""

from __future__ import annotations

import json
import math
from collections import deque
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


def summary(metrics: Path, steps: int) -> dict[str, Any]:
    """`first_loss`, `tokens`, `steps`, and means over the last 5% of steps: `last_loss` and
    `max_expert_violation`."""
    first: dict[str, Any] | None = None
    tail: deque[dict[str, Any]] = deque(maxlen=max(1, steps // TAIL))
    with metrics.open(encoding="utf-8") as lines:
        for line in lines:
            tail.append(json.loads(line))
            first = tail[-1] if first is None else first
    if first is None:
        raise AssertionError("training wrote no metrics")
    return {
        "first_loss": first["loss"],
        "last_loss": math.fsum(record["loss"] for record in tail) / len(tail),
        "tokens": tail[-1]["tokens"],
        "steps": steps,
        "max_expert_violation": math.fsum(r["max_expert_violation"] for r in tail) / len(tail),
    }
