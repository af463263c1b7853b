from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.documents import unwritable
from corpusmill.pipelines.text import cluster_table
from corpusmill.pipelines.text.clusters import CLASSES, cluster_classes
from corpusmill.pipelines.text.generate_cluster_table import classes, module
from corpusmill.pipelines.text.kernels.clusters import walk_clusters
from tests.oracles.text_clusters import clusters

BY_CLASS = [
    [code for code in np.flatnonzero(cluster_classes() == number).tolist() if not 0xD800 <= code < 0xE000]
    for number in range(len(CLASSES))
]
of_any_class = st.lists(st.sampled_from(BY_CLASS).flatmap(st.sampled_from).map(chr), max_size=12)


def walked(text: str, most: int = 2**40) -> tuple[int, int]:
    data = np.frombuffer(b"(" + text.encode() + b")", np.uint8)
    count, end = walk_clusters(unwritable(data), 1, len(data) - 1, most, cluster_classes())
    return count, end - 1


@settings(deadline=None, max_examples=300)
@given(of_any_class)
def test_clusters_equal_the_rules(characters: list[str]) -> None:
    text = "".join(characters)
    expected = clusters(text)
    assert walked(text) == (len(expected), len(text.encode()))
    for most in range(len(expected) + 1):
        assert walked(text, most) == (most, len("".join(expected[:most]).encode()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a\r\nb\n\r", ["a", "\r\n", "b", "\n", "\r"]),
        ("e\u0301x", ["e\u0301", "x"]),
        ("\U0001f469\u200d\U0001f467!", ["\U0001f469\u200d\U0001f467", "!"]),
        ("\U0001f1e9\U0001f1ea\U0001f1eb", ["\U0001f1e9\U0001f1ea", "\U0001f1eb"]),
        ("\u1112\u1161\u11ab각", ["\u1112\u1161\u11ab", "각"]),
        ("क्षि", ["क्षि"]),
        ("กำ", ["กำ"]),
        ("中文", ["中", "文"]),
    ],
)
def test_clusters_of_several_scripts(text: str, expected: list[str]) -> None:
    assert clusters(text) == expected
    assert walked(text)[0] == len(expected)


def test_a_million_marks_are_one_cluster() -> None:
    """In one pass: a walk that looked back at every mark would take hours."""
    assert walked("a" + "\u0301" * 1_000_000 + "b") == (2, 2_000_002)


def test_the_table_is_what_the_generator_writes() -> None:
    assert module(classes(regex)) == Path(cluster_table.__file__).read_text(encoding="utf-8")
