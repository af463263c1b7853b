"""The mixer: published numbers, arrays and compiled code alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.mixing import avalanche, mix
from corpusmill.pipelines.text.mixing import GOLDEN, MURMUR3, mixed
from tests.oracles.dedup_words import avalanche as murmur3


@compiled
def both(value: Any) -> Any:
    return mix(value), avalanche(value)


def test_published_numbers() -> None:
    """SplitMix64 from 0 (java.util.SplittableRandom)."""
    states = np.arange(1, 4, dtype=np.uint64) * GOLDEN
    assert mixed(states).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


@given(st.integers(0, 2**64 - 1))
def test_one_number_an_array_and_compiled_code_agree(number: int) -> None:
    value = np.array([number], np.uint64)
    splitmix, murmur = both(value[0])
    assert mixed(value)[0] == splitmix
    assert mixed(value, MURMUR3)[0] == murmur == murmur3(number)
