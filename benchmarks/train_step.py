"""A training step against transformers' DeepseekV3ForCausalLM: tokens/s of forward, backward and AdamW.

    python benchmarks/train_step.py [--quick] [--json] [--threads N] [--trials N]

Both train the same model from the same weights (ours, exported) on the same batch: preset v3-mini with 4
layers and a vocabulary of 8,192, 8 rows of 256 tokens, on the CPU. Multi-token prediction is off, since the
peer has none. Our step is the trainer's: it also has the sequence-wise balance loss, the loads and the move
of the routing biases, which the peer has not. Neither clips gradients. Both update by a fused AdamW.

Jobs are `fp32` and `bf16`. The project's BF16 is autocast over FP32 weights. The peer runs in the ways it
has: with its grouped and its eager experts (the batched ones copy a matrix for every slot, gigabytes here),
and in BF16 under autocast and as a model cast to BF16 whole (weights and moments too: less than a training
needs, but the fastest is asked for). Its best is in the table, and the best's name on standard error;
`--quick` tries grouped experts only. Repetitions of all, and of the matrix products that are the machine's
ceiling, are interleaved, and the best of each counts.

On a processor that cannot multiply BF16 (`model.products`) torch's own BF16 products run in loops, so that a
step of the peer takes minutes: its BF16 rows are left out, with the reason. `--quick` takes 2 rows, and as
many repetitions as fit its time.

`share of ceiling` divides a step's operations (what the mathematics needs: `trainer.flops`) over its time by
the rate of square matrix products in that type. `difference of the loss` is between the two on the same
batch and weights, in nats.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Read as torch is imported. Two threads that wait for one another by spinning stand in the way of whatever
# else the machine does; project and peer alike are measured without.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from harness import Bench, bounded
from torch import Tensor

from corpusmill.training_hooks.export.hugging_face import export_hugging_face
from corpusmill.training_hooks.model.balance import update_bias
from corpusmill.training_hooks.model.config import ModelConfig, preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.parameter_counts import flops_per_token
from corpusmill.training_hooks.model.products import bf16_products
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.precision.apply import Mode, autocast
from corpusmill.training_hooks.trainer.flops import measured_peak
from corpusmill.training_hooks.trainer.objective import objective
from corpusmill.training_hooks.trainer.optimiser import adamw, set_learning_rate

ROWS, LENGTH, VOCABULARY, LAYERS = 8, 256, 8192, 4
RATE, ALPHA, GAMMA = 1e-4, 1e-4, 1e-3
EXPERTS = ("grouped_mm", "eager")
Step = Callable[[], float]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 rows, few repetitions, under 50 seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--trials", type=int, help="repetitions of each; 30, or 5 with --quick")
    return parser.parse_args()


def sizes() -> ModelConfig:
    """v3-mini, cut to the layers and without MTP."""
    return dataclasses.replace(preset("v3-mini", VOCABULARY, 0), num_hidden_layers=LAYERS)


def project_step(model: Transformer, tokens_BW: Tensor, mode: Mode) -> Step:
    """One step of `model` in place; its result is the loss before the step."""
    optimiser = adamw(model)
    set_learning_rate(optimiser, RATE)
    real_BW = torch.ones_like(tokens_BW, dtype=torch.bool)

    def step() -> float:
        optimiser.zero_grad(set_to_none=True)
        with autocast(mode, tokens_BW.device.type):
            losses = objective(model, tokens_BW, real_BW, 0.0, ALPHA)
        losses.total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        for gate, load_E in zip(model.gates(), losses.loads, strict=True):
            update_bias(gate.e_score_correction_bias, load_E, GAMMA)
        return float(losses.loss)

    return step


def peer_step(model: Any, tokens_BW: Tensor, mode: Mode) -> Step:
    """The same of the peer: its own loss over the same targets, torch's fused AdamW."""
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=RATE, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, fused=True
    )
    inputs_BT, targets_BT = tokens_BW[:, :-1].contiguous(), tokens_BW[:, 1:].contiguous()

    def step() -> float:
        optimiser.zero_grad(set_to_none=True)
        with autocast(mode, tokens_BW.device.type):
            # `shift_labels` are targets as they stand; `labels` alone would lose each row's last.
            loss = model(inputs_BT, labels=targets_BT, shift_labels=targets_BT, use_cache=False).loss
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def peers(folder: Path, tokens_BW: Tensor, experts_of_peer: tuple[str, ...]) -> dict[str, dict[str, Step]]:
    """The ways the peer has, by job and name; none, which stderr says, where it is not installed."""
    try:
        import transformers
    except ImportError:
        print("transformers left out: not installed", file=sys.stderr)
        return {"fp32": {}, "bf16": {}}
    ways: dict[str, dict[str, Step]] = {"fp32": {}, "bf16": {}}
    for experts in experts_of_peer:
        model: Any = transformers.DeepseekV3ForCausalLM.from_pretrained(
            folder, experts_implementation=experts
        )
        model.train()
        ways["fp32"][experts] = peer_step(model, tokens_BW, "fp32")
        if bf16_products() != "native":
            continue
        ways["bf16"][f"{experts}, autocast"] = peer_step(copy.deepcopy(model), tokens_BW, "bf16")
        low = copy.deepcopy(model).to(torch.bfloat16)
        ways["bf16"][f"{experts}, BF16 weights"] = peer_step(low, tokens_BW, "fp32")
    return ways


