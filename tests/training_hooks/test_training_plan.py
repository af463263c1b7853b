"""Plans of training on many devices: against counts, enumeration, and the report's figures."""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.model.config import ModelConfig, preset
from corpusmill.training_hooks.model.parameter_counts import flops_per_token, parameter_counts
from corpusmill.training_hooks.planning.choose import planned
from corpusmill.training_hooks.planning.cutting import paired_ends, single_ends
from corpusmill.training_hooks.planning.hardware import HARDWARE
from corpusmill.training_hooks.planning.layout import Layout
from corpusmill.training_hooks.planning.plan import TrainingPlan, Work, make_plan
from corpusmill.training_hooks.planning.rendering import render
from corpusmill.training_hooks.planning.traffic import FP8_BYTES, traffic

V3 = preset("v3-671b", 129280)
SMALL = preset("v3-small", 4096)
H800 = HARDWARE["h800"]
WORK = Work(batch=64, context=512, sequences=1, precision="bf16", efficiency=1.0)


def made(config: ModelConfig, layout: Layout, work: Work = WORK) -> TrainingPlan:
    return make_plan("p", config, layout, work, H800)[0]


@pytest.fixture(scope="module")
def of_report() -> TrainingPlan:
    work = Work(batch=15360, context=4096, sequences=1, precision="fp8", efficiency=0.35)
    return planned("v3-671b", V3, work, H800, 256, 8)[0]


def test_the_layout_of_the_report(of_report: TrainingPlan) -> None:
    layout = of_report.layout
    assert (layout.devices, layout.pipeline, layout.data_parallel) == (2048, 16, 128)
    assert (layout.expert_parallel, layout.expert_nodes, layout.method) == (64, 8, "dualpipe")
    assert of_report.chunks == 120
    assert of_report.fits
    assert max(one.chunks for one in of_report.memory) == 17
    assert sum(stage.dense for stage in of_report.stages) == 3
    assert sum(stage.mixture for stage in of_report.stages) == 58
    assert of_report.traffic.most_nodes == 4
    assert 3.5 < of_report.traffic.nodes < 4


def test_figures_of_the_report_follow(of_report: TrainingPlan) -> None:
    follows = {one.name: one.follows for one in of_report.report}
    assert follows["parameters"] == "671.0B"
    assert follows["active parameters"] == "36.6B"
    assert follows["GPU hours of 14.8T tokens"] == "2.664M"
    assert follows["days per trillion tokens"] == "3.66"
    assert follows["tokens/s"] == "1,543 a device, 3.16M in all"
    assert all(one.rests_on for one in of_report.report)
    efficiency = of_report.efficiency_of_report
    assert efficiency is not None
    assert 0.2 < efficiency < 0.6
    work = dataclasses.replace(of_report.work, efficiency=efficiency)
    again = make_plan("v3-671b", V3, of_report.layout, work, H800)[0]
    assert again.hours_per_trillion == pytest.approx(180e3, rel=1e-3)
    assert "the report (arXiv 2412.19437)" in render(of_report)


def test_other_layouts_stand_beside_no_report() -> None:
    work = Work(batch=15360, context=4096, sequences=1, precision="fp8", efficiency=0.35)
    plan = planned("v3-671b", V3, work, H800, 256, 8, method="1f1b")[0]
    assert (plan.report, plan.efficiency_of_report) == ((), None)
    assert "report" not in render(plan)


def test_other_models_and_hardware_stand_beside_no_report() -> None:
    work = Work(batch=15360, context=4096, sequences=1, precision="fp8", efficiency=0.35)
    for config, done, hardware in (
        (preset("v3-671b", 100000), work, H800),
        (preset("v3-671b", 129280, 0), work, H800),
        (V3, dataclasses.replace(work, precision="bf16"), H800),
        (V3, work, HARDWARE["h200"]),
    ):
        plan = planned("v3-671b", config, done, hardware, 256, 8)[0]
        assert plan.layout.expert_parallel == 64
        assert (plan.report, plan.efficiency_of_report) == ((), None)


def test_experts_that_are_shared_within_a_node_lie_in_one() -> None:
    """Twelve devices are three groups of four, but the second of them lies on two nodes of six."""
    with pytest.raises(ValueError, match="nodes of 6 devices do not divide into groups of 4"):
        Layout(2, 6, 1, 4, "1f1b")
    plan = planned("v3-small", SMALL, dataclasses.replace(WORK, batch=48), H800, 2, 6)[0]
    assert 6 % plan.layout.expert_parallel == 0


def test_more_devices_than_experts() -> None:
    """No more devices than experts are looked through: 2**40 devices take no time."""
    work = dataclasses.replace(WORK, batch=2**40)
    plan = planned("v3-small", SMALL, work, H800, 2**37, 8, pipeline=1)[0]
    assert plan.layout.expert_parallel in (8, SMALL.n_routed_experts)


