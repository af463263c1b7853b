"""The YAML that recipes may hold, and what is refused."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.recipe import yaml_text
from corpusmill.pipelines.recipe.messages import InvalidRecipeError, Path
from corpusmill.pipelines.recipe.yaml_text import MAX_BYTES, MAX_DEPTH, parse_value, parse_yaml


def parse(text: str) -> Any:
    return parse_yaml(text.encode(), "r.yaml")[0]


def fault(text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(InvalidRecipeError) as caught:
        parse_yaml(content, "r.yaml")
    assert len(caught.value.lines) == 1
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("off", "off"), ("y", "y"), ("NO", "NO"),
        ("true", True), ("false", False), ("True", True), ("FALSE", False),
        ("null", None), ("~", None), ("", None), ("'null'", "null"), ('"true"', "true"),
        ("1", 1), ("-1", -1), ("+1", 1), ("010", 10), ("0o10", 8), ("0x1F", 31), ("0b1", "0b1"),
        ("1_000", "1_000"), ("1:30", "1:30"), ("190:20:30", "190:20:30"), ("4M", "4M"),
        ("1e6", 1e6), ("1E-3", 1e-3), ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), (".", "."),
        ("2026-01-01", "2026-01-01"), ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        (".inf", math.inf), ("-.inf", -math.inf), ("nan", "nan"), ("=", "="), ("9" * 41, "9" * 41),
        ("[a, 1, {b: no}]", ["a", 1, {"b": "no"}]), ("{}", {}), ("[]", []), ("|\n a\n b\n", "a\nb\n"),
    ],
)  # fmt: skip
def test_plain_values_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    got = parse(f"k: {text}")["k"]
    assert got == value
    assert type(got) is type(value)


def test_nan() -> None:
    assert math.isnan(parse("k: .nan")["k"])


def test_keys_are_text_whatever_they_look_like() -> None:
    assert parse("no: 1\n2: b\ntrue: c\nnull: d\n") == {"no": 1, "2": "b", "true": "c", "null": "d"}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, ["duplicate key `a`", "line 1"]),
        ("a: {b: 1, b: 2}\n", 1, ["duplicate key `b`"]),
        ("a: &x 1\nb: 2\n", 1, ["anchor &x", "remove"]),
        ("a: 1\nb: *x\n", 2, ["alias *x", "write the value out"]),
        ("a: {c: 1}\nb:\n  <<: {d: 1}\n", 3, ["merge key"]),
        ("a: !!python/object:os.system x\n", 1, ["tag", "remove"]),
        ("a: !!str 5\n", 1, ["tag"]),
        ("a:\n  ? [b]\n  : c\n", 2, ["key must be plain text"]),
        ("a: 1\n---\nb: 2\n", 2, ["second document"]),
        ("a:\n\tb: 1\n", 2, ["tab", "spaces"]),
        ("a:\n  [1, 2\nb: 3\n", 3, ["not valid YAML", "[ opened on line 2"]),
        ("a:\n  {b: 1\nc: 3\n", 3, ["not valid YAML", "{ opened on line 2"]),
        ("a: [1, 2}\n", 1, ["not valid YAML", "[ opened on line 1"]),
        ("a: 'x\n", 2, ["not valid YAML", "quote opened on line 1"]),
        ("a: b: c\n", 1, ["not valid YAML", "indentation", "quotes"]),
        ("a: 1\n  b: 2\n", 2, ["not valid YAML", "indentation"]),
        ("a:\n  b: 1\n c: 2\n", 3, ["not valid YAML", "lines up with nothing"]),
        ("a:\n  - 1\n - 2\n", 3, ["not valid YAML", "lines up with nothing"]),
        ("a: 1\nb\nc: 2\n", 3, ["not valid YAML", "key on line 2 has no colon"]),
        ("a: @x\n", 1, ["not valid YAML", "quote it"]),
        ("a: *.jsonl\n", 1, ["not valid YAML", "needs quotes"]),
        ("a: {b: [}\n", 1, ["not valid YAML", "close it"]),
        ("a: 1\nb: \x07\n", 2, ["control character"]),
        ("a: " + "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), 1, [f"deeper than {MAX_DEPTH}"]),
    ],
)
def test_what_hides_a_recipes_meaning_is_refused(text: str, line: int, words: list[str]) -> None:
    message = fault(text)
    assert re.match(rf"r\.yaml:{line}:[1-9][0-9]*: ", message)
    for word in words:
        assert word in message


def test_size_is_capped() -> None:
    assert parse_yaml(b"a: 1".ljust(MAX_BYTES), "r.yaml")[0] == {"a": 1}
    assert f"{MAX_BYTES:,}" in fault(b"a: 1".ljust(MAX_BYTES + 1))


def test_nesting_up_to_the_limit_is_fine() -> None:
    data = parse("a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH)["a"]
    for _ in range(MAX_DEPTH - 1):
        (data,) = data
    assert data == []
    fault("a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


def test_very_deep_nesting_neither_crashes_nor_recurses() -> None:
    assert "deeper" in fault("a: " + "[" * 500_000)


def test_bytes_that_are_not_utf8_name_the_line() -> None:
    assert fault(b"a: 1\nb: \xff\n").startswith("r.yaml:2:4: byte 8 is not UTF-8; save")
    assert "save the file as UTF-8" in fault("a: 1".encode("utf-16"))


def test_a_binary_file_is_called_one() -> None:
    assert fault(b"\x7fELF\x02\0\0\xff").endswith("this is no text file; give a YAML file")
    assert fault(b"PK\x03\x04\0\0").endswith("this is a binary file, not a recipe; give a YAML file")


def test_a_byte_order_mark_is_allowed_and_an_empty_file_is_nothing() -> None:
    assert parse_yaml(b"\xef\xbb\xbfa: 1", "r.yaml")[0] == {"a": 1}
    assert parse("") is None
    assert parse("# only a comment\n") is None


def test_the_parser_in_python_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: [1, no, {b: 'x'}]\nc: |\n  d\ne: 1e6\n"
    expected = parse_yaml(text.encode(), "r.yaml")
    monkeypatch.setattr(yaml_text, "_PARSER", yaml.SafeLoader)
    assert parse_yaml(text.encode(), "r.yaml") == expected
    assert "tab" in fault("a:\n\tb: 1\n")
    assert "quote opened on line 1" in fault("a: 'x\n")
    assert "[ opened on line 1" in fault("a: [1, 2\nb: 3\n")
    assert "lines up with nothing" in fault("a:\n  b: 1\n c: 2\n")
    assert "needs quotes" in fault("a: *.jsonl\n")
    assert "indentation" in fault("a: b: c\n")
    assert "has no colon" in fault("a: 1\nb\nc: 2\n")
    assert "duplicate" in fault("a: 1\na: 1\n")


# JSON's strings are YAML's but for control characters and line separators (Zl, Zp), which YAML folds.
TEXT = st.text(st.characters(max_codepoint=0xFFFD, exclude_categories=("Cs", "Cc", "Zl", "Zp")))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_json_means_itself(data: Any) -> None:
    assert parse(json.dumps({"k": data}, ensure_ascii=False)) == {"k": data}


def leaves(data: Any, path: Path = ()) -> list[Path]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(found for key, value in inner for found in leaves(value, (*path, key)))]


@given(st.dictionaries(st.text("abc", min_size=1), JSON, min_size=1, max_size=4))
def test_every_path_has_a_place_and_keys_stand_where_it_says(data: dict[str, Any]) -> None:
    text = json.dumps(data, ensure_ascii=False, indent=1)
    lines = text.split("\n")
    got, places = parse_yaml(text.encode(), "r.yaml")
    assert set(places.lines) == set(leaves(got))
    for path, (line, column) in places.lines.items():
        if path and isinstance(path[-1], str):
            assert lines[line - 1][column - 1 :].startswith(json.dumps(path[-1], ensure_ascii=False))


@settings(max_examples=300)
@given(st.text(st.sampled_from("ab:-[]{}&*!|>'\"#%@`,? \n\t\r\x00\x85\u2028é<~0"), max_size=40) | st.text())
def test_any_text_is_data_or_one_readable_line(text: str) -> None:
    try:
        parse_yaml(text.encode("utf-8", "surrogatepass"), "r.yaml")
        lines: tuple[str, ...] = ("r.yaml:",)
    except InvalidRecipeError as error:
        lines = error.lines
    assert len(lines) == 1
    assert lines[0].startswith("r.yaml:")


def test_values_of_overrides() -> None:
    assert parse_value("[a, 1]") == ["a", 1]
    assert parse_value("") is None
    with pytest.raises(ValueError, match="not valid YAML"):
        parse_value("[a")
