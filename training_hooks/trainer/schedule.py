"""What changes during a run, as functions of tokens seen: learning rate, batch size, gamma and lambda.

Section 4.2 of the report gives them for 14.8T tokens. Every boundary is a share of the run's budget here, so
that a run of any length goes through the same phases:

| tokens (T) | learning rate | batch (sequences) | gamma | lambda |
|---|---|---|---|---|
| 0 | 0 to 2.2e-4 over 2,000 steps | 3072 to 15360 over the first 0.469 | 0.001 | 0.3 |
| to 10 | 2.2e-4 | 15360 | 0.001 | 0.3 |
| to 14.3 | cosine to 2.2e-5 | 15360 | 0.001 | 0.1 |
| to 14.633 | 2.2e-5 | 15360 | 0 | 0.1 |
| to 14.8 | 7.3e-6 | 15360 | 0 | 0.1 |

The report does not say how the batch grows in between; here it grows in proportion to tokens. Tokens are
positions of the batches, padding included, so that a run's length is known before its data is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["report", "cosine", "constant"]

# Tokens in units of 1T = 1e12, and values, of section 4.2.
BUDGET = 14.8
CONSTANT_UNTIL, DECAY_UNTIL, LAST_PHASE_FROM = 10.0, 14.3, 14.633
RAMP_UNTIL = 0.469
PEAK, DECAYED, LAST = 2.2e-4, 2.2e-5, 7.3e-6
FIRST_BATCH, FULL_BATCH = 3072, 15360
SEQUENCE = 4096
WARMUP_STEPS = 2000
FIRST_LAMBDA, LAST_LAMBDA = 0.3, 0.1
GAMMA = 0.001


@dataclass(frozen=True)
class Schedule:
    """`total` and `warmup` in tokens; `peak`, `gamma`, `mtp_weight` and `batch` (sequences) are the values
    that the report's 2.2e-4, 0.001, 0.3 and 15360 stand for.

    `cosine` instead goes from the peak down one cosine to a tenth of it at `total` and leaves the rest as it
    is; `constant` leaves everything as it is but for the rise at the start, as long-context phases do
    (section 4.3). On 200 steps of `v3-tiny` with the same peak, one seed each, `report` ended lower: 6.08
    nats against 6.11, on 3% fewer tokens.

    What holds for a step is asked for by the tokens seen at its end, except `sequences`, which decides where
    that is. Beyond `total` everything stays as it was at `total`.
    """

    kind: Kind
    total: float
    warmup: float
    peak: float
    batch: int
    gamma: float
    mtp_weight: float

    def _trillions(self, tokens: float) -> float:
        """Where the report's run was at the same share of its budget."""
        return min(tokens / self.total, 1.0) * BUDGET if self.total > 0 else BUDGET

    def _past(self, boundary: float, tokens: float) -> bool:
        """Whether `tokens` lie beyond the report's `boundary` (T); what reaches it does not, to rounding."""
        return self._trillions(tokens) > boundary * (1 + 1e-12)

    def learning_rate(self, tokens: float) -> float:
        """Rate of the step that ends at `tokens`. Continuous but for the report's last drop."""
        if tokens < self.warmup:
            return self.peak * tokens / self.warmup
        if self.kind == "constant":
            return self.peak
        if self.kind == "cosine":
            done = min((tokens - self.warmup) / max(self.total - self.warmup, 1.0), 1.0)
            return self.peak * _cosine(done, DECAYED / PEAK)
        if not self._past(CONSTANT_UNTIL, tokens):
            return self.peak
        if not self._past(DECAY_UNTIL, tokens):
            done = (self._trillions(tokens) - CONSTANT_UNTIL) / (DECAY_UNTIL - CONSTANT_UNTIL)
            return self.peak * _cosine(done, DECAYED / PEAK)
        return self.peak * (LAST if self._past(LAST_PHASE_FROM, tokens) else DECAYED) / PEAK

    def sequences(self, tokens: float) -> int:
        """Sequences of the step that begins at `tokens`: a fifth of `batch` at first, at least one."""
        if self.kind != "report":
            return self.batch
        grown = min(self._trillions(tokens) / RAMP_UNTIL, 1.0)
        return max(1, round(self.batch * (FIRST_BATCH + (FULL_BATCH - FIRST_BATCH) * grown) / FULL_BATCH))

    def bias_step(self, tokens: float) -> float:
        """gamma of the step that ends at `tokens`."""
        frozen = self.kind == "report" and self._past(DECAY_UNTIL, tokens)
        return 0.0 if frozen else self.gamma

    def last_rate(self) -> float:
        """Rate of the last step."""
        return self.learning_rate(self.total)

    def depth_weight(self, tokens: float) -> float:
        """lambda, the weight of the MTP losses, of the step that ends at `tokens`."""
        late = self.kind == "report" and self._past(CONSTANT_UNTIL, tokens)
        return self.mtp_weight * (LAST_LAMBDA / FIRST_LAMBDA if late else 1.0)

    def steps(self, context: int) -> Iterator[tuple[int, int]]:
        """(first sequence, sequences) of every step, `context` tokens each, without end."""
        seen = 0
        while True:
            size = self.sequences(seen * context)
            yield seen, size
            seen += size


def _cosine(done: float, final: float) -> float:
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * done))


def schedule(
    kind: Kind,
    *,
    steps: int,
    batch: int,
    context: int,
    warmup_steps: int | None,
    peak: float,
    gamma: float,
    mtp_weight: float,
) -> Schedule:
    """The schedule whose budget `steps` optimiser steps use up: with smaller batches at first, they hold
    fewer tokens than as many full ones. `warmup_steps` None: see `usual_warmup`."""
    warmup_steps = usual_warmup(steps) if warmup_steps is None else warmup_steps

    def of(total: float, warmup: float) -> Schedule:
        return Schedule(kind, total, warmup, peak, batch, gamma, mtp_weight)

    low, high = 1, steps * batch
    while low < high:  # the largest number of sequences that so many steps still use up
        middle = (low + high + 1) // 2
        if _sequences_in(of(middle * context, 0.0), steps, context) >= middle:
            low = middle
        else:
            high = middle - 1
    total = of(low * context, 0.0)
    warmup = _sequences_in(total, warmup_steps, context) * context
    return of(total.total, float(warmup))


def usual_warmup(steps: int) -> int:
    """The report's 2,000 steps as a share of its run (0.8%), and at least 10: Adam's second moment needs
    about 1 / (1 - 0.95) = 20 steps to level off however short the run is."""
    return max(10, round(steps * WARMUP_STEPS / report_steps()))


def report_steps() -> float:
    """Optimiser steps of the report's run, about 243,000: its batch grows exponentially in steps where it
    grows linearly in tokens."""
    growth = (FULL_BATCH - FIRST_BATCH) * SEQUENCE / (RAMP_UNTIL * 1e12)
    ramp = math.log(FULL_BATCH / FIRST_BATCH) / growth
    return ramp + (BUDGET - RAMP_UNTIL) * 1e12 / (FULL_BATCH * SEQUENCE)


def _sequences_in(schedule: Schedule, steps: int, context: int) -> int:
    """Sequences of the first `steps` steps."""
    seen = done = 0
    while done < steps:
        size = schedule.sequences(seen * context)
        if size == schedule.batch:  # it will not grow any more
            return seen + (steps - done) * size
        seen, done = seen + size, done + 1
    return seen