def seconds_of(step: Step) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def interleaved(
    steps: dict[str, Step], trials: int, peaks: dict[str, float], most_seconds: float
) -> dict[str, float]:
    """Best seconds of each, taken in turns; `peaks` rise to the best rate of matrix products. No turn begins
    after `most_seconds`, but the first."""
    best = dict.fromkeys(steps, float("inf"))
    end = time.perf_counter() + most_seconds
    for turn in range(trials):
        if turn and time.perf_counter() > end:
            break
        for job, peak in peaks.items():
            peaks[job] = max(peak, measured_peak(torch.device("cpu"), job == "bf16"))
        for name, step in steps.items():
            best[name] = min(best[name], seconds_of(step))
    return best


def measure(bench: Bench, trials: int, quick: bool) -> None:
    """All rows of the table."""
    config = sizes()
    count = 2 if quick else ROWS
    tokens_BW = torch.randint(
        0, VOCABULARY, (count, LENGTH + 1), generator=torch.Generator().manual_seed(0), dtype=torch.int64
    )
    model = Transformer(config)
    initialise(model, 0, config.initial_std)
    with tempfile.TemporaryDirectory() as temporary:
        export_hugging_face(model, Path(temporary) / "model")
        ways = peers(Path(temporary) / "model", tokens_BW, EXPERTS[:1] if quick else EXPERTS)
    running: dict[str, Step] = {}
    losses: dict[str, tuple[float, float]] = {}
    for job in ("fp32", "bf16"):
        mode: Mode = "bf16" if job == "bf16" else "fp32"
        running[f"{job} corpusmill"] = project_step(copy.deepcopy(model), tokens_BW, mode)
        ours = running[f"{job} corpusmill"]()
        theirs = {name: step() for name, step in ways[job].items()}
        if ways[job]:
            seconds = interleaved(ways[job], 2, {}, 0.0 if quick else 60.0)
            fastest = min(seconds, key=seconds.__getitem__)
            print(f"{job}: the peer is fastest as: {fastest}", file=sys.stderr)
            running[f"{job} transformers"] = ways[job][fastest]
            losses[job] = ours, theirs[fastest]
    peaks = {"fp32": 0.0, "bf16": 0.0}
    best = interleaved(running, trials, peaks, 15.0 if quick else 900.0)
    flops = flops_per_token(config, LENGTH)
    for job in ("fp32", "bf16"):
        peak = peaks[job]
        bench.add(f"{job}, matrix products", "torch", peak / 1e9, "GFLOP/s")
        for tool in ("corpusmill", "transformers"):
            if f"{job} {tool}" in best:
                rate = count * LENGTH / best[f"{job} {tool}"]
                bench.add(job, tool, rate, "tokens/s")
                bench.add(f"{job}, share of ceiling", tool, rate * flops / peak, "share")
        if job in losses:
            bench.add(
                f"{job}, difference of the loss", "corpusmill", abs(losses[job][0] - losses[job][1]), "nats"
            )
            ratio = best[f"{job} transformers"] / best[f"{job} corpusmill"]
            bench.add(f"{job}, times the peer", "corpusmill", ratio, "x")
        elif ways["fp32"]:
            why = "left out: torch multiplies BF16 in loops here"
            bench.leave_out(job, "transformers", why)
            bench.leave_out(f"{job}, share of ceiling", "transformers", why)
            bench.leave_out(f"{job}, difference of the loss", "corpusmill", why)
            bench.leave_out(f"{job}, times the peer", "corpusmill", why)
    if losses:
        ratio = best["fp32 transformers"] / best["bf16 corpusmill"]
        bench.add("bf16, times the peer's fp32", "corpusmill", ratio, "x")


def main() -> None:
    """Run, and print the table or one JSON object."""
    given = options()
    torch.set_num_threads(given.threads)
    bench = Bench("train_step")
    measure(bench, given.trials or (5 if given.quick else 30), given.quick)
    bench.print(given.json)


if __name__ == "__main__":
    bounded(main)
