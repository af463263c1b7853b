"""Texts, ids and columns inside of records, and chat messages as texts: the same from JSONL and Parquet."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.sources.assembly.field_paths import at_path, take_path
from corpusmill.pipelines.sources.assembly.messages import MessageTemplate, NoMessagesError
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.sources.parquet import Parquet
from tests.oracles.sources_archives import Read, read_all

CHAT = "{role}: {content}"


def both(
    tmp_path: Path, records: list[dict[str, Any]], schema: pa.Schema | None = None, **options: Any
) -> list[Read]:
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    pq.write_table(pa.Table.from_pylist(records, schema), tmp_path / "a.parquet")
    kinds = (Jsonl(files=["x"], **options), Parquet(files=["x"], **options))
    return [read_all(kind, tmp_path / f"a.{kind.name}") for kind in kinds]


@pytest.mark.parametrize(
    "name, record, text, rest",
    [
        ("a.b", {"a": {"b": "t", "c": 1}}, "t", {"a": {"c": 1}}),
        ("a.b", {"a": {"b": "t"}}, "t", {}),
        ("a.b", {"a.b": "t", "a": {"b": "u"}}, "t", {"a": {"b": "u"}}),
        ("a.b.c", {"a.b": {"c": "t"}}, "t", {}),
        ("a.b.c", {"a": {"b.c": "t", "b": {"c": "u"}}}, "t", {"a": {"b": {"c": "u"}}}),
        ("a.b.c", {"a": {"x": 1}, "a.b": {"c": "t"}}, "t", {"a": {"x": 1}}),
        ("a.0", {"a": ["t", "u"]}, "t", {"a": [None, "u"]}),
        ("a.-1", {"a": ["t", "u"]}, "u", {"a": ["t", None]}),
        ("a.1.b", {"a": [{"b": "t"}, {"b": "u", "c": 1}]}, "u", {"a": [{"b": "t"}, {"c": 1}]}),
        ("a.0.b", {"a": [{"b": "t"}]}, "t", {}),
        ("a.7", {"a": ["t"]}, None, {"a": ["t"]}),
        ("a.x", {"a": ["t"]}, None, {"a": ["t"]}),
        ("a.b", {"a": 3}, None, {"a": 3}),
        ("a.", {"a": {"": "t"}}, "t", {}),
    ],
)  # fmt: skip
def test_the_rule(name: str, record: dict[str, Any], text: str | None, rest: dict[str, Any]) -> None:
    before = copy.deepcopy(record)
    assert at_path(record, name) == text
    taken = dict(record)
    assert take_path(taken, name) == text
    assert taken == rest
    assert record == before


NAMES = st.sampled_from(["a", "b", "a.b", "0", "-1", ""])
VALUES = st.recursive(
    st.none() | st.just("t"),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=2),
)


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.lists(NAMES, min_size=1, max_size=4).map(".".join))
def test_what_is_taken_is_what_is_there(record: dict[str, Any], name: str) -> None:
    wanted = at_path(record, name)
    rest = dict(record)
    assert take_path(rest, name) == wanted
    if wanted is None:
        assert {key: value for key, value in rest.items() if value is not None} == {
            key: value for key, value in record.items() if value is not None
        }


@pytest.mark.parametrize("name", ["a.b", "a.l.0", "a.l.-1", "m.1.content", "a.l.5", "a.n"])
def test_texts_by_their_path(tmp_path: Path, name: str) -> None:
    records = [
        {
            "n": n,
            "a": {"b": f"b{n}", "n": n, "l": [f"l{n}", "é"]},
            "m": [{"content": f"m{k}", "k": k} for k in range(n)],
        }
        for n in (2, 1, 3)
    ]
    jsonl, parquet = both(tmp_path, records, text_field=name)
    assert jsonl.rows == parquet.rows
    assert jsonl.whys == parquet.whys
    assert len(jsonl.rows) == {"a.l.5": 0, "a.n": 0, "m.1.content": 2}.get(name, 3)
    for row in jsonl.rows:
        assert row["text"] not in row["meta"]


def test_ids_and_columns_by_their_path(tmp_path: Path) -> None:
    records = [{"text": "t", "at": {"link": "http://a.example", "k": 1}, "metadata": {"own": {"id": 7}}}]
    for found in both(tmp_path, records, fields={"url": "at.link"}, id_field="metadata.own.id"):
        (row,) = found.rows
        assert row["url"] == "http://a.example"
        assert json.loads(row["meta"]) == {"at": {"k": 1}, "own": {"id": 7}}
    (named,) = read_all(Jsonl(files=["x"], id_field="n"), _one(tmp_path, {"text": "t", "n": 7})).rows
    assert row["id"] == named["id"]


def _one(folder: Path, record: dict[str, Any]) -> Path:
    (folder / "one.jsonl").write_text(json.dumps(record))
    return folder / "one.jsonl"


def test_messages_become_a_text(tmp_path: Path) -> None:
    records = [
        {"id": "1", "messages": [{"role": "user", "content": "hé"}, {"role": "assistant", "content": None}]},
        {"id": "2", "messages": []},
        {"id": "3", "messages": None},
        {"id": "4", "messages": [{"role": "user", "content": "a\0"}]},
    ]
    found = both(tmp_path, records, text_field="messages", template=CHAT)
    for read in found:
        assert read.texts == ["user: hé\n\nassistant: ", ""]
        assert read.whys == {"no_text": 1, "binary": 1}
        assert [row["meta"] for row in read.rows] == ['{"id": "1"}', '{"id": "2"}']
    assert found[0].rows == found[1].rows


def test_what_a_template_does_not_use_stays(tmp_path: Path) -> None:
    records = [
        {
            "chat": {
                "turns": [
                    {"from": "human", "value": "a", "w": 1.5},
                    {"from": "gpt", "value": "b", "w": None},
                ],
                "k": 2,
            }
        },
        {"chat": {"turns": [{"from": "human", "value": "c", "w": None}], "k": None}},
    ]
    template = "<{from}> {{{value}}}"
    found = both(tmp_path, records, text_field="chat.turns", template=template, between_messages="\n")
    assert found[0].texts == ["<human> {a}\n<gpt> {b}", "<human> {c}"]
    assert json.loads(found[0].rows[0]["meta"]) == {"chat": {"k": 2}, "chat.turns": [{"w": 1.5}, {}]}
    assert found[0].rows == found[1].rows


def test_messages_as_a_mapping_of_lists(tmp_path: Path) -> None:
    records = [
        {"messages": {"role": ["a", "b"], "content": ["x", "y"]}},
        {"messages": {"role": ["a"], "content": []}},
    ]
    for found in both(tmp_path, records, text_field="messages", template=CHAT):
        assert found.texts == ["a: x\n\nb: y"]
        assert found.whys == {"no_text": 1}


@pytest.mark.parametrize(
    "value, words",
    [
        ("text", "no list of messages"),
        (["text"], "message 0 is no mapping"),
        ([{"role": "a"}], "message 0 has no field 'content'"),
        ([{"role": "a", "content": 3}], "'content' of message 0 is no text"),
        (
            [{"role": "a", "content": [{"type": "image", "url": "x"}]}],
            "part 0 of 'content' in message 0 is no text",
        ),
    ],
)
def test_what_is_no_message_is_told(value: Any, words: str) -> None:
    with pytest.raises(NoMessagesError, match=words):
        MessageTemplate(CHAT, "").join(value)


def test_content_of_several_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert MessageTemplate(CHAT, "").join([{"role": "u", "content": parts}]) == ("u: ab", None)


@pytest.mark.parametrize("template", ["{role", "role}", "{}", "no field", "{role} }"])
def test_a_template_that_cannot_be_read_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="template: "):
        Jsonl(files=["x"], template=template)


def test_bytes_in_messages_are_texts_and_odd_ones_are_quarantined(tmp_path: Path) -> None:
    kind = pa.list_(pa.struct([("role", pa.string()), ("content", pa.binary())]))
    chats = [[{"role": "u", "content": content}] for content in ("é".encode(), b"\xff", b"z")]
    pq.write_table(pa.table({"messages": pa.array(chats, kind)}), tmp_path / "a.parquet")
    found = read_all(Parquet(files=["x"], text_field="messages", template=CHAT), tmp_path / "a.parquet")
    assert found.texts == ["u: é", "u: z"]
    assert [(lost.why, lost.position) for lost in found.quarantined] == [
        ("bad_utf8", "a.parquet, row group 0, row 1")
    ]
