"""Whether neighbouring tokens know of one another, or their order was lost.

The plug-in estimate of mutual information between neighbours is far too high on few tokens, but by about as
much when the tokens of each row are shuffled. So the measure is the joint entropy of neighbouring pairs after
shuffling every row, less that before: what order, and not which words a row holds, tells about the next
token. In nats; about 0 for tokens without order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]


def order_information(rows_RL: I64, lengths_R: I64, generator: np.random.Generator) -> float:
    """The measure over rows of ids [R, L] whose first `lengths_R` are real."""
    shuffled_RL = rows_RL.copy()
    for line, length in zip(shuffled_RL, lengths_R.tolist(), strict=True):
        generator.shuffle(line[:length])
    return _joint_entropy(shuffled_RL, lengths_R) - _joint_entropy(rows_RL, lengths_R)


def _joint_entropy(rows_RL: I64, lengths_R: I64) -> float:
    """Entropy of pairs of neighbours in nats, 0 without any."""
    follows = np.arange(1, rows_RL.shape[1]) < lengths_R[:, None]
    pairs = (rows_RL[:, :-1] << 32 | rows_RL[:, 1:])[follows]
    if not len(pairs):
        return 0.0
    share = np.unique(pairs, return_counts=True)[1] / len(pairs)
    return float(-(share * np.log(share)).sum())
