"""Every fault is planted in shards that are whole to the eye: metadata and digests are made to fit."""

from __future__ import annotations

import hashlib
import json
import math
import string
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from corpusmill.tokenizer.shards.format import write_shard
from corpusmill.tokenizer.shards.reader import open_shard
from corpusmill.training_hooks.evaluation.faults import Fault, check_shards
from corpusmill.training_hooks.evaluation.order import order_information
from tests.oracles.training_held_out import PAD, write_documents
from tests.oracles.training_shards import chain_language

Ints = npt.NDArray[np.int64]
ROWS, LENGTH = 160, 64


@pytest.fixture
def rows() -> list[Ints]:
    """Three shards' rows of one language; some end in padding."""
    made = [chain_language(ROWS, LENGTH, seed) for seed in range(3)]
    for each in made:
        each[::7, 50:] = PAD
    return made


def written(folder: Path, rows: list[Ints], **changed: Any) -> list[Path]:
    return [
        write_documents(folder / f"shard-{k:05d}.arrow", each, first=1000 * k, **changed)
        for k, each in enumerate(rows)
    ]


def only(faults: list[Fault], kind: str, shard: str = "shard-00001.arrow") -> str:
    assert [(fault.shard.name, fault.kind) for fault in faults] == [(shard, kind)]
    assert str(faults[0]) == f"{shard}: {kind}: {faults[0].detail}"
    return faults[0].detail


def test_sound_shards_have_none(rows: list[Ints], tmp_path: Path) -> None:
    assert check_shards(written(tmp_path, rows)) == []
    assert check_shards([]) == []


def test_a_shard_cut_short(rows: list[Ints], tmp_path: Path) -> None:
    paths = written(tmp_path, rows)
    paths[1].write_bytes(paths[1].read_bytes()[:-100])
    assert "not a whole token shard" in only(check_shards(paths), "damaged")


def test_tokens_changed_behind_the_metadata(rows: list[Ints], tmp_path: Path) -> None:
    paths = written(tmp_path, rows)
    content, row = paths[1].read_bytes(), rows[1][3].astype(np.uint16)
    changed = row.copy()
    changed[5] ^= 1
    assert content.count(row.tobytes()) == 1
    paths[1].write_bytes(content.replace(row.tobytes(), changed.tobytes()))
    assert "not those it was written with" in only(check_shards(paths), "damaged")


def test_an_id_beyond_the_vocabulary(rows: list[Ints], tmp_path: Path) -> None:
    rows[1][9, 4] = 64
    detail = only(check_shards(written(tmp_path, rows)), "wrong vocabulary")
    assert detail == "row 9 holds id 64, its vocabulary ends at 63"


def test_another_tokenizer(rows: list[Ints], tmp_path: Path) -> None:
    paths = written(tmp_path, rows)
    write_documents(paths[1], rows[1], first=1000, tokenizer="f" * 64)
    assert "encoded by tokenizer ffff" in only(check_shards(paths), "wrong vocabulary")


def test_ids_of_another_vocabulary_under_the_right_name(rows: list[Ints], tmp_path: Path) -> None:
    """The same words under other ids, as another tokenizer of that size would give; common words show it."""
    rare = [np.where(each == PAD, PAD, np.minimum(each % 17 + 8, each)) for each in rows]
    other = np.random.default_rng(1).permutation(np.arange(26, 60))
    rare[1] = np.where(rare[1] == PAD, PAD, other[rare[1] % 34])
    assert "spread unlike the others'" in only(check_shards(written(tmp_path, rare)), "wrong vocabulary")


