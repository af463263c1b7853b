"""The GPU's path on one card: its tests, FP8 on tensor cores, and steps of v3-small, in under ten minutes.

    python benchmarks/one_gpu.py [--quick] [--json] [--markdown FILE] [--rehearse]

Run it where a GPU is; the project needs none. Without one every job is left out, with the reason. Jobs:

- `tests`: those that use a GPU, by pytest (`TESTS`); a failure fails the benchmark once its table is out.
- `FP8 product M x N x K`: of random matrices in tiles, on Hopper's tensor cores; how far it is from the
  emulated product, and the rate beside that of torch's BF16 product of the same size.
- `ranks`: with two or more GPUs two ranks, one on each, else one rank, by NCCL: every schedule of a pipeline,
  experts spread in each way, and data apart, two small steps each, beside one process (`gpu_ranks.py`).
  Losses and norms that are off by more than 1e-4, or 0.05 in FP8, fail the benchmark once its table is out.
- `bf16`, `fp8`: steps of forward, backward and AdamW of v3-small without MTP, which the peer has not, on
  16 rows of 1,024 tokens with a vocabulary of 32,768: tokens/s, utilisation (the step's operations over its
  time, by the rate of square BF16 products on this card, `fp8` too), and the most memory.
- transformers' DeepseekV3ForCausalLM takes the same steps from the same weights in BF16, under autocast and
  with weights in BF16, by each of its ways with experts; the fastest is in the table.

`--markdown FILE` writes the table for docs/training.md. `--rehearse` does all of it on the processor with
v3-tiny and FP8 emulated, and two ranks by gloo, to see that it runs: its figures say nothing of a GPU.
"""

from __future__ import annotations

import copy
import dataclasses
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch
import train_step
from harness import Bench, bounded

from corpusmill.training_hooks.export.hugging_face import export_hugging_face
from corpusmill.training_hooks.model.config import ModelConfig, preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.parameter_counts import flops_per_token
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.precision.apply import Mode, apply
from corpusmill.training_hooks.precision.hopper import hopper_product, why_not_hopper
from corpusmill.training_hooks.precision.product import emulated_product
from corpusmill.training_hooks.precision.quantise import ALONG_ROW, BLOCK, quantise
from corpusmill.training_hooks.trainer.flops import measured_peak

ROOT = Path(__file__).parents[1]
TESTS = (
    "tests/training_hooks/test_fp8.py",
    "tests/training_hooks/test_other_device.py",
    "tests/training_hooks/test_gpu_ranks.py",
)
TEST_SECONDS = 240
RANKS_SECONDS = 90
MOST_OFF = {"experts in FP8": 0.05}  # of a loss or a norm; else 1e-4
PRODUCTS = ((4096, 4096, 4096), (16384, 1536, 512))
MODES: tuple[Mode, ...] = ("bf16", "fp8")
Way = tuple[str, bool]  # the peer's: of its experts, and whether autocast takes FP32 weights
WAYS: tuple[Way, ...] = tuple((experts, cast) for experts in train_step.EXPERTS for cast in (True, False))
SECONDS = 25.0  # of steps of one model
WARM = 3


@dataclass(frozen=True)
class Setting:
    """Where the jobs run, and how large they are."""

    device: torch.device
    config: ModelConfig
    rows: int
    length: int
    seconds: float

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.rows * self.length


def options() -> Namespace:
    parser = ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="no tests and few steps, under 50 seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--markdown", type=Path, help="where the table is written for the documentation")
    parser.add_argument("--rehearse", action="store_true", help="on the processor, with a small model")
    return parser.parse_args()


def setting(given: Namespace) -> Setting:
    if given.rehearse:
        config = dataclasses.replace(preset("v3-tiny", 512, 0), num_hidden_layers=2)
        return Setting(torch.device("cpu"), config, 2, 32, 1.0)
    config = preset("v3-small", 32_768, 0)
    return Setting(torch.device("cuda"), config, 16, 1024, 4.0 if given.quick else SECONDS)


