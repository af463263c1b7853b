"""Exchanges of several rounds: connected documents equal an oracle; what cannot be judged is left out."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import UnitFailed
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.inspection.trails import mask_events
from corpusmill.pipelines.storage.checked_ipc import read_batches
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.oracles.dedup_connected import survivors
from tests.pipelines.run.edited import rows_of, run, write_recipe
from tests.warm import Warm

lines = st.lists(st.sampled_from("abcdefg "), min_size=1, max_size=2).map("\n".join)
corpora = st.lists(st.lists(lines, min_size=1, max_size=3), min_size=1, max_size=2)


@settings(max_examples=12, phases=[Phase.explicit, Phase.generate])  # each is a run; none is made smaller
@given(corpora)
def test_connected_documents_equal_the_oracle(corpus: list[list[str]]) -> None:
    """Of at most six documents none is further than five spreads from the best."""
    with tempfile.TemporaryDirectory() as folder:
        record = run(write_recipe(Path(folder), corpus, "{connected: {spreads: 5}}"))
        written = rows_of(record, masked=False)
        best = survivors(written)
        assert rows_of(record) == [row for place, row in enumerate(written) if best[place] == place]
        addresses = [(unit, row) for unit, texts in enumerate(corpus) for row in range(len(texts))]
        for place, (unit, row) in enumerate(addresses):
            event = mask_events(record, unit, row)[-1]
            assert event.survivor_id == (None if best[place] == place else written[best[place]][0])


def test_each_round_is_a_step_that_runs_again_alone(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, [["a\nb", "b\nc", "c\nd", "x"]], "connected")
    record = run(path)
    names = [name for name in record.steps if name.startswith("dedup")]
    assert names == [
        "dedup.connected.scatter",
        "dedup.connected.round-1",
        "dedup.connected.round-2",
        "dedup.connected.round-3",
        "dedup.connected.gather",
        "dedup.connected",
    ]
    assert record.steps["dedup.connected.round-1"].rows == 14
    assert [text for _, text in rows_of(record)][-1] == "x"


PLUGIN = '''
"""Three rounds that pass rows on by key after key, and raise or die where a text asks them to."""

import os
import signal

import pyarrow as pa
from xxhash import xxh3_64_intdigest

from corpusmill.pipelines.contract.addresses import EDITS
from corpusmill.pipelines.contract.stage import Emitted, Exchange, Found


def keyed(rows, number):
    for row in rows:
        if row["text"].endswith(f"RAISE-{number}"):
            raise OverflowError
        if row["text"].endswith(f"DIE-{number}"):
            os.kill(os.getpid(), signal.SIGSEGV)
        row["key"] = xxh3_64_intdigest(row["text"].encode(), seed=number)
    columns = {"key": "uint64", "unit": "uint32", "row": "uint32", "text": "string", "id": "string"}
    return pa.Table.from_pylist(rows, pa.schema(columns))


class Passing(Exchange):
    """The first two bytes of a text that stands before go."""

    def emit(self, docs, unit, rows):
        texts, ids = docs.text.to_pylist(), docs.column("id").to_pylist()
        found = [dict(unit=unit, row=row, text=text, id=i) for row, text, i in zip(rows.tolist(), texts, ids)]
        return Emitted(keyed(found, 0))

    def rounds(self):
        return (
            lambda rows: keyed(rows.to_pylist(), 1),
            lambda rows: keyed(rows.to_pylist(), 2),
            self.last,
        )

    def last(self, rows):
        rows = keyed(rows.to_pylist(), 3).to_pylist()
        first, edits = {}, []
        for row in sorted(rows, key=lambda row: (row["id"], row["unit"], row["row"])):
            kept = first.setdefault(row["text"], row)
            span = {"unit": row["unit"], "row": row["row"], "start": 0, "end": 2, "reason": "again"}
            kept = {f"survivor_{name}": kept[name] for name in ("unit", "row", "id")}
            edits += [{**span, **kept}] if first[row["text"]] is not row else []
        return Found(edits=pa.Table.from_pylist(edits, EDITS))
'''


def test_what_a_round_raises_on_or_dies_of_is_left_out_of_those_after_it(tmp_path: Path, warm: Warm) -> None:
    texts = [f"{letter}-page {letter}" for letter in "abcdefghijkl"]
    odd = [f"{what}-{number}" for number in range(4) for what in ("RAISE", "DIE")]
    path = write_recipe(tmp_path, [[*texts, *odd], texts], "passing")
    (tmp_path / "passing.py").write_text(PLUGIN)
    plain = (
        path.read_text().replace("plugins: [", "plugins: [passing.py, ").replace("kind: inline", "workers: 1")
    )
    path.write_text(plain)
    done = warm.call("run", path, "--json")
    assert done.returncode == 0, done.stderr
    record = load_record(RunFolder(tmp_path / "run"))
    assert sorted(text for _, text in rows_of(record)) == sorted([*texts, *(text[2:] for text in texts)])
    rows = [
        row
        for name in record.steps
        for path in record.steps[name].data.data.glob("*removed.arrow")
        for batch in read_batches(path)
        for row in batch.to_pylist()
    ]
    written = dict(rows_of(record, masked=False))
    assert sorted((written[row["id"]], row["reason"], row["kind"], row["stage"]) for row in rows) == sorted(
        (text, "OverflowError" if "RAISE" in text else "crash", "quarantined", "passing") for text in odd
    )
    report = json.loads((tmp_path / "run" / "report" / "report.json").read_text())
    assert report["ledger"]["faults"] == []
    cut = [row["cut"] for rows in report["funnel"].values() for row in rows if row["cut"]]
    assert sum(reason["bytes"] for reasons in cut for reason in reasons) == 2 * len(texts)


@pytest.mark.parametrize(
    ("name", "gives", "said"),
    [
        ("odd", "rows", "stage odd: its last round, 2, must give Found; it gave Table"),
        (
            "even",
            "Found()",
            "stage even: round 1 of 2 must give a table of rows with `key`, `unit` and `row`",
        ),
    ],
)
def test_a_round_that_gives_the_wrong_thing_is_told_what_is_right(
    tmp_path: Path, name: str, gives: str, said: str
) -> None:
    path = write_recipe(tmp_path, [["a", "b"]], name)
    (tmp_path / f"{name}.py").write_text(
        "import pyarrow as pa\n"
        "from corpusmill.pipelines.contract.stage import Emitted, Exchange, Found\n"
        f"class {name.capitalize()}(Exchange):\n"
        "    def emit(self, docs, unit, rows):\n"
        "        return Emitted(pa.table({'key': pa.array([0] * len(rows), pa.uint64()), 'row': rows,"
        " 'unit': pa.array([unit] * len(rows), pa.uint32())}))\n"
        "    def rounds(self):\n"
        f"        return [lambda rows: {gives}] * 2\n"
    )
    path.write_text(path.read_text().replace("plugins: [", f"plugins: [{name}.py, "))
    with pytest.raises(UnitFailed, match=re.escape(said)):
        run(path)
