"""One bad document, group or file is found and left out, in every kind of step; the rest goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import CorpusmillError, DataError, IntegrityError
from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.run.operators.apart import Rows, Trier, cause_of, is_of_input
from corpusmill.pipelines.run.operators.marker import PARTS, Marker
from corpusmill.pipelines.storage.checked_ipc import read_batches
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.warm import Warm

ENDS = [3, 4, 9, 10]  # groups 0-2, 3, 4-8, 9


def trier(bad: Callable[[set[int]], bool], **more: object) -> tuple[Trier[list[int]], list[list[int]]]:
    seen: list[list[int]] = []

    def apply(rows: Rows) -> list[int]:
        seen.append(rows.tolist())
        if bad(set(rows.tolist())):
            raise ValueError(f"not {len(rows)}")
        return rows.tolist()

    return Trier("odd", apply, **{"poison": {}, "marker": None, **more}), seen  # type: ignore[arg-type]


def flat(results: list[list[int]]) -> list[int]:
    return [row for rows in results for row in rows]


def test_sound_rows_are_given_at_once() -> None:
    stage, seen = trier(lambda rows: False)
    assert stage.documents(5).results == [[0, 1, 2, 3, 4]]
    assert stage.groups(ENDS).results == [list(range(10))]
    assert len(seen) == 2
    assert stage.documents(0).results == stage.groups([]).results == []


def test_documents_that_fail_are_left_out_and_order_is_kept(tmp_path: Path) -> None:
    stage, seen = trier(lambda rows: bool(rows & {2, 11}))
    found = stage.documents(16)
    assert flat(found.results) == [row for row in range(16) if row not in (2, 11)]
    rows, causes = found.left_out()
    assert rows.tolist() == [2, 11]
    assert causes == ["ValueError: not 1"] * 2
    assert len(seen) < 16
    careful, _ = trier(lambda rows: bool(rows & {2, 11}), marker=Marker(tmp_path / "m"))
    again = careful.documents(16)
    assert flat(again.results) == flat(found.results)
    assert again.left_out()[1] == causes


@pytest.mark.parametrize("careful", [False, True])
def test_of_a_group_those_that_fail_alone_are_left_out_or_else_all(tmp_path: Path, careful: bool) -> None:
    marker = Marker(tmp_path / "m") if careful else None
    one, _ = trier(lambda rows: 6 in rows, marker=marker)
    found = one.groups(ENDS)
    assert flat(found.results) == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    assert found.left_out()[0].tolist() == [6]
    together, _ = trier(lambda rows: {5, 7} <= rows, marker=marker)
    found = together.groups(ENDS)
    assert flat(found.results) == [0, 1, 2, 3, 9]
    assert found.left_out()[0].tolist() == [4, 5, 6, 7, 8]
    both, _ = trier(lambda rows: 6 in rows or {5, 7} <= rows, marker=marker)
    assert both.groups(ENDS).left_out()[0].tolist() == [4, 5, 6, 7, 8]


def test_careful_attempts_note_what_they_hold_and_leave_out_what_is_known(tmp_path: Path) -> None:
    marks: list[tuple[int, int] | None] = []

    def apply(rows: Rows) -> int:
        marks.append(Marker.read(tmp_path / "m"))
        return len(rows)

    poison = {1: ("odd", "crash: it died"), PARTS + 4: ("odd", "timeout: late")}
    stage = Trier("odd", apply, poison, Marker(tmp_path / "m"))
    found = stage.groups(ENDS)
    assert marks == [
        *[(0, 0), (2, 0), (PARTS, 0), (3, 0), (PARTS + 3, 0)],
        *[(4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (PARTS + 9, 0)],
    ]
    assert found.results == [2, 1, 1]
    rows, causes = found.left_out()
    assert rows.tolist() == [1, 4, 5, 6, 7, 8]
    assert causes == ["crash: it died", *["timeout: late"] * 5]
    assert Marker.read(tmp_path / "m") == (PARTS + 10, -1)


def test_ordinals_go_on_where_rows_are_shown_in_parts() -> None:
    stage, _ = trier(lambda rows: False, poison={6: ("odd", "crash"), PARTS + 14: ("odd", "timeout")})
    assert stage.groups(ENDS).left_out()[0].tolist() == [6]
    stage.first = 10
    assert stage.groups(ENDS).left_out()[0].tolist() == [4, 5, 6, 7, 8]


def test_what_is_no_fault_of_the_input_passes_through() -> None:
    for error, of_input in (
        (MemoryError(), True),
        (RecursionError("deep"), True),
        (OverflowError("large"), True),
        (DataError("cut"), True),
        (OSError("Arrow: bad page"), True),
        (OSError(5, "Input/output error"), False),
        (ImportError("no lxml"), False),
        (IntegrityError("changed"), False),
    ):
        assert is_of_input(error) is of_input

        def apply(rows: Rows, error: Exception = error) -> int:
            if 1 in rows:
                raise error
            return len(rows)

        stage = Trier("odd", apply, {}, None)
        if of_input:
            assert stage.documents(4).left_out()[0].tolist() == [1]
        else:
            with pytest.raises(type(error)):
                stage.documents(4)
    stage, _ = trier(lambda rows: True)
    with pytest.raises(CorpusmillError, match="odd raised on each of the first 8 documents: ValueError"):
        stage.documents(100)
    stage, _ = trier(lambda rows: True)
    assert stage.groups(range(1, 6)).results == []  # those of all calls count
    with pytest.raises(CorpusmillError, match="odd raised on each of the first 8 groups of rows: ValueError"):
        stage.groups(range(1, 6))
    assert cause_of(ValueError("lone \ud800\nsecond line")) == "ValueError: lone \\ud800"
    assert cause_of(MemoryError()) == "MemoryError"


PLUGIN = '''
"""A reader and an exchange that raise or die on what its name or text asks them to."""

import os
import signal

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.contract.stage import Emitted, Regroup

_index, _read = Jsonl.index, Jsonl.read


def _trouble(word, where):
    if word.endswith(f"RAISE-{where}"):
        raise RecursionError("asked to")
    if word.endswith(f"DIE-{where}"):
        os.kill(os.getpid(), signal.SIGABRT)


def index(self, path):
    _trouble(path.stem, "index")
    return _index(self, path)


def read(self, path, name, split, label):
    _trouble(path.stem, "read")
    yield from _read(self, path, name, split, label)


Jsonl.index, Jsonl.read = index, read


class Together(Regroup):
    """Documents of one first letter together."""

    def emit(self, docs, unit, rows):
        texts = docs.text.to_pylist()
        for text in texts:
            _trouble(text, "emit")
        table = docs.table
        address = {"key": [ord(text[0]) << 56 for text in texts], "unit": [unit] * len(docs), "row": rows}
        for name, kind in (("key", pa.uint64()), ("unit", pa.uint32()), ("row", pa.uint32())):
            table = table.append_column(name, pa.array(address[name], kind))
        return Emitted(table)

    def reduce(self, rows):
        for text in rows.column("text").to_pylist():
            _trouble(text, "reduce")
        letters = rows.column("text").to_pylist()
        if any(text.endswith("PAIR-a") for text in letters) and any(t.endswith("PAIR-b") for t in letters):
            raise OverflowError("both")
        return Documents(rows)
'''


def _quarantined(run: Path) -> set[tuple[str, str]]:
    """(stage, cause or beginning of the text) of all that is quarantined."""
    found = set()
    for path in run.glob("steps/*/*/data/*removed.arrow"):
        for batch in read_batches(path):
            for row in batch.to_pylist():
                assert row["kind"] == "quarantined"
                found.add((row["stage"], row["excerpt"] or row["position"]))
    return found


def identities(run: Path) -> list[str]:
    """Ids of the documents that are quarantined while documents are brought together."""
    rows = [
        row
        for path in run.glob("steps/*/*/data/*removed.arrow")
        for batch in read_batches(path)
        for row in batch.to_pylist()
        if row["stage"] == "together"
    ]
    assert len(rows) == 6
    return [row["id"] for row in rows]


def test_every_step_goes_on_without_what_raises_or_kills_its_worker(tmp_path: Path, warm: Warm) -> None:
    (tmp_path / "odd.py").write_text(PLUGIN)
    texts = [f"{letter}{number}" for letter in "abc" for number in range(5)]
    odd = ["aRAISE-emit", "bDIE-emit", "aRAISE-reduce", "cDIE-reduce", "dPAIR-a", "dPAIR-b"]
    (tmp_path / "in").mkdir()
    for name in ("sound", "RAISE-index", "DIE-index", "RAISE-read", "DIE-read"):
        lines = [json.dumps({"text": text}) for text in [*texts, *(odd if name == "sound" else [])]]
        (tmp_path / "in" / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "recipe.yaml").write_text(
        "name: odd\nplugins: [odd.py]\nengine: {workers: 1}\noutput: out\n"
        "sources:\n  s: {read: {jsonl: in/*.jsonl}, steps: [together]}\n"
    )
    done = warm.call("run", tmp_path / "recipe.yaml", "--json")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert _quarantined(tmp_path / "out") == {
        *(("read", f"{name}.jsonl@0") for name in ("RAISE-index", "DIE-index", "RAISE-read", "DIE-read")),
        *(("together", text) for text in odd),
    }
    for identity in identities(tmp_path / "out"):
        (told,) = encode(explain(RunFolder(tmp_path / "out"), identity))["instances"]
        assert told["outcome"] == "quarantined"
        assert [event["verdict"] for event in told["events"]] == ["kept", "quarantined"]
        assert told["events"][-1]["stage"] == "together"
        assert told["origin"]["inputs"]
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    sampled = {row["excerpt"] for row in report["removed_samples"] if row["stage"] == "together"}
    assert sampled >= {"aRAISE-emit", "bDIE-emit"}
    held = report["ledger"]["sources"]["s"]
    assert report["ledger"]["faults"] == []
    assert held["documents_read"] == 15 + 6 + 4
    assert held["documents_left"] == 15
    assert held["documents_quarantined"] == 10
