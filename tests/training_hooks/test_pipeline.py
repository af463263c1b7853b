"""Stages on several processes give the losses, gradients, loads and routing of one process."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.distributed.channels import Channels
from corpusmill.training_hooks.distributed.group import local_group
from corpusmill.training_hooks.distributed.layout import Place
from corpusmill.training_hooks.distributed.measured_step import MeasuredStep
from corpusmill.training_hooks.distributed.part import Part
from corpusmill.training_hooks.distributed.pipelined import PipelinedPasses, in_chunks
from corpusmill.training_hooks.distributed.stages import Pipeline
from corpusmill.training_hooks.model.config import preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.recompute import recompute
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.precision.apply import Mode, apply
from corpusmill.training_hooks.schedules.methods import METHODS
from corpusmill.training_hooks.trainer.expert_load import RoutingTally
from corpusmill.training_hooks.trainer.step import StepResult, pass_rows
from tests.oracles.pipeline_ranks import (
    CASES,
    CONFIG,
    RANKS,
    ROWS,
    SETTINGS,
    SOURCES,
    TWICE,
    Case,
    batch,
    counts,
    rows_of,
    told,
)
from tests.oracles.training_gang import run_ranks
from tests.warm import Warm

LIMIT = 900  # seconds that the processes may take before they are ended
Step = tuple[dict[str, Tensor], dict[str, Any]]
Gang = tuple[list[Step], dict[str, list[str]]]


@cache
def alone(experts: int, chunks: int, mode: Mode = "fp32") -> Step:
    """Gradients, and what else it gives, of a step of one process that takes the rows of `experts` ranks in
    as many chunks as each of them does: at other bounds FP32 rounds otherwise, by more than 1e-6."""
    torch.set_num_threads(1)
    model = Transformer(CONFIG)
    initialise(model, 1, CONFIG.initial_std)
    apply(model, mode)
    settings = replace(SETTINGS, precision=mode)
    tally = RoutingTally(model, SOURCES)
    result = StepResult.empty(SOURCES, counts())
    with tally.listening():
        for expert in range(experts):
            for rows in in_chunks(rows_of(Case(1, experts, ""), Place(0, 0, expert)), chunks):
                pass_rows(model, rows, slice(None), settings, result, tally)
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}, told(result, tally)


def alone_as(case: Case, mode: Mode = "fp32") -> Step:
    most = -(-ROWS // case.experts)
    pipeline = Pipeline(CONFIG, case.method, case.pipeline)
    return alone(case.experts, pipeline.chunks(most, SETTINGS.micro_batch), mode)


@pytest.fixture(scope="module")
def gang(training: Warm, tmp_path_factory: pytest.TempPathFactory) -> Gang:
    """What the ranks told, `CASE/NAME` and by case, and what it raised in the others that the last hung and
    that it died."""
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(training, "tests.oracles.pipeline_ranks", folder, RANKS, LIMIT, [0, 0, 0, 7])
    steps = [
        (load_file(folder / f"{rank}.safetensors"), json.loads((folder / f"{rank}.json").read_text("utf-8")))
        for rank in range(RANKS)
    ]
    raised = {
        how: [(folder / f"{rank}.{how}").read_text("utf-8") for rank in range(RANKS - 1)]
        for how in ("hangs", "dies")
    }
    return steps, raised


def ranks_of(case: Case) -> int:
    return case.pipeline * case.experts


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_losses_and_gradients_are_those_of_one_process(case: Case, gang: Gang) -> None:
    """Every parameter is on the ranks that `holders` names, and their gradients add up to that of one
    process; with experts spread, those of an expert's ranks stand one after the other."""
    pipeline = Pipeline(CONFIG, case.method, case.pipeline)
    found, wanted_by = [], alone_as(case)[0]
    for tensors, _ in gang[0][: ranks_of(case)]:
        own = {name.partition("/")[2]: t for name, t in tensors.items() if name.startswith(f"{case.name}/")}
        found.append(own)
    for name, wanted in wanted_by.items():
        having = [rank for rank, tensors in enumerate(found) if name in tensors]
        holders = pipeline.holders(name)
        assert having == [p * case.experts + e for p in sorted(holders) for e in range(case.experts)], name
        if ".experts." in name and "shared" not in name:
            parts = [
                torch.stack([found[p * case.experts + e][name] for p in holders]).sum(0)
                for e in range(case.experts)
            ]
            total = torch.cat(parts)
        else:
            total = torch.stack([found[rank][name] for rank in having]).sum(0)
        assert total.shape == wanted.shape
        assert float((total - wanted).norm() / wanted.norm()) <= 1e-6, name
    assert {name for tensors in found for name in tensors} == wanted_by.keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_losses_loads_and_routing_add_up(case: Case, gang: Gang) -> None:
    for key, wanted in alone_as(case)[1].items():
        told_by = [by_case[case.name][key] for _, by_case in gang[0][: ranks_of(case)]]
        total = np.sum([np.concatenate([np.ravel(v) for v in one]) for one in told_by], axis=0)
        assert total == pytest.approx(np.concatenate([np.ravel(v) for v in wanted]), rel=1e-6), key


