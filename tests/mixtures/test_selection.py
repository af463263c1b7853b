"""What is taken of a source of which there is nothing."""

from __future__ import annotations

import numpy as np

from corpusmill.mixtures.plan.selection import EDGE, select, wants


def test_what_is_not_measured_is_absent() -> None:
    """Epochs of a source of no tokens, and shares of a mixture of none, have no value; 0 would be one."""
    nothing = wants({}, {"a": 1.0}, 0, 4)
    (one,) = select(nothing, EDGE.empty_table(), {}, 4, 0).values()
    assert (one.epochs, one.share, one.tokens) == (None, None, 0)
    measures = {"b": np.array([[10], [1], [30]], np.int64)}
    both = wants(measures, {"a": 0.5, "b": 0.5}, 10, 0.0)
    found = select(both, EDGE.empty_table(), {}, 0.0, 10)
    assert (found["a"].epochs, found["b"].epochs) == (None, 0.0)
    assert (found["a"].share, found["b"].share) == (None, None)