def run_tests(bench: Bench) -> bool:
    """Whether none failed."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "tests.xml"
        pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        try:
            done = subprocess.run(
                [*pytest, f"--junitxml={told}", *TESTS],
                cwd=ROOT,
                stdout=sys.stderr,
                timeout=TEST_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            bench.leave_out("tests", "corpusmill", f"not done in {TEST_SECONDS} s")
            return False
        suite = ElementTree.parse(told).getroot().find("testsuite")
        assert suite is not None
        ran, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    bench.add("tests", "corpusmill", ran - skipped - failed, "passed")
    bench.add("tests, failed", "corpusmill", failed, "failed")
    bench.add("tests, skipped", "corpusmill", skipped, "skipped")
    return done == 0


def run_ranks(bench: Bench, place: Setting, seconds: float) -> bool:
    """Whether ranks train as one process does."""
    ranks = 2 if place.device.type == "cpu" else min(2, torch.cuda.device_count())
    command = [sys.executable, str(Path(__file__).with_name("gpu_ranks.py"))]
    local = {f"{library}_SOCKET_IFNAME": "lo" for library in ("GLOO", "NCCL")}
    with tempfile.TemporaryDirectory() as folder:
        started = [
            subprocess.Popen(
                [*command, str(rank), str(ranks), folder, place.device.type],
                env={**os.environ, **local},
                stdout=sys.stderr,
            )
            for rank in range(ranks)
        ]
        end = time.monotonic() + seconds
        try:
            codes = [process.wait(max(0.0, end - time.monotonic())) for process in started]
        except subprocess.TimeoutExpired:
            bench.leave_out("ranks", "corpusmill", f"not done in {seconds:g} s")
            return False
        finally:
            for process in started:
                process.kill()
                process.wait()
        if any(codes):
            bench.leave_out("ranks", "corpusmill", f"ended with exit codes {codes}")
            return False
        told = json.loads((Path(folder) / "ranks.json").read_text("utf-8"))
    for name, found in told.items():
        bench.add(f"ranks, {name}, off", "corpusmill", found["off"], "of one process")
        bench.add(f"ranks, {name}", "corpusmill", found["seconds"], "s a step")
    return all(found["off"] <= MOST_OFF.get(name, 1e-4) for name, found in told.items())


def seconds_of(run: Any, device: torch.device, most: float) -> float:
    """Best seconds of a call, after a few that warm up; calls begin for `most` seconds."""
    for _ in range(WARM):
        run()
    best, end = float("inf"), time.perf_counter() + most
    while True:
        _wait(device)
        start = time.perf_counter()
        run()
        _wait(device)
        best = min(best, time.perf_counter() - start)
        if time.perf_counter() > end:
            return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def products(bench: Bench, place: Setting, sizes: tuple[tuple[int, int, int], ...]) -> None:
    """FP8 products of this card beside emulated and BF16 ones."""
    lacking = why_not_hopper(place.device)
    for m, n, k in sizes:
        job = f"FP8 product {m} x {n} x {k}"
        draws = torch.Generator().manual_seed(m)
        left, right = (torch.randn(rows, k, generator=draws).to(place.device) for rows in (m, n))
        operations = 2.0 * m * n * k
        low = left.bfloat16(), right.bfloat16().t()
        seconds = seconds_of(lambda: low[0] @ low[1], place.device, 0.5)  # noqa: B023
        bench.add(f"{job}, rate", "torch BF16", operations / seconds / 1e12, "TFLOP/s")
        if lacking is not None:
            bench.leave_out(f"{job}, rate", "corpusmill", lacking)
            bench.leave_out(f"{job}, from the emulated one", "corpusmill", lacking)
            continue
        a, b = quantise(left, ALONG_ROW), quantise(right, BLOCK)
        seconds = seconds_of(lambda: hopper_product(a, b), place.device, 0.5)  # noqa: B023
        bench.add(f"{job}, rate", "corpusmill", operations / seconds / 1e12, "TFLOP/s")
        expected = emulated_product(a, b)
        off = float((hopper_product(a, b) - expected).norm() / expected.norm())
        bench.add(f"{job}, from the emulated one", "corpusmill", off, "of its norm")


def steps(bench: Bench, place: Setting, ways: tuple[Way, ...]) -> None:
    """Steps of the model in each precision, and the peer's."""
    draws = torch.Generator().manual_seed(0)
    shape = (place.rows, place.length + 1)
    tokens_BW = torch.randint(0, place.config.vocab_size, shape, generator=draws).to(place.device)
    model = Transformer(place.config)
    initialise(model, 0, place.config.initial_std)
    peak = measured_peak(place.device, True)
    bench.add("matrix products in BF16", "torch", peak / 1e12, "TFLOP/s")
    with tempfile.TemporaryDirectory() as folder:
        export_hugging_face(model, Path(folder) / "model")
        for mode in MODES:
            lacking = why_not_hopper(place.device) if mode == "fp8" and place.device.type == "cuda" else None
            if lacking is not None:
                bench.leave_out(mode, "corpusmill", lacking)
                continue
            mine = copy.deepcopy(model).to(place.device)
            apply(mine, mode)
            found = measured(place, train_step.project_step(mine, tokens_BW, mode))
            tell(bench, place, peak, mode, "corpusmill", found)
            del mine
        peer(bench, place, peak, Path(folder) / "model", tokens_BW, ways)


