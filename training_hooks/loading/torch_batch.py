"""One batch of token shards as torch tensors, with what attention within documents needs where asked for.

B sequences, T tokens each.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.loading.rows import IGNORED
from corpusmill.training_hooks.trainer.require_torch import require_torch

require_torch()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

Extra = Literal["document_ids", "position_ids", "cu_seqlens", "attention_mask"]
EXTRAS: tuple[Extra, ...] = get_args(Extra)


@dataclass(frozen=True)
class BatchForm:
    """What a batch holds beside `input_ids` and `labels`.

    `extras`: `document_ids` int64 [B, T], numbers from 0 of the documents in a sequence, -1 for padding;
    `position_ids` int64 [B, T], which begin at 0 with every document; `cu_seqlens` int32 [documents + 1],
    where in the B x T tokens, row after row, documents begin, and `max_seqlen`, tokens of the longest, for
    attention over variable lengths; `attention_mask` bool [B, 1, T, T], whether a token (third axis) sees
    another: the earlier ones of its document and itself. The last takes B x T x T bytes: for small models.
    Padding counts as a document of its own. `across_documents`: whether the last token of a document has the
    first one of the next as its label, or none. Raises ValueError for an extra that there is none of.
    """

    extras: Collection[Extra] = ()
    across_documents: bool = True

    def __post_init__(self) -> None:
        unknown = sorted(set(self.extras) - set(EXTRAS))
        if unknown:
            raise ValueError(f"no extra {', '.join(unknown)}; there are {', '.join(EXTRAS)}")

    def batch(self, loader: ShardLoader, start: int, count: int, rows: int) -> dict[str, Tensor]:
        """`rows` sequences: samples `start` to `start + count - 1`, then sequences of padding alone, which
        have no label. Raises as `ShardLoader.pairs`."""
        context = loader.phase_at(start).context
        # One block from the heap, where that of the last batch lies still: torch maps new pages for every
        # batch, and of several blocks the heap gives some back, which takes longer than filling them.
        inputs_BT, labels_BT, *marks = np.empty((4 if self.extras else 2, rows, context), np.int64)
        if count:
            whole = count == rows
            into = (inputs_BT, labels_BT) if whole else (inputs_BT[:count], labels_BT[:count])
            loader.pairs(start, count, into)
            if not self.across_documents:
                loader.ignore_borders(start, count, labels_BT[:count])
        if count < rows:
            inputs_BT[count:], labels_BT[count:] = loader.pad_id, IGNORED
        batch = {"input_ids": torch.from_numpy(inputs_BT), "labels": torch.from_numpy(labels_BT)}
        if self.extras:
            ids_BT, places_BT = marks
            if count:
                loader.documents(start, count, (ids_BT[:count], places_BT[:count]))
            ids_BT[count:], places_BT[count:] = -1, np.arange(context)
            self._add(batch, ids_BT, places_BT)
        return batch

    def _add(
        self, batch: dict[str, Tensor], ids_BT: npt.NDArray[np.int64], places_BT: npt.NDArray[np.int64]
    ) -> None:
        if "document_ids" in self.extras:
            batch["document_ids"] = torch.from_numpy(ids_BT)
        if "position_ids" in self.extras:
            batch["position_ids"] = torch.from_numpy(places_BT)
        if "cu_seqlens" in self.extras:
            ends = np.append(np.flatnonzero(places_BT == 0), places_BT.size)
            batch["cu_seqlens"] = torch.from_numpy(ends.astype(np.int32))
            batch["max_seqlen"] = torch.tensor(int(np.diff(ends).max()))
        if "attention_mask" in self.extras:
            batch["attention_mask"] = document_mask(torch.from_numpy(ids_BT))


def document_mask(document_ids_BT: Tensor) -> Tensor:
    """bool [B, 1, T, T]: whether token t (third axis) sees token s (last): s <= t, of the same document."""
    same_BTT = document_ids_BT[:, :, None] == document_ids_BT[:, None, :]
    length = document_ids_BT.shape[1]
    return (same_BTT & torch.ones(length, length, dtype=torch.bool).tril())[:, None]


def share_of(start: int, end: int, replica: int, replicas: int) -> tuple[int, int]:
    """First sample and count of one replica's part of a batch: of a whole batch equal parts in order, of a
    shorter one parts that differ by one sample at most."""
    count = end - start
    first, last = (start + count * part // replicas for part in (replica, replica + 1))
    return first, last - first
