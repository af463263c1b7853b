"""The layout of a plan where the user leaves it open, and the report's own where it applies."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.planning import report_figures as report
from corpusmill.training_hooks.planning.hardware import HARDWARE, Hardware
from corpusmill.training_hooks.planning.layout import Layout
from corpusmill.training_hooks.planning.plan import TrainingPlan, Work, make_plan
from corpusmill.training_hooks.planning.report_figures import derived
from corpusmill.training_hooks.planning.speed import Step

_HALVINGS = 24  # of the efficiency looked for: to 1e-7


def planned(
    preset: str,
    config: ModelConfig,
    work: Work,
    hardware: Hardware,
    nodes: int,
    per_node: int,
    *,
    pipeline: int | None = None,
    experts: int | None = None,
    method: str | None = None,
) -> tuple[TrainingPlan, Step]:
    """The plan of the layout that is asked for; what is left open is chosen.

    V3 on as many devices as the report's layout needs, or a multiple, takes that layout. Else powers of two
    of pipeline ranks are tried with the experts of a layer on as many devices as can share them, within a
    node and over nodes, and of the plans that fit into memory the fastest is taken; of those that do not,
    that of least memory. Raises ValueError for sizes that do not fit one another.
    """
    devices = nodes * per_node
    if preset == report.PRESET and devices % (report.PIPELINE * report.EXPERTS) == 0:
        pipeline = report.PIPELINE if pipeline is None else pipeline
        if experts is None and pipeline == report.PIPELINE:
            experts = report.EXPERTS
    tried: list[tuple[TrainingPlan, Step]] = []
    refused: ValueError | None = None
    for ranks in [2**power for power in range(8)] if pipeline is None else [pipeline]:
        for sharing in _sharing(config, devices, ranks, per_node) if experts is None else [experts]:
            methods = [method] if method else ["dualpipe", "1f1b"]
            for one in methods:
                try:
                    layout = Layout(nodes, per_node, ranks, sharing, one)
                    tried.append(make_plan(preset, config, layout, work, hardware))
                except ValueError as error:
                    # Of what is tried for the user, the most wanted is the first: its fault is told.
                    if one == methods[-1]:
                        refused = refused or error
                    continue
                break  # 1F1B is for what DualPipe cannot have
    if not tried:
        raise refused or ValueError(f"{devices} devices do not divide into {pipeline} pipeline ranks")
    fitting = [made for made in tried if made[0].fits]
    if fitting:
        plan, step = max(fitting, key=lambda made: made[0].tokens_per_second)
    else:
        plan, step = min(tried, key=lambda made: max(one.total for one in made[0].memory))
    return (_beside_report(plan, config), step) if _is_of_report(plan, config) else (plan, step)


def _sharing(config: ModelConfig, devices: int, ranks: int, per_node: int) -> Iterator[int]:
    """Numbers of devices that the experts of a layer may be spread over: the most in a node, the most of
    all."""
    if devices % ranks:
        return
    data = devices // ranks
    fit = [
        n
        for n in range(1, min(data, config.n_routed_experts) + 1)
        if not (data % n or config.n_routed_experts % n) and 0 in (n % per_node, per_node % n)
    ]
    within = max(n for n in fit if n <= per_node)
    yield within
    if fit[-1] != within:
        yield fit[-1]


def _is_of_report(plan: TrainingPlan, config: ModelConfig) -> bool:
    """Whether the report's figures are of this model, hardware and layout. Memory changes none of them."""
    layout, work = plan.layout, plan.work
    return (
        plan.preset == report.PRESET
        and (config.vocab_size, config.num_nextn_predict_layers) == (report.VOCABULARY, report.MTP)
        and dataclasses.replace(plan.hardware, memory=HARDWARE[report.HARDWARE].memory)
        == HARDWARE[report.HARDWARE]
        and work.precision == report.PRECISION
        and (layout.nodes, layout.per_node) == (report.NODES, report.PER_NODE)
        and (layout.pipeline, layout.expert_parallel, layout.method)
        == (report.PIPELINE, report.EXPERTS, "dualpipe")
        and (work.batch, work.context) == (report.BATCH, report.CONTEXT)
    )


def _beside_report(plan: TrainingPlan, config: ModelConfig) -> TrainingPlan:
    hardware = plan.hardware
    return dataclasses.replace(
        plan,
        report=derived(config, plan.operations, hardware.bf16, hardware.fp8),
        efficiency_of_report=_efficiency(plan, config),
    )


def _efficiency(plan: TrainingPlan, config: ModelConfig) -> float | None:
    """The efficiency at which a plan takes the report's GPU hours; None where none does."""

    def hours(efficiency: float) -> float:
        work = dataclasses.replace(plan.work, efficiency=efficiency)
        return make_plan(plan.preset, config, plan.layout, work, plan.hardware)[0].hours_per_trillion

    low, high = 0.01, 1.0
    if not hours(high) < report.HOURS_PER_TRILLION < hours(low):
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if hours(middle) > report.HOURS_PER_TRILLION else (low, middle)
    return high