@pytest.mark.parametrize("method", ["1f1b", "zb1p", "dualpipe", "dualpipev"])
def test_every_parameter_is_somewhere(method: str) -> None:
    """All ranks of one pipeline have the model once, DualPipe twice; MTP away from the embedding has its
    own."""
    for ranks, sharing in ((2, 1), (4, 2), (6, 1)):
        layout = Layout(1, ranks * sharing, ranks, sharing, method)
        work = dataclasses.replace(WORK, batch=48 * sharing)
        plan = made(SMALL, layout, work)
        counts = parameter_counts(SMALL)
        experts = (SMALL.num_hidden_layers) * SMALL.n_routed_experts  # one dense layer, one MTP block
        absent = experts * 3 * SMALL.hidden_size * SMALL.moe_intermediate_size * (sharing - 1) // sharing
        copies = 2 if method == "dualpipe" else 1
        expected = copies * (counts.total + counts.mtp_unique - absent)
        apart = counts.embedding if method in ("1f1b", "zb1p") else 0
        assert sum(one.parameters for one in plan.memory) == expected + apart
        for one in plan.memory:
            parts = one.weights + one.gradients + one.optimiser + one.activations + one.buffers
            assert one.total == pytest.approx(parts)


def test_optimizer_states_are_divided() -> None:
    """FP32 master and two BF16 moments of each parameter, once in all devices together."""
    for method, ranks, sharing, devices in (("1f1b", 1, 4, 8), ("1f1b", 2, 2, 8), ("dualpipe", 2, 4, 8)):
        plan = made(SMALL, Layout(1, devices, ranks, sharing, method))
        counts = parameter_counts(SMALL)
        states = sum(one.optimiser for one in plan.memory) * plan.layout.data_parallel
        apart = counts.embedding * (method == "1f1b" and ranks > 1)
        assert states == pytest.approx(8 * (counts.total + counts.mtp_unique + apart))


def test_one_device_computes_what_is_counted() -> None:
    """At the whole peak, BF16, without messages: operations of a token, and the up-projections once more."""
    plan = made(SMALL, Layout(1, 1, 1, 1, "1f1b"))
    tokens = WORK.batch * WORK.context
    up = SMALL.num_attention_heads * (
        SMALL.q_lora_rank * SMALL.qk_head_dim
        + SMALL.kv_lora_rank * (SMALL.qk_nope_head_dim + SMALL.v_head_dim)
    )
    again = 2 * up * (SMALL.num_hidden_layers + 1)
    operations = flops_per_token(SMALL, WORK.context) + again
    assert plan.pipeline_seconds * H800.bf16 / tokens == pytest.approx(operations, rel=1e-3)
    assert (plan.exchange_seconds, plan.bubble) == (0, pytest.approx(0, abs=1e-12))
    assert (plan.all_to_all_across, plan.all_to_all_within) == (0, 0)
    assert plan.utilisation == pytest.approx(flops_per_token(SMALL, WORK.context) / operations, rel=1e-3)