def test_two_runs_and_passes_one_by_one_have_the_same_bits(gang: Gang) -> None:
    for tensors, by_case in gang[0]:
        for name in TWICE:
            assert by_case[name]["repeats"], name
            assert by_case[name]["as one by one"], name
        plain, again = "2x2-dualpipe/", "2x2-dualpipe-recompute/"
        names = [name.removeprefix(again) for name in tensors if name.startswith(again)]
        assert len(names) > 40
        assert all(torch.equal(tensors[plain + name], tensors[again + name]) for name in names)


def test_a_step_is_measured_on_all_ranks(gang: Gang) -> None:
    """All ranks have the same times; each rank's are in order, and those of its actions."""
    told = [told["measured"] for _, told in gang[0]]
    assert all(one == told[0] for one in told)
    step = MeasuredStep(told[0])
    actions = METHODS["dualpipe"](RANKS, 2 * RANKS).actions
    assert [len(spans) for spans in step.spans] == [len(one) for one in actions]
    for spans in step.spans:
        assert all(0 <= start <= end for start, end in spans)
        assert [start for start, _ in spans] == sorted(start for start, _ in spans)
    assert 0 < min(step.waits) <= max(step.waits) < 1


@pytest.mark.parametrize(("how", "why"), [("hangs", "Timed out"), ("dies", "onnection")])
def test_a_lost_rank_ends_the_others_who_name_rank_and_action(how: str, why: str, gang: Gang) -> None:
    """The first to find out names why; others may find a neighbour that ended of it."""
    errors = gang[1][how]
    for rank, error in enumerate(errors):
        action = r"([FBI]\d\.\d+|(send|take|receive) the (activation|gradient) of chunk \d+ )"
        assert re.match(rf"pipeline rank {rank} stopped at {action}.*: cannot ", error), error
    assert any(why in error for error in errors), errors


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["v3-small", "v3-671b"])
def test_every_name_of_the_model_is_on_some_rank_and_each_layer_once(name: str, method: str) -> None:
    config = preset(name, 512, 1)
    pipeline = Pipeline(config, method, 4)
    layers = [number for stage in pipeline.stages for number in stage.layers]
    assert layers == list(range(config.num_hidden_layers))
    assert [stage.first for stage in pipeline.stages] == [True] + [False] * (len(pipeline.stages) - 1)
    assert [stage.last for stage in pipeline.stages] == [False] * (len(pipeline.stages) - 1) + [True]
    with torch.device("meta"):
        whole = Transformer(config).state_dict()
        parts = [Part(config, pipeline.of_rank(rank)).state_dict() for rank in range(4)]
    for key, tensor in whole.items():
        assert pipeline.holders(key) == {rank for rank, part in enumerate(parts) if key in part}, key
        assert all(part[key].shape == tensor.shape for part in parts if key in part)
    assert {key for part in parts for key in part} == whole.keys()
    both = {"1f1b": {0, 3}, "zb1p": {0, 3}, "dualpipe": {0, 3}, "dualpipev": {0}}
    assert pipeline.holders("embed_tokens.weight") == both[method]


