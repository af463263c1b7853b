"""Splits at bounds of syntax nodes, those of the whole file where it is short, and between characters."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tree_sitter import Node

from corpusmill.pipelines.contract.documents import Documents, buffers
from corpusmill.pipelines.text.clusters import cluster_classes
from corpusmill.pipelines.text.grammars import file_kinds, parser_of
from corpusmill.pipelines.text.kernels.clusters import walk_clusters
from corpusmill.tokenizer.fim.options import Fim
from corpusmill.tokenizer.fim.split_points import SYNTAX, split_kinds, split_parts
from corpusmill.tokenizer.fim.syntax_places import HALF, syntax_place
from corpusmill.tokenizer.kernels.fim_parts import LINES

LAMP = """\
class Lamp:
    def light(self, hour, name="none"):
        if hour > 6 and name != "none":
            print("late", hour + 1)
        return [hour, (name, hour)]


lamp = Lamp()
lamp.light(7)
"""


def node_bounds(text: bytes, kind: str) -> set[int]:
    """Where nodes begin and end that have named nodes in them, by the whole text."""

    def of(node: Node) -> set[int]:
        mine = {node.start_byte, node.end_byte} if node.is_named and node.named_child_count else set()
        return mine.union(*map(of, node.children))

    return set().union(*map(of, parser_of(kind).parse(text).root_node.children))


def test_a_place_goes_to_the_nearest_bound() -> None:
    text = LAMP.encode()
    bounds = node_bounds(text, "py")
    assert len(bounds) > 20
    for place in range(1, len(text)):
        expected = min(bounds, key=lambda bound: (abs(bound - place), bound))
        assert syntax_place(text, place, "py") == expected
    assert syntax_place(text, 0, "py") == 0
    assert syntax_place(text, len(text), "py") == len(text)


@pytest.mark.parametrize("kind", ["py", "java"])
def test_in_a_long_file_most_places_are_bounds_of_the_whole(kind: str) -> None:
    if kind == "py":
        text = "".join(LAMP.replace("Lamp", f"Lamp{number}") for number in range(60)).encode()
    else:
        method = (
            "    int light{0}(int hour) {{ if (hour > {0}) {{ return hour + 1; }} return sum(hour, {0}); }}\n"
        )
        text = ("class Lamp {\n" + "".join(method.format(n) for n in range(120)) + "}\n").encode()
    bounds = node_bounds(text, kind)
    places = range(HALF, len(text) - HALF, 97)
    right = sum(syntax_place(text, place, kind) in bounds for place in places)
    assert right >= 0.95 * len(places)


pieces = st.sampled_from(
    ["f(x)", "\n", "    ", "if a:", "'e\u0301'", "中", "\r\n", "\u0301", "#", "(", "]", "🙂"]
)


@settings(deadline=None, max_examples=50)
@given(st.lists(pieces, max_size=60), st.integers(0, 2**16))
def test_no_cluster_is_parted_and_no_byte_lost(parts: list[str], seed: int) -> None:
    text = "".join(parts)
    offsets, data = buffers(pa.array([text, text], pa.large_string()))
    ids = pa.array(["0" * 32, "f" * 32])
    kinds = split_kinds(pa.array(["a", "b"]), Fim(split="syntax", splits={"b": "lines"}), ["py", "py"])
    assert kinds.tolist() == [SYNTAX, LINES]
    bounds = split_parts(offsets, data, ids, np.ones(2, np.bool_), seed, 0, kinds, ["py", "py"])
    found = [data[a:b].tobytes().decode() for a, b in pairwise(bounds)]
    assert len(found) == 6
    assert "".join(found[:3]) == "".join(found[3:]) == text
    size = len(text.encode())
    clusters = {walk_clusters(data, 0, size, count, cluster_classes())[1] for count in range(len(text) + 1)}
    assert set(bounds[1:3].tolist()) <= clusters


def test_other_languages_are_split_between_lines() -> None:
    fim = Fim(split="syntax")
    names = pa.array(["a"] * 4)
    assert split_kinds(names, fim, ["py", "rst", None, "java"]).tolist() == [SYNTAX, LINES, LINES, SYNTAX]
    assert split_kinds(names, fim).tolist() == [LINES] * 4


def test_a_language_of_white_space_alone_is_none() -> None:
    """The extension names the language then; case and white space around a name do not count."""
    told = ["", "  ", " PyThon\n", None, "java"]
    docs = Documents(pa.table({"path": ["a/b.PY"] * 5, "code_language": told}))
    assert file_kinds(docs) == ["py", "py", "python", "py", "java"]