@pytest.mark.parametrize(("devices", "per_node"), [(8, 1), (8, 2), (8, 4), (8, 8), (4, 2), (16, 2)])
def test_nodes_that_a_token_reaches_are_counted(devices: int, per_node: int) -> None:
    """Against all choices of 2 of 4 groups and 3 of their experts, 16 experts in all."""
    config = dataclasses.replace(
        SMALL, n_routed_experts=16, n_group=4, topk_group=2, num_experts_per_tok=3, hidden_size=128
    )
    found = traffic(config, Layout(devices // per_node, per_node, 1, devices, "1f1b"), "fp8")
    nodes, reached, choices, crossed = 0, 0, 0, 0.0
    for groups in itertools.combinations(range(4), 2):
        eligible = [group * 4 + expert for group in groups for expert in range(4)]
        for experts in itertools.combinations(eligible, 3):
            on = {expert // (16 // devices) for expert in experts}
            nodes += len({device // per_node for device in on})
            reached += len(on)
            choices += 1
            # Averaged over where the token comes from: its own node costs nothing across, and on every node
            # it arrives at the device of its own number.
            crossed += sum(
                len({device // per_node for device in on} - {home}) for home in range(devices // per_node)
            ) / (devices // per_node)
    row = 128 * (FP8_BYTES + 2)
    assert found.nodes == pytest.approx(nodes / choices)
    assert found.across == pytest.approx(crossed / choices * row)
    assert found.within == pytest.approx(reached / choices * (1 - 1 / per_node) * row)
    assert found.nodes <= found.most_nodes


def every_cut(layers: int, stages: int) -> list[tuple[int, ...]]:
    return [
        (*cuts, layers) for cuts in itertools.combinations_with_replacement(range(layers + 1), stages - 1)
    ]


@pytest.mark.parametrize("paired", [False, True])
def test_cuts_against_all_there_are(paired: bool) -> None:
    for costs, last in (([1.0] * 9, 2.5), ([3.0, 1, 1, 1, 1, 1, 1], 0.5), ([1.0, 2, 1, 3, 1, 2, 2, 1], 4.0)):
        for stages in (2, 4):

            def busiest(ends: tuple[int, ...], costs: list[float] = costs, last: float = last) -> float:
                each = [sum(costs[a:b]) for a, b in itertools.pairwise((0, *ends))]
                each[-1] += last
                return max(map(sum, zip(each, reversed(each), strict=True))) if paired else max(each)

            ends = paired_ends(costs, stages, last) if paired else single_ends(costs, stages, last)
            assert len(ends) == stages
            assert list(ends) == sorted(ends)
            assert busiest(ends) <= 1.021 * min(map(busiest, every_cut(len(costs), stages)))


def test_what_is_left_open_is_chosen() -> None:
    work = dataclasses.replace(WORK, batch=256)
    plan = planned("v3-small", SMALL, work, H800, 1, 8)[0]
    others = [
        made(SMALL, Layout(1, 8, ranks, sharing, "1f1b" if ranks == 1 else "dualpipe"), work)
        for ranks, sharing in ((1, 8), (2, 4), (4, 2), (8, 1))
    ]
    assert plan.tokens_per_second == max(one.tokens_per_second for one in others)
    tight = dataclasses.replace(H800, memory=min(one.total for other in others for one in other.memory) / 2)
    plan = planned("v3-small", SMALL, work, tight, 1, 8)[0]
    assert not plan.fits
    assert "does NOT fit" in render(plan)


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = [
        "plan-training",
        "v3-small",
        "--nodes",
        "1",
        "--gpus",
        "4",
        "--batch",
        "64",
        "--pipeline",
        "4",
    ]
    svg = tmp_path / "plan.svg"
    app([*arguments, "--set", "memory=2e9", "--svg", str(svg), "--json"], standalone_mode=False)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (found["chunks"], found["layout"]["method"], found["hardware"]["memory"]) == (64, "dualpipe", 2e9)
    assert found["fits"] is False
    assert ET.fromstring(svg.read_text("utf-8")).attrib["aria-label"] == "dualpipe, 4 ranks, 64 chunks"
    app(arguments, standalone_mode=False)
    assert "tokens/s" in capsys.readouterr().out


EIGHT = ("v3-small", "--nodes", "1", "--gpus", "8")


def test_faults_are_told(tmp_path: Path) -> None:
    for more, words in (
        (["v3-big", "--nodes", "1", "--gpus", "8"], "no preset 'v3-big'; there are v3-tiny"),
        ([*EIGHT, "--hardware", "a"], "no hardware 'a'; there are h800"),
        ([*EIGHT, "--set", "ram=1"], "no figure 'ram' of hardware"),
        ([*EIGHT, "--set", "memory=x"], "write FIGURE=NUMBER"),
        (
            [*EIGHT, "--set", "memory=-1"],
            "memory must be a positive number",
        ),
        ([*EIGHT, "--set", "bf16=1e-300"], "bf16 must be 1 to 1e\\+30"),
        ([*EIGHT, "--vocabulary", "9" * 400], "figures overflow; correct --batch"),
        ([*EIGHT, "--efficiency", "1e-323"], "efficiency is a share of the peak, 1e-6 to 1"),
        (["v3-tiny", "--nodes", "1", "--gpus", "1", "--batch", "9999999"], "take fewer chunks or ranks"),
        ([*EIGHT, "--pipeline", "3"], "8 devices do not divide into 3"),
        ([*EIGHT, "--pipeline", "8", "--batch", "12", "--schedule", "dualpipe"], "at least 16, got 12"),
        (
            [*EIGHT, "--pipeline", "2", "--batch", "9"],
            "9 sequences does not divide .*; 8 would",
        ),
        ([*EIGHT, "--experts", "3"], "that share experts"),
        ([*EIGHT, "--schedule", "x"], "no schedule 'x'"),
        ([*EIGHT, "--efficiency", "0"], "efficiency is a share"),
        (["v3-tiny", "--nodes", "1", "--gpus", "8", "--pipeline", "4"], "3 layers cannot be cut into 4"),
    ):
        with pytest.raises(UserError, match=words):
            app(["plan-training", *more], standalone_mode=False)


def test_planning_needs_no_torch() -> None:
    code = (
        "import sys\nfrom corpusmill.pipelines.cli.main import app\n"
        "options = ['--nodes', '1', '--gpus', '2', '--batch', '16']\n"
        "app(['plan-training', 'v3-tiny', *options], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules and 'numba' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_plan_of_the_page_is_printed(of_report: TrainingPlan) -> None:
    page = (Path(__file__).parents[2] / "docs" / "distributed.md").read_text("utf-8")
    shown = render(of_report).split("\n\n")
    assert "```\n" + "\n\n".join(shown[:3]) + "\n```" in page