def test_an_embedding_that_no_mtp_module_reads_is_on_the_first_rank() -> None:
    assert Pipeline(preset("v3-mini", 512, 0), "1f1b", 2).holders("embed_tokens.weight") == {0}


def test_stages_have_as_much_to_do_as_one_another() -> None:
    """Of 8 layers, the first dense and cheap; the last stage has head and MTP, as much as another layer."""
    sizes = [len(stage.layers) for stage in Pipeline(CONFIG, "1f1b", 4).stages]
    assert sorted(sizes) == [1, 2, 2, 3]
    assert sizes[-1] == 1


def test_rows_are_divided_over_as_many_chunks_as_the_schedule_needs() -> None:
    dualpipe, straight = Pipeline(CONFIG, "dualpipe", 2), Pipeline(CONFIG, "1f1b", 2)
    assert [dualpipe.chunks(rows, 2) for rows in (4, 8, 9, 11)] == [4, 4, 6, 6]
    assert [straight.chunks(rows, 2) for rows in (1, 4, 9)] == [1, 2, 5]
    assert [dualpipe.chunks(rows, 2, 6) for rows in (6, 11, 40)] == [6, 6, 6]
    chunks = in_chunks(batch(), 4)
    assert [len(chunk.tokens) for chunk in chunks] == [3] * 4
    real = np.concatenate([chunk.tokens[: 3 - (n == 0)] for n, chunk in enumerate(chunks)])
    assert real.tolist() == batch().tokens.tolist()
    assert np.all(chunks[0].codes[2] == -1)


def test_what_a_schedule_cannot_do_is_refused_with_the_cure() -> None:
    with pytest.raises(UserError, match=r"3 sequences a rank do not fill 4 micro-batches, the.*zb1p or 1f1b"):
        Pipeline(CONFIG, "dualpipe", 2).chunks(3, 8)
    with pytest.raises(UserError, match="3 sequences a rank do not fill 4 micro-batches, as asked"):
        Pipeline(CONFIG, "zb1p", 2).chunks(3, 8, 4)
    for wanted in (2, 5):
        with pytest.raises(UserError, match=f"an even number of micro-batches, at least 4, not {wanted}"):
            Pipeline(CONFIG, "dualpipe", 2).chunks(9, 8, wanted)
    with pytest.raises(UserError, match=r"even number of pipeline ranks, not 3: .*dualpipev"):
        Pipeline(CONFIG, "dualpipe", 3)
    with pytest.raises(UserError, match="at least one rank, not 0"):
        Pipeline(CONFIG, "1f1b", 0)
    with pytest.raises(UserError, match="no schedule 'gpipe'; there are 1f1b"):
        Pipeline(CONFIG, "gpipe", 2)
    with pytest.raises(UserError, match="dualpipev of 8 pipeline ranks: 8 layers cannot be cut into 16"):
        Pipeline(CONFIG, "dualpipev", 8)


def test_a_pipeline_of_one_process_is_a_training_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In low precision too, where linear layers and experts put their gradients off in other ways."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    cases: list[tuple[str, Mode]] = [("zb1p", "fp32"), ("dualpipev", "bf16"), ("dualpipev", "fp8")]
    with local_group(tmp_path / "meeting", 0, 1):
        for method, mode in cases:
            pipeline = Pipeline(CONFIG, method, 1)
            part = Part(CONFIG, pipeline.of_rank(0))
            initialise(part, 1, CONFIG.initial_std)
            apply(part, mode)
            recompute(part)
            gradients, losses = alone_as(Case(1, 1, method), mode)
            passes = PipelinedPasses(part, pipeline, Channels([[0]], 60.0))
            settings = replace(SETTINGS, precision=mode)
            result = passes.run(batch(), counts(), settings, sources=SOURCES)
            assert result.loss == pytest.approx(losses["losses"][0], rel=1e-6)
            for name, parameter in part.named_parameters():
                assert parameter.grad is not None
                wanted = gradients[name]
                assert float((parameter.grad - wanted).norm() / wanted.norm()) <= 1e-6, (mode, name)
        with pytest.raises(ValueError, match="1 processes for a pipeline of 2"):
            PipelinedPasses(part, Pipeline(CONFIG, "1f1b", 2), Channels([[0]], 60.0))
