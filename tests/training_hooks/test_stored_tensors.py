"""Tensors of a checkpoint: written whole or in any ranges, read in any others."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.training_hooks.trainer.stored_tensors import StoredRange, StoredTensors, named, write_ranges

SHAPE = (3, 4, 5)
NUMBERS = torch.arange(60, dtype=torch.bfloat16)
CUTS = st.sets(st.integers(1, 59)).map(lambda inner: [0, *sorted(inner), 60])


@given(written=CUTS, files=st.integers(1, 4), read=CUTS)
def test_any_ranges_are_read_from_any(
    written: list[int], files: int, read: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ranges")
    ranges = [StoredRange("m.w", SHAPE, a, NUMBERS[a:b]) for a, b in itertools.pairwise(written)]
    paths = [folder / f"{number}.safetensors" for number in range(files)]
    for number, path in enumerate(paths):
        write_ranges(path, ranges[number::files])
    with StoredTensors(reversed(paths)) as stored:
        assert "m.w" in stored
        assert "w" not in stored
        for a, b in itertools.pairwise(read):
            assert torch.equal(stored.range("m.w", a, b), NUMBERS[a:b])
        found = stored.all()
    assert found.keys() == {"m.w"}
    assert found["m.w"].dtype == torch.bfloat16
    assert torch.equal(found["m.w"], NUMBERS.view(SHAPE))


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    path, other = tmp_path / "0.safetensors", tmp_path / "1.safetensors"
    write_ranges(path, [StoredRange("w", SHAPE, 0, NUMBERS[:20]), StoredRange("w", SHAPE, 30, NUMBERS[30:])])
    write_ranges(other, named({"v": torch.ones(2, 2)}))
    with StoredTensors([path, other]) as stored:
        assert stored.whole("v").tolist() == [[1, 1], [1, 1]]
        assert stored.range("w", 40, 50).tolist() == list(range(40, 50))
        with pytest.raises(IntegrityError, match="no numbers 20 to 59 of w"):
            stored.whole("w")
        with pytest.raises(IntegrityError, match="no numbers 0 to 3 of u"):
            stored.range("u", 0, 4)
    save_file({"w@20": torch.ones(10)}, other)
    with pytest.raises(IntegrityError, match="w@20 is a range of a tensor of unknown shape"):
        StoredTensors([other])
