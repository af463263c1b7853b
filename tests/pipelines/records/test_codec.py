"""Records as JSON: what is written is read, and what does not fit is told with its file, field and cure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import IntegrityError, OtherVersionError
from corpusmill.pipelines.records.codec import (
    check_fields,
    decode,
    decode_file,
    encode,
    encode_file,
    encode_told,
)
from corpusmill.pipelines.records.graph import Graph
from corpusmill.pipelines.records.ledger import LedgerEntry
from corpusmill.pipelines.records.manifest import ManifestFile
from corpusmill.pipelines.records.pointer import Pointer, RecipeFile
from corpusmill.pipelines.records.receipt import (
    DatasetPart,
    FileEntry,
    MaskPart,
    Part,
    Receipt,
    SummaryPart,
)
from corpusmill.pipelines.run.task import Executed, Task


@dataclass(frozen=True)
class Inner:
    name: str
    size: int = 0


@dataclass(frozen=True)
class Whole:
    RECORD: ClassVar[str] = "whole"
    VERSION: ClassVar[int] = 3

    text: str
    number: int
    share: float
    yes: bool
    kind: Literal["a", "b"]
    pair: tuple[int, str]
    inner: tuple[Inner, ...]
    by_name: Mapping[str, Inner]
    by_number: Mapping[int, tuple[int, int]]
    part: Part | None = None
    free: Mapping[str, Any] = field(default_factory=dict)


texts = st.text(max_size=8)
whole_numbers = st.integers(0, 2**53)
inners = st.builds(Inner, texts, whole_numbers)
tallies = st.tuples(whole_numbers, whole_numbers)
parts = st.one_of(
    st.none(),
    st.builds(DatasetPart, st.dictionaries(texts, tallies), whole_numbers),
    st.builds(MaskPart, whole_numbers, st.dictionaries(whole_numbers, whole_numbers)),
    st.builds(SummaryPart, st.dictionaries(texts, st.none() | st.lists(texts, max_size=2))),
)
wholes = st.builds(
    Whole,
    texts,
    whole_numbers,
    st.floats(allow_nan=False),
    st.booleans(),
    st.sampled_from(["a", "b"]),
    st.tuples(whole_numbers, texts),
    st.lists(inners, max_size=3).map(tuple),
    st.dictionaries(texts, inners, max_size=3),
    st.dictionaries(whole_numbers, tallies, max_size=3),
    parts,
    st.dictionaries(texts, whole_numbers, max_size=2),
)
WHOLE = Whole("t", 1, 0.5, True, "a", (1, "x"), (Inner("i"),), {"n": Inner("j", 2)}, {7: (1, 2)})


def through_json(record: object) -> Any:
    return json.loads(json.dumps(encode(record)))


@given(wholes)
def test_what_is_encoded_is_decoded(whole: Whole) -> None:
    assert decode(Whole, through_json(whole), "f") == whole
    assert decode_file(Whole, json.loads(json.dumps(encode_file(whole))), "f") == whole


def test_fields_at_their_default_are_left_out() -> None:
    assert encode(Inner("i")) == {"name": "i"}
    assert decode(Inner, {"name": "i", "size": 0}, "f") == Inner("i")
    assert "part" not in encode(WHOLE)


def test_a_union_says_which_of_its_records_it_holds() -> None:
    receipt = Receipt(0, 1, (), part=MaskPart(64, {3: 1}))
    assert through_json(receipt)["part"] == {"kind": "mask", "mask_units": 64, "removed_rows": {"3": 1}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"text": 1}, "text: 1 is not a text"),
        ({"number": True}, "number: True is not a whole number"),
        ({"number": 1.0}, "number: 1.0 is not a whole number"),
        ({"share": "x"}, "share: 'x' is not a number"),
        ({"yes": 1}, "yes: 1 is not true or false"),
        ({"kind": "c"}, "kind: 'c' is not one of a, b"),
        ({"pair": [1]}, r"pair: \[1\] is not a list of 2"),
        ({"pair": ["x", "x"]}, "pair.0: 'x' is not a whole number"),
        ({"inner": [{"name": "i"}, {"size": 1}]}, "inner.1.name: is missing"),
        ({"inner": {}}, "inner: {} is not a list"),
        ({"by_name": {"n": {"name": "i", "more": 1}}}, "by_name.n.more: this version knows no such field"),
        ({"by_number": {"x": [1, 2]}}, "by_number: 'x' is not a whole number"),
        ({"by_number": {"7": [1, None]}}, "by_number.7.1: None is not a whole number"),
        ({"part": {"kind": "other"}}, "part.kind: 'other' is not one of dataset, mask,"),
        ({"part": {"kind": "mask", "mask_units": 1}}, "part.removed_rows: is missing"),
        ({"free": []}, r"free: \[\] is not an object"),
        ({"new": 1}, "new: this version knows no such field"),
    ],
)
def test_what_does_not_fit_is_told_with_file_field_and_cure(change: dict[str, Any], told: str) -> None:
    decode(Whole, through_json(WHOLE), "run/x.json")  # the same fields, of which these values are known
    with pytest.raises(IntegrityError, match=f"^run/x.json: {told}.*; cure: .*--repair"):
        decode(Whole, {**through_json(WHOLE), **change}, "run/x.json")


@pytest.mark.parametrize("name", [f.name for f in fields(Whole) if f.name not in ("part", "free")])
def test_no_field_may_be_missing(name: str) -> None:
    value = through_json(WHOLE)
    del value[name]
    with pytest.raises(IntegrityError, match=f"run/x.json: {name}: is missing"):
        decode(Whole, value, "run/x.json")


@pytest.mark.parametrize("value", [None, [], "x", 3])
def test_what_is_no_object_is_no_record(value: object) -> None:
    with pytest.raises(IntegrityError, match="is not an object"):
        decode(Whole, value, "f")
    with pytest.raises(IntegrityError, match="is not an object"):
        decode_file(Whole, value, "f")


@pytest.mark.parametrize("version", [None, 2, 4, "3"])
def test_another_version_is_no_damage_and_names_its_cure(version: object) -> None:
    value = {**encode_file(WHOLE), "version": version}
    with pytest.raises(OtherVersionError, match="run its recipe again with this version") as error:
        decode_file(Whole, value, "f.json")
    assert "f.json" in str(error.value)
    assert "--repair" not in str(error.value)


def test_a_record_of_another_kind_is_damage() -> None:
    with pytest.raises(IntegrityError, match="holds a part, not a whole"):
        decode_file(Whole, {**encode_file(WHOLE), "record": "part"}, "f.json")


@pytest.mark.parametrize(
    "kind", [Executed, FileEntry, Graph, LedgerEntry, ManifestFile, Pointer, Receipt, RecipeFile, Task]
)
def test_every_record_of_a_run_can_be_coded(kind: type) -> None:
    check_fields(kind)


def test_a_field_that_json_cannot_tell_is_refused() -> None:
    @dataclass(frozen=True)
    class Bad:
        names: set

    Bad.__annotations__["names"] = set[str]
    with pytest.raises(TypeError, match="no type of a record's field"):
        check_fields(Bad)


@dataclass(frozen=True)
class Bar:
    """A field that is a word of Python, and a number of either kind."""

    KIND: ClassVar[str] = "bar"

    from_: int
    value: int | float | None


def test_a_field_named_like_a_word_of_python_has_its_plain_name_in_json() -> None:
    bar = Bar(1, 2)
    assert encode(bar) == {"from": 1, "value": 2}
    assert decode(Bar, {"from": 1, "value": 2.5}, "f") == Bar(1, 2.5)
    assert encode_told(bar) == {"kind": "bar", "from": 1, "value": 2}
    with pytest.raises(IntegrityError, match="f: from: 'x' is not a whole number"):
        decode(Bar, {"from": "x", "value": None}, "f")


def test_a_number_of_either_kind_stays_what_it_is() -> None:
    for value in (0, 0.0, None):
        made = decode(Bar, {"from": 0, "value": value}, "f").value
        assert (type(made), made) == (type(value), value)
    with pytest.raises(IntegrityError, match="value: True is not a number"):
        decode(Bar, {"from": 0, "value": True}, "f")
