"""The loop: what every step is given, what its line says, and what one optimiser step does to the weights."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.model.config import preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.trainer.loop import Run, Trained, train
from corpusmill.training_hooks.trainer.objective import objective
from corpusmill.training_hooks.trainer.optimiser import adamw
from corpusmill.training_hooks.trainer.outcome import summary
from corpusmill.training_hooks.trainer.progress import Speedometer, duration
from corpusmill.training_hooks.trainer.schedule import Kind, schedule
from corpusmill.training_hooks.trainer.step import Batch, Settings, training_step
from corpusmill.training_hooks.trainer.stop import StopRequest
from tests.oracles.training_shards import PAD, Writer, chain_language

CONTEXT, DEPTH = 12, 1


@pytest.fixture
def shards(write: Writer) -> list[Path]:
    first, second = chain_language(9, 20, 0), chain_language(7, 20, 1)
    second[:, 13:] = PAD
    second[3, 2:] = PAD
    return [write("0.arrow", first), write("1.arrow", second, sources=["b", "c"])]


def model_of(std: float = 0.1) -> Transformer:
    config = dataclasses.replace(preset("v3-tiny", 64, DEPTH), hidden_size=32, num_hidden_layers=2)
    model = Transformer(config)
    initialise(model, 1, std)
    return model


def trained(
    shards: list[Path],
    folder: Path,
    *,
    kind: Kind = "report",
    steps: int = 20,
    batch: int = 10,
    **changed: Any,
) -> tuple[Trained, list[dict[str, Any]], Run, ShardLoader]:
    """A run, and the lines of its metrics."""
    loader = ShardLoader(shards, batch_size=batch, seed=4, context=CONTEXT, ahead=1 + DEPTH)
    plan = schedule(
        kind,
        steps=steps,
        batch=batch,
        context=CONTEXT,
        warmup_steps=changed.pop("warmup_steps", 3),
        peak=0.01,
        gamma=0.02,
        mtp_weight=0.3,
    )
    run = Run(steps, plan, **{"alpha": 0.01, "micro_batch": 4, "peak": 1e12, **changed})
    folder.mkdir(parents=True)
    done = train(model_of(), loader, run, folder / "metrics.jsonl")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return done, lines, run, loader


@pytest.mark.parametrize(
    ("kind", "steps", "batch"),
    [(kind, *size) for kind in ("report", "cosine") for size in ((1, 10), (5, 3), (2, 40))]
    + [("report", 22, 6)],  # enough steps for all of its phases
)
def test_every_step_has_what_the_schedule_says_of_the_tokens_at_its_end(
    shards: list[Path], tmp_path: Path, kind: Kind, steps: int, batch: int
) -> None:
    """Whatever the size of pieces; and its line counts real targets by the shards themselves."""
    found = {}
    for micro_batch in (4, batch):
        folder = tmp_path / str(micro_batch)
        _, lines, run, loader = trained(
            shards, folder, kind=kind, steps=steps, batch=batch, micro_batch=micro_batch
        )
        found[micro_batch] = lines
    plan = run.schedule
    assert [line["step"] for line in lines] == list(range(1, steps + 1))
    seen = targets = 0
    for (first, count), *both in zip(islice(plan.steps(CONTEXT), steps), *found.values(), strict=True):
        assert first * CONTEXT == seen
        seen += count * CONTEXT
        targets += int((loader.sequences(first, count)[:, 1 : 1 + CONTEXT] != PAD).sum())
        for line in both:
            assert line["sequences"] == count
            assert line["learning_rate"] == plan.learning_rate(seen)
            assert line["gamma"] == plan.bias_step(seen)
            assert line["mtp_weight"] == plan.depth_weight(seen)
            assert line["tokens"] == targets
    if kind == "report" and steps == 22:
        assert {line["gamma"] for line in lines} == {0.02, 0.0}
        assert sorted({line["mtp_weight"] for line in lines}) == pytest.approx([0.1, 0.3])
        assert lines[0]["sequences"] == 1
        assert lines[0]["learning_rate"] == pytest.approx(0.01 / sum(r["sequences"] for r in lines[:3]))


def test_losses_by_source_are_the_model_s_own(shards: list[Path], tmp_path: Path) -> None:
    """The first line against the untrained model, one sequence at a time, each target by its own source."""
    _, lines, _, loader = trained(shards, tmp_path / "run", kind="cosine", steps=1, batch=20, micro_batch=6)
    model = model_of()
    sums: dict[str, list[float]] = {name: [] for name in loader.sources}
    for window in loader.samples(0, 20):
        shard = loader.shards[window.shard]
        pieces = shard.pieces(window.row)
        real = sum(p.length for p in pieces)
        row = shard.tokens(window.row)[:real].astype(np.int64)[window.start : window.start + CONTEXT + 1]
        if len(row) < 2:
            continue
        with torch.no_grad():
            share = model.logits(torch.from_numpy(row[:-1])[None])[0].log_softmax(-1)
        for at in range(1, len(row)):
            place = window.start + at
            (source,) = [p.source for p in pieces if p.start <= place < p.start + p.length]
            sums[source].append(-float(share[at - 1, row[at]]))
    assert lines[0]["loss_by_source"] == pytest.approx(
        {k: sum(v) / len(v) for k, v in sums.items()}, rel=1e-5
    )
    everything = [loss for losses in sums.values() for loss in losses]
    assert lines[0]["loss"] == pytest.approx(sum(everything) / len(everything), rel=1e-5)
    assert lines[0]["tokens"] == len(everything)


def test_routing_is_that_of_the_last_tenth_alone(shards: list[Path], tmp_path: Path) -> None:
    """Two experts for every real input of the main layers in the last two steps of 20, and no other."""
    done, _, run, loader = trained(shards, tmp_path / "run", kind="cosine", steps=20, batch=4)
    assert run.routing_from == 18
    inputs = loader.sequence_sources(18 * 4, 8)[:, :CONTEXT]
    counts = np.array(done.routing)
    for code in range(len(loader.sources)):
        assert counts[0, code].sum() == 2 * (inputs == code).sum()


def test_alpha_acts(shards: list[Path], tmp_path: Path) -> None:
    """Without it the first loss is the same and later ones are others."""
    losses = []
    for number, changed in enumerate(({}, {"alpha": 0.0})):
        _, lines, _, _ = trained(
            shards, tmp_path / str(number), kind="cosine", steps=3, batch=8, warmup_steps=0, **changed
        )
        losses.append([line["loss"] for line in lines])
    assert losses[0][0] == losses[1][0]
    assert losses[0][2] != losses[1][2]


def test_a_step_is_clip_then_adamw_written_out() -> None:
    """Three steps with gradients far above and below the limit, at three rates, against loops of tensors: the
    total gradient norm is cut to 1, moments and their bias, decay of matrices alone (Loshchilov and Hutter
    2019, algorithm 2)."""
    model = model_of(0.3)
    other, optimiser = copy.deepcopy(model), adamw(model)
    first: dict[str, torch.Tensor] = {}
    second: dict[str, torch.Tensor] = {}
    norms = []
    for number, (rate, weight) in enumerate(((0.01, 300.0), (0.002, 0.0), (0.03, 40.0)), start=1):
        tokens = np.random.default_rng(number).integers(8, 64, (5, CONTEXT + 1 + DEPTH))
        settings = Settings(rate, 0.0, weight, 0.01, 5, "fp32")
        done = training_step(
            model,
            optimiser,
            Batch(tokens, np.zeros_like(tokens), PAD),
            settings,
            sources=1,
            stop=StopRequest(),
        )
        assert done is not None
        batch = torch.from_numpy(tokens)
        other.zero_grad()
        objective(other, batch, batch != PAD, weight, 0.01).total.backward()  # type: ignore[no-untyped-call]
        named = dict(other.named_parameters())
        found = {name: p.grad for name, p in named.items() if p.grad is not None}
        norm = math.sqrt(math.fsum(float(g.double().square().sum()) for g in found.values()))
        assert done.norm == pytest.approx(norm, rel=1e-4)
        norms.append(norm)
        with torch.no_grad():
            for name, raw in found.items():
                parameter, gradient = named[name], raw / max(norm, 1.0)
                first[name] = 0.9 * first.get(name, torch.zeros(())) + 0.1 * gradient
                second[name] = 0.95 * second.get(name, torch.zeros(())) + 0.05 * gradient.square()
                mean = first[name] / (1 - 0.9**number)
                spread = (second[name] / (1 - 0.95**number)).sqrt() + 1e-8
                decay = 0.1 if parameter.ndim >= 2 else 0.0
                parameter.sub_(rate * (mean / spread + decay * parameter))
        # The two go on from the same weights: rounding must not add up through gradients near zero.
        for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=rate * 0.02, msg=f"{name} in step {number}")
        other.load_state_dict(model.state_dict())
    assert max(norms) > 20
    assert min(norms) < 20


def test_the_summary_is_of_the_last_twentieth(tmp_path: Path) -> None:
    lines = [{"loss": 50.0 - n, "max_expert_violation": n / 4, "tokens": 7 * n} for n in range(1, 48)]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = summary(tmp_path / "m.jsonl", 47)
    assert found == {
        "first_loss": 49.0,
        "last_loss": 3.5,
        "tokens": 329,
        "steps": 47,
        "max_expert_violation": 11.625,
    }
    (tmp_path / "m.jsonl").write_text(json.dumps(lines[0]) + "\n")
    assert summary(tmp_path / "m.jsonl", 1)["last_loss"] == 49.0


def test_the_log_s_figures(tmp_path: Path) -> None:
    meter = Speedometer(2e6, 1e9, 10, 1000, torch.device("cpu"), tmp_path)
    text = meter.describe(50.0, 400)
    assert text.startswith("50 tokens/s, 10% of peak, ")
    assert text.endswith(" GiB, 12s left")
    assert [duration(s) for s in (0.4, 59.4, 61, 3600, 7509)] == ["0s", "59s", "1m01s", "1h00m", "2h05m"]


def test_steps_faster_than_the_peak_raise_it(caplog: pytest.LogCaptureFixture) -> None:
    """As where other work took the machine while the peak was measured."""
    meter = Speedometer(2e6, 1e8, 10, 1000, torch.device("cpu"), None)
    with caplog.at_level("INFO", "corpusmill.train"):
        shares = [meter.describe(speed, 0).split(", ")[1] for speed in (25.0, 100.0, 50.0)]
    assert shares == ["50% of peak", "100% of peak", "50% of peak"]
    assert caplog.messages == ["the peak was taken as 1e+08 operations a second; steps reach 2e+08"]


def test_speed_is_since_the_last_mark(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = 100.0
    monkeypatch.setattr("corpusmill.training_hooks.trainer.progress.time.perf_counter", lambda: now)
    meter = Speedometer(1.0, 1e3, 10, 4000, torch.device("cpu"), None)
    with pytest.raises(RuntimeError, match="start"):
        meter.step(1, 10, 1.0, tell=True)
    meter.start(1000)
    with caplog.at_level("INFO", "corpusmill.train"):
        now = 110.0
        meter.step(1, 1500, 2.0, tell=False)
        now = 120.0
        meter.step(2, 2000, 2.0, tell=True)
        now = 121.0
        meter.step(3, 2200, 2.0, tell=True)
    (one, two) = caplog.messages
    assert one.startswith("step 2/10: loss 2.000, 50 tokens/s, 5% of peak")
    assert one.endswith(" 40s left")
    assert two.startswith("step 3/10: loss 2.000, 200 tokens/s, 20% of peak")
    assert two.endswith(" 9s left")
