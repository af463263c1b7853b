"""What `distributed.py` runs: sizes of the model, of steps and of how often they are repeated. No torch."""

from __future__ import annotations

import dataclasses

from corpusmill.training_hooks.model.config import ModelConfig, preset

LAYERS, VOCABULARY = 8, 512
METHODS = ("1f1b", "zb1p", "dualpipe", "dualpipev")
WAYS = ("side by side", "one by one")  # to run F&B


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is run: tokens of a row, micro-batches of a step, steps that count, repetitions of a pass
    alone, and the seconds that a sleeping stage takes for a forward pass, and for each half of a backward
    pass."""

    length: int
    chunks: int
    steps: int
    alone: int
    sleep: float

    @classmethod
    def of(cls, ranks: int, quick: bool) -> Sizes:
        """For so many ranks."""
        return cls(64, 2 * ranks, 1, 1, 0.01) if quick else cls(256, 4 * ranks, 5, 7, 0.05)

    def sleeps(self, method: str) -> float:
        """`sleep` of a schedule's stages; those of DualPipeV are half as large."""
        return self.sleep / 2 if method == "dualpipev" else self.sleep


def config() -> ModelConfig:
    """v3-tiny with the layers that eight stages need."""
    return dataclasses.replace(preset("v3-tiny", VOCABULARY, 1), num_hidden_layers=LAYERS)


def jobs(ranks: int) -> list[str]:
    """What the processes do, in order, each told in a file of its own."""
    spread = [f"spread {way}" for way in WAYS] if ranks % 2 == 0 and ranks > 2 else []
    return [f"{kind} {method}" for kind in ("sleeping", "real") for method in METHODS] + spread