def test_a_source_of_its_own_in_one_shard_is_no_fault(rows: list[Ints], tmp_path: Path) -> None:
    rows[1][: ROWS // 3] = 40 + chain_language(ROWS // 3, LENGTH, 9) % 9
    rows[1][: ROWS // 3, 0] = np.arange(ROWS // 3) % 50 + 8
    assert check_shards(written(tmp_path, rows)) == []


def test_the_recipes_tokenizer_and_the_bytes_of_documents(rows: list[Ints], tmp_path: Path) -> None:
    """Ids 3 and up spell three bytes each, as `write_documents` says its documents have."""
    letters = string.ascii_lowercase
    words = [letters[k // 26] + letters[k % 26] for k in range(3, 64)]
    vocabulary = {f"{word}Ġ": k for k, word in enumerate(words, 3)}
    vocabulary |= {token: 64 + k for k, token in enumerate([*letters, "Ġ", *words])}
    merges = [*((word[0], word[1]) for word in words), *((word, "Ġ") for word in words)]
    made = Tokenizer(models.BPE(vocabulary, merges))
    made.add_special_tokens([f"<{k}>" for k in range(3)])
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    definition = json.loads(made.to_str())
    definition["added_tokens"] = [{**token, "id": k} for k, token in enumerate(definition["added_tokens"])]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(definition))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    paths = written(tmp_path, rows, tokenizer=digest)
    assert check_shards(paths, path) == []
    changed = {"abcd" if k == 20 else token: k for token, k in vocabulary.items()}
    kept = [pair for pair in merges if "".join(pair) in changed]
    definition["model"] |= {"vocab": changed, "merges": kept}
    path.write_text(json.dumps(definition))
    other = hashlib.sha256(path.read_bytes()).hexdigest()
    found = check_shards(paths, path)
    assert [fault.kind for fault in found] == ["wrong vocabulary"] * 3
    assert f"the recipe's is {other[:16]}" in found[0].detail
    found = check_shards(written(tmp_path, rows, tokenizer=other), path)
    assert len(found) == 3
    spelled = 3 * int((rows[0] != PAD).sum()) + int((rows[0] == 20).sum())
    assert f"tokens of a, b spell {spelled:,} bytes" in found[0].detail


def test_tokens_shuffled_within_rows(rows: list[Ints], tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for row in rows[1]:
        draw.shuffle(row[: (row != PAD).sum()])
    assert "about the next" in only(check_shards(written(tmp_path, rows)), "shuffled tokens")


def test_the_same_rows_again(rows: list[Ints], tmp_path: Path) -> None:
    rows[1][ROWS // 2 :] = rows[1][: ROWS - ROWS // 2]
    detail = only(check_shards(written(tmp_path, rows)), "repeated rows")
    assert detail.startswith("80 of 160 rows (80, 81, 82, ...)")
    assert "row 80 is row 0 of shard-00001.arrow" in detail


def test_a_whole_shard_again(rows: list[Ints], tmp_path: Path) -> None:
    rows[2] = rows[0]
    paths = written(tmp_path, rows)
    assert "row 0 is row 0 of shard-00000.arrow" in only(check_shards(paths), "repeated rows", paths[2].name)


def test_copies_in_later_epochs_are_no_fault(rows: list[Ints], tmp_path: Path) -> None:
    again = np.concatenate([rows[0], rows[0]])
    names, epochs = [*range(ROWS), *range(ROWS)], [0] * ROWS + [1] * ROWS
    path = write_documents(tmp_path / "a.arrow", again, documents=names, epochs=epochs)
    assert check_shards([path]) == []
    path = write_documents(tmp_path / "b.arrow", again, documents=names, epochs=[0] * 2 * ROWS)
    assert [fault.kind for fault in check_shards([path])] == ["repeated rows"]


def test_a_row_of_padding(rows: list[Ints], tmp_path: Path) -> None:
    rows[1][5] = PAD
    assert only(check_shards(written(tmp_path, rows)), "all padding") == "1 of 160 rows (5) hold no token"


def test_padding_where_documents_are_said_to_be(rows: list[Ints], tmp_path: Path) -> None:
    rows[1][4, 7] = PAD
    detail = only(check_shards(written(tmp_path, rows)), "padding inside")
    assert detail.startswith("1 of 160 rows (4) hold the padding id 2")


@pytest.mark.parametrize(("token", "kind"), [(9, "constant tokens"), (PAD, "all padding")])
def test_tokens_that_never_change(rows: list[Ints], tmp_path: Path, token: int, kind: str) -> None:
    rows[1][3:13] = 9
    paths = written(tmp_path, rows)
    if token == PAD:  # padding under pieces that say otherwise
        shard = open_shard(paths[1])
        tokens = shard.batch(range(ROWS))
        tokens[(tokens == 9).all(axis=1)] = PAD
        pieces = pa.ipc.open_file(paths[1].read_bytes()).read_all().column("pieces").combine_chunks()
        write_shard(paths[1], tokens, pieces.flatten(), pieces.offsets.to_numpy(), shard.metadata)
    kinds = {fault.kind: fault.detail for fault in check_shards(paths)}
    assert kinds[kind].startswith("10 of 160 rows (3, 4, 5, ...)")
    assert set(kinds) <= {kind, "repeated rows", "damaged"}


def test_a_few_odd_rows_are_let_pass(rows: list[Ints], tmp_path: Path) -> None:
    rows[1][3] = 9
    rows[1][8] = rows[1][7]
    assert check_shards(written(tmp_path, rows)) == []


def test_order_is_what_order_tells() -> None:
    """The chain has ln 56 - ln 2 of it; far fewer tokens than pairs make that hard to see, never negative."""
    draw = np.random.default_rng(0)
    many, few = chain_language(2000, 64, 0), chain_language(8, 64, 1)
    assert order_information([*many], draw) == pytest.approx(math.log(28), abs=0.1)
    assert order_information([*many], draw, 2) == pytest.approx(math.log(14), abs=0.1)
    assert order_information([*few], draw) > 0.5
    none = draw.integers(8, 64, (2000, 64))
    for distance in (1, 2, 8):
        assert abs(order_information([*none], draw, distance)) < 0.01
    assert order_information([none[0, :1], none[0, :0]], draw) == 0.0
    assert order_information([], draw) == 0.0
