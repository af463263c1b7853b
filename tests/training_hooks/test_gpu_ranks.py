"""What ranks on GPUs do, as far as that can be seen without one: their devices, and what travels where."""

from __future__ import annotations

import ast
import dataclasses
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

from corpusmill.pipelines.contract.context import Context
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.distributed import ranks_of_task
from corpusmill.training_hooks.distributed.group import backend, prepare
from corpusmill.training_hooks.distributed.layout import Layout
from corpusmill.training_hooks.launch.work import Meeting
from corpusmill.training_hooks.train import Train
from corpusmill.training_hooks.trainer.device import device_of_rank
from corpusmill.training_hooks.trainer.options import Parallel
from tests.training_hooks.test_other_device import DEVICE, register, stand_in
from tests.warm import Warm

SOURCE = Path(__file__).parents[2] / "training_hooks"


def test_each_rank_has_a_gpu_of_its_own() -> None:
    assert [device_of_rank(local, 4, 8) for local in range(4)] == [torch.device("cuda", n) for n in range(4)]
    with pytest.raises(
        UserError, match=r"4 ranks on a machine where torch can use 3 GPUs;.*at most 3 ranks.*device: cpu"
    ):
        device_of_rank(3, 4, 3)
    with pytest.raises(UserError, match="did not set LOCAL_RANK and LOCAL_WORLD_SIZE"):
        device_of_rank(None, 0, 8)
    for local in (-1, 2):
        with pytest.raises(UserError, match=f"LOCAL_RANK={local} with LOCAL_WORLD_SIZE=2"):
            device_of_rank(local, 2, 8)


def test_a_rank_that_sees_one_gpu_takes_it() -> None:
    """Slurm shows each task its own, under the number 0; whether two see the same, they find where they
    meet."""
    for local, beside in ((3, 4), (0, 1), (None, 0)):
        assert device_of_rank(local, beside, 1) == torch.device("cuda", 0)


def test_ranks_compare_their_gpus_before_they_use_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third of four ranks, which sees one GPU; torch.cuda and the meeting are stood in for."""
    called: list[tuple[str, Any]] = []

    @contextmanager
    def joined(url: str, rank: int, ranks: int, seconds: float, device: torch.device) -> Iterator[None]:
        called.append(("joined", device))
        yield

    def groups(layout: Layout, seconds: float, device: torch.device) -> None:
        called.append(("groups", device))

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=f"GPU-{device.index}")
    )
    monkeypatch.setattr(ranks_of_task, "joined", joined)
    monkeypatch.setattr(ranks_of_task, "Groups", groups)
    monkeypatch.setattr(ranks_of_task, "require_own_gpu", lambda name: called.append(("own", name)))
    meeting = Meeting((tmp_path / "m").as_uri(), 2, 4, local=2, beside=4)
    with ranks_of_task.meeting_of(meeting, Parallel(), "cuda"):
        pass
    gpu = torch.device("cuda", 0)
    assert called == [("joined", gpu), ("own", "GPU-0"), ("groups", gpu)]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with (
        pytest.raises(UserError, match="4 ranks on a machine where torch can use 2 GPUs"),
        ranks_of_task.meeting_of(meeting, Parallel(), "cuda"),
    ):
        pass


def test_tensors_on_the_cpu_travel_by_gloo_and_those_on_gpus_by_nccl() -> None:
    assert backend(torch.device("cpu")) == "gloo"
    assert backend(torch.device("cuda", 3)) == "cpu:gloo,cuda:nccl"
    if not dist.is_nccl_available():
        with pytest.raises(UserError, match=r"need NCCL, which torch .* was built without"):
            prepare(torch.device("cuda", 0))


def test_several_ranks_on_gpus_are_a_recipe_and_refused_where_there_is_none(tmp_path: Path) -> None:
    stage = Train(ranks=2, device="cuda").prepare(Context(seed=1))
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="finds no GPU"):
        stage.train_rank(Meeting((tmp_path / "m").as_uri(), 0, 2, local=0, beside=2), {}, tmp_path, None)


def test_no_message_has_a_tag() -> None:
    """NCCL has none: messages are told apart by their channel and their order."""
    seen = 0
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = (
                node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            )
            if name in ("isend", "irecv", "send", "recv", "batch_isend_irecv"):
                assert isinstance(node, ast.Call)
                seen += name in ("isend", "irecv")
                assert "tag" not in [named.arg for named in node.keywords], (path, node.lineno)
                assert len(node.args) <= 3, (path, node.lineno)
    assert seen == 2


def test_a_step_of_ranks_makes_and_sends_no_tensor_on_another_device(training: Warm) -> None:
    """Stages of a pipeline with their experts on two ranks, and an update that two ranks share."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = training.call(code=f"from {__name__} import main; main(); raise SystemExit(0)")
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout)
    assert told["rows"] > 0
    assert told["uint8"] > 0  # rows in FP8
    assert (told["shares"], told["weights"]) == (1, 1)