def measured(place: Setting, step: train_step.Step) -> tuple[float, float]:
    """Tokens a second of one model's steps, and the most memory of the GPU in GB."""
    gc.collect()
    if place.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(place.device)
    rate = place.tokens / seconds_of(step, place.device, place.seconds)
    most = torch.cuda.max_memory_allocated(place.device) if place.device.type == "cuda" else 0
    return rate, most / 1e9


def tell(bench: Bench, place: Setting, peak: float, job: str, tool: str, found: tuple[float, float]) -> None:
    """The rows of one model's steps."""
    rate, memory = found
    bench.add(job, tool, rate, "tokens/s")
    used = rate * flops_per_token(place.config, place.length) / peak
    bench.add(f"{job}, utilisation", tool, used, "of BF16 products")
    if place.device.type == "cuda":
        bench.add(f"{job}, memory", tool, memory, "GB")


def peer(
    bench: Bench,
    place: Setting,
    peak: float,
    folder: Path,
    tokens_BW: torch.Tensor,
    ways: tuple[Way, ...],
) -> None:
    """The fastest of the ways that transformers has of the same steps in BF16."""
    try:
        import transformers
    except ImportError:
        bench.leave_out("bf16", "transformers", "transformers is not installed: pip install '.[bench]'")
        return
    found: dict[str, tuple[float, float]] = {}
    for experts, cast in ways:
        model: Any = transformers.DeepseekV3ForCausalLM.from_pretrained(
            folder, experts_implementation=experts
        )
        model.to(place.device).train()
        if not cast:
            model.to(torch.bfloat16)
        name = f"{experts}, {'autocast' if cast else 'weights in BF16'}"
        try:
            step = train_step.peer_step(model, tokens_BW, "bf16" if cast else "fp32")
            found[name] = measured(place, step)
        except torch.OutOfMemoryError:
            sys.stderr.write(f"transformers, {name}: out of memory\n")
        del model
    if not found:
        bench.leave_out("bf16", "transformers", "no way of it fits into this card's memory")
        return
    fastest = max(found, key=lambda name: found[name][0])
    sys.stderr.write(f"the peer is fastest as: {fastest}\n")
    tell(bench, place, peak, "bf16", "transformers", found[fastest])


def as_markdown(bench: Bench, card: str) -> str:
    """The table of docs/training.md."""
    lines = [f"{card}, torch {torch.__version__}", "", "| job | tool | figure | |", "|---|---|---|---|"]
    for row in bench.rows:
        figure = "-" if row.value is None else f"{row.value:,.4g}"
        lines.append(f"| {row.job} | {row.tool} | {figure} | {row.unit} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, and print the table or one JSON object."""
    given = options()
    bench = Bench("one_gpu")
    sound = True
    if not given.rehearse and not torch.cuda.is_available():
        for job in ("tests", "ranks", "FP8 product", *MODES):
            bench.leave_out(job, "corpusmill", "no GPU that torch can use: --rehearse runs on the processor")
    else:
        place = setting(given)
        if not given.quick:
            sound = run_tests(bench)
            sound = run_ranks(bench, place, 10 * RANKS_SECONDS if given.rehearse else RANKS_SECONDS) and sound
        products(bench, place, ((64, 64, 128),) if given.rehearse else PRODUCTS)
        steps(bench, place, WAYS[:1] if given.quick else WAYS)
        if given.markdown is not None:
            card = "processor" if given.rehearse else torch.cuda.get_device_name(place.device)
            given.markdown.write_text(as_markdown(bench, card), encoding="utf-8")
    bench.print(given.json)
    if not sound:
        raise SystemExit("tests or ranks failed on this GPU: their rows and the output above tell which")


if __name__ == "__main__":
    bounded(main)
