"""What the report states of its own training, and what follows from it by division.

Nothing here enters a plan: these are the figures that a plan of the same layout is set beside.
"""

from __future__ import annotations

from dataclasses import dataclass

from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.parameter_counts import parameter_counts

PRESET, NODES, PER_NODE, PIPELINE, EXPERTS = "v3-671b", 256, 8, 16, 64
HARDWARE, PRECISION, VOCABULARY, MTP = "h800", "fp8", 129280, 1
HOURS_PER_TRILLION = 180e3  # GPU hours of the H800 for 10^12 tokens (section 1)
TOKENS = 14.8e12
HOURS = 2664e3
BATCH, CONTEXT = 15360, 4096  # sequences, tokens (section 4.2)


@dataclass(frozen=True)
class Derived:
    """A figure of the report: what it `states`, what `follows` here, and what that rests on."""

    name: str
    states: str
    follows: str
    rests_on: str


def derived(config: ModelConfig, operations: float, bf16: float, fp8: float) -> tuple[Derived, ...]:
    """The figures that can be derived; `operations` of a token in training, peaks in operations a second."""
    counts, devices = parameter_counts(config), NODES * PER_NODE
    each = 1e12 / (HOURS_PER_TRILLION * 3600)
    return (
        Derived(
            "parameters",
            "671B",
            f"{counts.total / 1e9:.1f}B",
            "sizes of the released configuration, MTP left out",
        ),
        Derived(
            "active parameters",
            "37B",
            f"{counts.active / 1e9:.1f}B",
            "8 of 256 experts, the head, and not the embedding, of which a token reads one row",
        ),
        Derived(
            "devices",
            "2048",
            f"{PIPELINE} x {devices // PIPELINE}; experts of a layer on {EXPERTS}, "
            f"{EXPERTS // PER_NODE} nodes: {devices // PIPELINE // EXPERTS} sets of them",
            "16-way pipeline, 64-way experts, no tensor parallelism; the rest is data parallel",
        ),
        Derived(
            "chunks of a step",
            "",
            f"{BATCH // (devices // PIPELINE)}",
            "batch 15,360, one sequence of 4,096 a chunk (the report does not state the size of a chunk)",
        ),
        Derived(
            "GPU hours of 14.8T tokens",
            "2.664M",
            f"{HOURS_PER_TRILLION * TOKENS / 1e12 / 1e6:.3f}M",
            "180K GPU hours per trillion tokens, as stated",
        ),
        Derived(
            "days per trillion tokens",
            "3.7",
            f"{HOURS_PER_TRILLION / devices / 24:.2f}",
            "180K GPU hours on 2048 devices",
        ),
        Derived(
            "tokens/s",
            "",
            f"{each:,.0f} a device, {each * devices / 1e6:.2f}M in all",
            "180K GPU hours per trillion tokens",
        ),
        Derived(
            "operations/s a device",
            "",
            f"{each * operations / 1e12:.0f}T, {each * operations / bf16:.1%} of the BF16 peak, "
            f"{each * operations / fp8:.1%} of the FP8 peak",
            f"{operations / 1e9:.0f}G operations a token: 6 an active parameter, MTP's too, causal scores",
        ),
    )
