"""Tokenizer files that are cut, contradict themselves or have odd ids are told of before any work."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.text.encoders import TokenizersEncoder
from corpusmill.tokenizer.bpe.definition import added_token
from corpusmill.tokenizer.load_tokenizer import LoadTokenizer
from tests.oracles.tokenizer_texts import made_texts

Definition = dict[str, Any]


@pytest.fixture(scope="module")
def plain(tokenizer_folder: Path) -> Definition:
    found: Definition = json.loads((tokenizer_folder / "tokenizer.json").read_text(encoding="utf-8"))
    return found


def size(one: Definition) -> int:
    return len(one["model"]["vocab"])


def add(one: Definition, spelling: str, index: int, **flags: bool) -> None:
    one["added_tokens"].append({**added_token(spelling, index), **flags})


def same_id(one: Definition) -> None:
    one["model"]["vocab"]["zz"] = 300


def far_id(one: Definition) -> None:
    one["model"]["vocab"]["zz"] = 10**9


def taken_id(one: Definition) -> None:
    add(one, "<x>", 300)


def twice(one: Definition) -> None:
    add(one, "<x>", size(one))
    add(one, "<x>", size(one) + 1)


def after_a_gap(one: Definition) -> None:
    add(one, "<x>", size(one) + 40)


def far_added(one: Definition) -> None:
    add(one, "<x>", 2**30)


def unknown_merge(one: Definition) -> None:
    one["model"]["merges"].append(["never", "made"])


def no_merges(one: Definition) -> None:
    del one["model"]["merges"]


def text_vocabulary(one: Definition) -> None:
    one["model"]["vocab"] = "a b c"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (same_id, "have the same id 300"),
        (far_id, "the entry 'zz' has the id 1000000000; ids lie from 0 to 16,777,215"),
        (taken_id, "the added token '<x>' has the id 300, which is that of "),
        (twice, "the added token '<x>' is there with the ids"),
        (after_a_gap, "but the library `tokenizers` gives it"),
        (far_added, "the added token '<x>' has the id 1073741824"),
        (unknown_merge, "is not a tokenizer.json"),
        (no_merges, "is not a tokenizer.json"),
        (text_vocabulary, "is not a tokenizer.json"),
    ],
)
def test_files_that_contradict_themselves_are_refused(
    plain: Definition, tmp_path: Path, spoil: Callable[[Definition], None], words: str
) -> None:
    definition = copy.deepcopy(plain)
    spoil(definition)
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(definition, ensure_ascii=False))
    (fault,) = LoadTokenizer(path=path).faults({})
    assert fault.startswith(f"{path}: ")
    assert words in fault
    with pytest.raises(UserError, match=r"odd\.json"):
        LoadTokenizer(path=path).run({}, tmp_path)


def test_a_file_that_is_cut_anywhere_is_refused(plain: Definition, tmp_path: Path) -> None:
    whole = json.dumps(plain, ensure_ascii=False).encode()
    path = tmp_path / "cut.json"
    for at in (0, 1, 40, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:at])
        faults = LoadTokenizer(path=path).faults({"eos": ""})
        assert len(faults) == 1, at
        assert "cut.json" in faults[0]
        with pytest.raises(UserError, match=r"cut\.json"):
            LoadTokenizer(path=path).run({}, tmp_path)


@pytest.mark.parametrize(
    "content", [b"null", b"[]", b"3", b'"a"', b"{}", b'{"model": null}', b"\xff\xfe{}", b"["]
)
def test_what_is_no_tokenizer_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.json"
    path.write_bytes(content)
    (fault,) = LoadTokenizer(path=path).faults({"eos": ""})
    assert "no.json" in fault


def test_merges_as_lists_and_as_text_are_one_tokenizer(plain: Definition, tmp_path: Path) -> None:
    texts = pa.array(made_texts(30), pa.large_string())
    made = []
    for form in ("lists", "text"):
        definition = copy.deepcopy(plain)
        if form == "text":
            definition["model"]["merges"] = [" ".join(pair) for pair in definition["model"]["merges"]]
        (tmp_path / form).mkdir()
        path = tmp_path / f"{form}.json"
        path.write_text(json.dumps(definition, ensure_ascii=False))
        assert LoadTokenizer(path=path).faults({}) == []
        LoadTokenizer(path=path).run({}, tmp_path / form)
        held = json.loads((tmp_path / form / "tokenizer.json").read_text())
        made.append(TokenizersEncoder(held).encode(texts)[1].tolist())
    assert made[0] == made[1]


def test_a_gap_in_the_vocabulary_keeps_ids_apart(plain: Definition, tmp_path: Path) -> None:
    """Ids behind a gap stay what they are, and the gap counts as room that nothing takes."""
    definition = copy.deepcopy(plain)
    vocabulary = definition["model"]["vocab"]
    last = max(vocabulary, key=vocabulary.__getitem__)
    vocabulary[last] += 20
    path = tmp_path / "gap.json"
    path.write_text(json.dumps(definition, ensure_ascii=False))
    assert LoadTokenizer(path=path).faults({}) == []
    facts = LoadTokenizer(path=path).run({}, tmp_path)
    assert facts["encoder"]["vocab_size"] == size(plain) + 20


def test_overlapping_white_space_is_taken_as_the_library_takes_it(plain: Definition, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    definition = copy.deepcopy(plain)
    for spelling in ("  ", "   ", "\n ", " \n"):
        add(
            definition,
            spelling,
            size(plain) + len(definition["added_tokens"]) - len(plain["added_tokens"]),
            special=False,
        )
    path = tmp_path / "spaces.json"
    path.write_text(json.dumps(definition, ensure_ascii=False))
    assert LoadTokenizer(path=path).faults({}) == []
    LoadTokenizer(path=path).run({}, tmp_path)
    ours = TokenizersEncoder(json.loads((tmp_path / "tokenizer.json").read_text()))
    library = Tokenizer.from_str(json.dumps(definition))
    for text in ("a     b", "a \n  b", "\n \n \n   x", " \n \n", "  " * 9):
        assert ours.encode(pa.array([text], pa.large_string()))[1].tolist() == library.encode(text).ids
