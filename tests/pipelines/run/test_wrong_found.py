"""What an exchange must not find: each is told with the stage, the cause and the cure, and none is let by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import UnitFailed
from tests.pipelines.run.edited import rows_of, run

PLUGIN = """
from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.contract.stage import Deduplicate, Emitted, Exchange, Found

class Spans(Exchange):
    def emit(self, docs, unit, rows):
        import pyarrow as pa

        columns = {"key": range(len(docs)), "unit": [unit] * len(docs), "row": rows}
        kinds = {"key": pa.uint64(), "unit": pa.uint32(), "row": pa.uint32()}
        table = pa.table({name: pa.array(values, kinds[name]) for name, values in columns.items()})
        table = table.append_column("id", docs.column("id")).append_column("source", docs.column("source"))
        return Emitted(table.append_column("bytes", pa.array(docs.sizes())))

    def rounds(self):
        return (self.look,)

    def look(self, rows):
        import pyarrow as pa

        def edits(**changed):
            columns = {"unit": rows["unit"], "row": rows["row"], "start": 0, "end": 1, "reason": "some"}
            columns |= changed
            count = range(len(rows))
            return pa.table({
                name: value if isinstance(value, pa.ChunkedArray) else pa.array([value for _ in count])
                for name, value in columns.items() if value is not None
            })

        def removals(**changed):
            row = rows.slice(0, 1).to_pylist()[0] | {"reason": "some", "similarity": 1.0}
            row |= {f"survivor_{name}": row[name] for name in ("unit", "row", "id", "source", "bytes")}
            return pa.Table.from_pylist([row | changed], DUPLICATES)

        return FOUND
"""
ADDRESS = "give `unit` and `row` as `emit` had them"


def recipe(folder: Path, found: str) -> Path:
    (folder / "spans.py").write_text(PLUGIN.replace("FOUND", found), "utf-8")
    lines = [json.dumps({"text": f"text {number}"}) + "\n" for number in range(10)]
    (folder / "a.jsonl").write_text("".join(lines), "utf-8")
    path = folder / "recipe.yaml"
    head = "name: found\noutput: run\nplugins: [spans.py]\nengine: {kind: inline, retries: 0}\n"
    path.write_text(f"{head}sources: {{web: {{read: {{jsonl: a.jsonl}}}}}}\ndedup: [spans]\n", "utf-8")
    return path


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("Found(edits=edits(unit=1))", f"edits of Found have a unit 1, .* `emit` saw are 0 to 0; {ADDRESS}"),
        ("Found(edits=edits(unit=2**32 - 1))", "edits of Found have a unit 4294967295"),
        ("Found(removals=removals(unit=64))", f"removals of Found have a unit 64, .*; {ADDRESS}"),
        ("Found(removals=removals(row=10))", f"at row 10 of unit 0, which has 10 rows; {ADDRESS}"),
        ("Found(removals=removals(id='A' * 32))", "'A{32}' as 'id', which is no id of 32 hexadecimal digits"),
        ("Found(removals=removals(survivor_id=''))", "'' as 'survivor_id', which is no id"),
        ("Found(edits=edits(survivor_id='a'))", "'a' as 'survivor_id', which is no id"),
        ("Found(edits=edits(end=None))", "edits of Found lack 'end' of unit, row, start, .*; add it"),
        ("Found(removals=edits())", "removals of Found lack 'id' of unit, row"),
        ("Found(edits=[1])", "edits of Found must be a pyarrow Table or None, not list"),
        ("Found(edits=edits().to_batches()[0])", "must be a pyarrow Table or None, not RecordBatch"),
        (
            "Found(edits=edits(end=pa.chunked_array([[2**64 - 1] * len(rows)], pa.uint64())))",
            "cuts bytes 0 to 18446744073709551615 of document",
        ),
        ("Found(edits=edits(start=2))", "cuts bytes 2 to 1 of document .*; `start` is at most `end`"),
        ("Found(edits=edits(end=7))", "cuts bytes 0 to 7 of document .*, which has 6; .* as `emit` saw it"),
    ],
)
def test_it_is_told(tmp_path: Path, found: str, said: str) -> None:
    with pytest.raises(UnitFailed, match=said):
        run(recipe(tmp_path, found))


def test_what_is_right_is_taken(tmp_path: Path) -> None:
    record = run(recipe(tmp_path, "Found(removals(), edits())"))
    assert [text for _, text in rows_of(record)] == [f"ext {number}" for number in range(1, 10)]


RESOLVED = """
class Chosen(Spans, Deduplicate):
    def rounds(self):
        return Deduplicate.rounds(self)

    def reduce(self, rows):
        self.look(rows)
        return self.look(rows).removals

    def resolve(self, found):
        return WRONG
"""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("None if len(found) else found", "leaves"),
        ("found.drop_columns(['id'])", "stage chosen: the removals of Found lack 'id'"),
        ("found.to_pydict()", "must be a pyarrow Table or None, not dict"),
        ("found.set_column(0, 'unit', [[64] * len(found)])", "have a unit 64, "),
        (
            "found.set_column(0, 'unit', [[3] * len(found)])",
            "removes documents of unit 3, .* are 1; give",
        ),
    ],
)
def test_what_is_chosen_of_all_pairs(tmp_path: Path, wrong: str, said: str) -> None:
    path = recipe(tmp_path, "Found(removals())")
    with (tmp_path / "spans.py").open("a", encoding="utf-8") as file:
        file.write(RESOLVED.replace("WRONG", wrong))
    path.write_text(path.read_text("utf-8").replace("dedup: [spans]", "dedup: [chosen]"), "utf-8")
    if said == "leaves":  # None: nothing is removed
        assert len(rows_of(run(path))) == 10
        return
    with pytest.raises(UnitFailed, match=said):
        run(path)