class Sent:
    """Stands in for the collectives of two ranks that do the same, and looks at what is to travel."""

    def __init__(self) -> None:
        self.kinds: list[tuple[str, torch.dtype]] = []

    def all_to_all_single(
        self, output: Any, input: Any, received: Any = None, sent: Any = None, group: Any = None
    ) -> None:
        assert received is None or (sum(received), sum(sent)) == (output.shape[0], input.shape[0])
        self._note("rows" if received is not None else "shares", output, input)

    def all_gather_single(self, output: Any, input: Any, group: Any = None) -> None:
        assert output.numel() == 2 * input.numel()
        self._note("weights", output, input)

    def _note(self, what: str, *tensors: Any) -> None:
        for tensor in tensors:
            assert tensor.device.type == DEVICE, (what, tensor.device)
            assert tensor.is_contiguous(), what
        self.kinds.append((what, tensors[0].dtype))


def main() -> None:
    """A step of both, on the pretended device; prints how often what was sent."""
    warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

    from corpusmill.training_hooks.distributed import model_work, ways, zero
    from corpusmill.training_hooks.distributed.node_groups import Hop
    from corpusmill.training_hooks.distributed.part import Part
    from corpusmill.training_hooks.distributed.pieces import Piece, Range
    from corpusmill.training_hooks.distributed.pipelined import PipelinedPasses
    from corpusmill.training_hooks.distributed.stages import Pipeline
    from corpusmill.training_hooks.distributed.wire import LOW
    from corpusmill.training_hooks.model import moe
    from corpusmill.training_hooks.model.config import preset
    from corpusmill.training_hooks.trainer.objective import BatchCounts
    from corpusmill.training_hooks.trainer.step import Batch, Settings

    kept = register()
    stand_in()
    sent = Sent()
    dist.all_to_all_single = sent.all_to_all_single
    dist.all_gather_single = sent.all_gather_single
    config = dataclasses.replace(preset("v3-tiny", 60, 1), num_hidden_layers=2, n_routed_experts=4, n_group=2)
    rows, length = 4, 16
    slots = rows // 2 * length * config.num_experts_per_tok  # of a micro-batch

    # What looks at numbers: loads are even, and so are the parts of ranks.
    def counted_in(result: Any, losses: Any, codes: Any) -> None:
        pairs = zip(result.loads, losses.loads, strict=True)
        result.loads = [before + load for before, load in pairs]

    def in_order(counts: Any) -> tuple[Any, Any]:
        order = torch.arange(slots, device=counts.device)
        return order, order.clone()

    ways.slot_order = moe.slot_order
    ways.exchange_counts = lambda counts, group: torch.empty_like(counts)
    ways.sorted_by_second = in_order
    FakeTensor.tolist = lambda self: [slots // self.shape[0]] * self.shape[0]  # type: ignore[method-assign]
    model_work.count_in = counted_in
    zero.sum_of_squares = lambda tensor: float(tensor.device.type == DEVICE)

    pair = SimpleNamespace(size=lambda: 2, rank=lambda: 0)
    group: Any = pair
    with FakeTensorMode():
        pipeline = Pipeline(config, "dualpipev", 1)
        with torch.device(DEVICE):
            part = Part(config, pipeline.of_rank(0))
        way = ways.Flat(Hop(group, group, ("own", "within")), LOW)
        channels: Any = SimpleNamespace(rank=0, size=1)
        passes = PipelinedPasses(part, pipeline, channels, group, group, way=way)
        tokens = np.zeros((rows, length + 2), np.int64)
        settings = Settings(0.0, 0.0, 0.3, 1e-4, 2, "fp32")
        counts = BatchCounts([1.0, 1.0], [1.0, 1.0])
        result = passes.run(Batch(tokens, tokens, 2), counts, settings, sources=1)
        assert all(load.device.type == DEVICE for load in result.loads)
        parameters = dict(part.named_parameters())
        pieces = [Piece(Range(name, 0, p.numel(), (0, 1)), p) for name, p in parameters.items()]
        groups: Any = SimpleNamespace(of=lambda ranks: pair, rank=0)
        shared = zero.ShardedAdamW(pieces, groups, parameters)
        assert shared.reduce() == 1.0
        shared.step(0.1, 0.5)
        for _, state, _ in shared.state():
            assert all(tensor.device.type == DEVICE for tensor in state.values())
    found = {what: sum(kind[0] == what for kind in sent.kinds) for what in ("rows", "shares", "weights")}
    print(json.dumps(found | {"uint8": sum(kind[1] == torch.uint8 for kind in sent.kinds)}))
    del kept
