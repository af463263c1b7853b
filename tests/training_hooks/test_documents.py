"""What a batch says of its documents, against an oracle made of the pieces, token by token."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.loading.torch_batch import EXTRAS, BatchForm
from tests.oracles.training_shards import PAD, write_rows

LENGTH = 12
ROWS = st.lists(
    st.lists(st.integers(1, 7), max_size=6).filter(lambda row: sum(row) <= LENGTH), min_size=1, max_size=6
)


def shard_of(path: Path, lengths: list[list[int]]) -> Path:
    rows = np.random.default_rng(len(lengths)).integers(8, 64, (len(lengths), LENGTH))
    for row, parts in zip(rows, lengths, strict=True):
        row[sum(parts) :] = PAD
    return write_rows(path, rows, lengths)


def expected(loader: ShardLoader, count: int, across: bool) -> dict[str, Any]:
    """Of samples 0 to count - 1, from the readers' pieces."""
    context = loader.context
    found: dict[str, Any] = {name: [] for name in ("document_ids", "position_ids", "labels", "cu", "mask")}
    for line, window in enumerate(loader.samples(0, count)):
        shard = loader.shards[window.shard]
        owner: list[int | None] = [None] * (LENGTH + context + 1)  # the piece of each token of the row
        for number, piece in enumerate(shard.pieces(window.row)):
            owner[piece.start : piece.start + piece.length] = [number] * piece.length
        owners = owner[window.start : window.start + context + 1]
        tokens = [*shard.tokens(window.row).tolist(), *[PAD] * (context + 1)][window.start :]
        names = list(dict.fromkeys(o for o in owners if o is not None))
        ids = [-1 if o is None else names.index(o) for o in owners]
        places: list[int] = []
        for t, one in enumerate(ids):
            places.append(places[-1] + 1 if t and ids[t - 1] == one else 0)
        found["document_ids"].append(ids[:context])
        found["position_ids"].append(places[:context])
        found["cu"] += [line * context + t for t in range(context) if places[t] == 0]
        found["labels"].append(
            [
                -100 if tokens[t + 1] == PAD or (not across and ids[t] != ids[t + 1]) else tokens[t + 1]
                for t in range(context)
            ]
        )
        found["mask"].append([[s <= t and ids[s] == ids[t] for s in range(context)] for t in range(context)])
    found["cu"].append(count * context)
    return found


@settings(deadline=None, max_examples=60)
@given(lengths=ROWS, context=st.integers(1, LENGTH), across=st.booleans())
def test_masks_positions_and_borders_follow_from_the_pieces(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[list[int]], context: int, across: bool
) -> None:
    path = shard_of(tmp_path_factory.mktemp("shard") / "0.arrow", lengths)
    loader = ShardLoader([path], batch_size=1, seed=2, context=context)
    count = loader.windows
    batch = BatchForm(EXTRAS, across).batch(loader, 0, count, count)
    oracle = expected(loader, count, across)
    for name in ("document_ids", "position_ids", "labels"):
        assert batch[name].tolist() == oracle[name], name
    assert batch["cu_seqlens"].dtype == torch.int32
    assert batch["cu_seqlens"].tolist() == oracle["cu"]
    assert int(batch["max_seqlen"]) == max(np.diff(oracle["cu"]))
    assert batch["attention_mask"].shape == (count, 1, context, context)
    assert batch["attention_mask"][:, 0].tolist() == oracle["mask"]


def test_sequences_that_fill_a_batch_up_are_padding(tmp_path: Path) -> None:
    loader = ShardLoader([shard_of(tmp_path / "0.arrow", [[5, 7]])], batch_size=1, seed=2)
    batch = BatchForm(EXTRAS, False).batch(loader, 0, 1, 3)
    assert (batch["input_ids"][1:] == PAD).all()
    assert (batch["labels"][1:] == -100).all()
    assert (batch["document_ids"][1:] == -1).all()
    assert batch["cu_seqlens"].tolist() == [0, 5, 12, 24, 36]
    assert batch["attention_mask"][1:, 0].all(0).equal(torch.ones(12, 12, dtype=torch.bool).tril())


def test_attention_over_a_row_of_documents_is_attention_over_each(tmp_path: Path) -> None:
    """The mask does what it is for: outputs of torch's attention do not depend on the other documents."""
    loader = ShardLoader([shard_of(tmp_path / "0.arrow", [[5, 4, 3]])], batch_size=1, seed=2)
    batch = BatchForm(("attention_mask", "cu_seqlens")).batch(loader, 0, 1, 1)
    query, key, value = torch.randn(3, 1, 2, LENGTH, 8, generator=torch.manual_seed(1)).unbind()
    attend = torch.nn.functional.scaled_dot_product_attention
    whole = attend(query, key, value, attn_mask=batch["attention_mask"])
    ends = batch["cu_seqlens"].tolist()
    for a, b in itertools.pairwise(ends):
        part = attend(query[:, :, a:b], key[:, :, a:b], value[:, :, a:b], is_causal=True)
        assert torch.allclose(whole[:, :, a:b], part, atol=1e-6)


def test_an_extra_that_there_is_none_of_is_named() -> None:
    with pytest.raises(ValueError, match="positions; there are document_ids"):
        BatchForm(("positions",))  # type: ignore[arg-type]
