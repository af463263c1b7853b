"""Steps of several levels: a fold combines in a tree, and a run that is stopped in one goes on in it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow as pa
import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.run.operators import fold_combine
from tests.pipelines.run.conftest import write_lines
from tests.pipelines.run.edited import run

PLUGIN = '''
import json

from corpusmill.pipelines.contract.stage import Fold
from corpusmill.pipelines.recipe.section import Section


class Bracketed(Fold):
    """How partial results were put together, as brackets, and the texts in order."""

    columns = ("id",)

    def map(self, batches):
        import pyarrow as pa

        ids = [identity for docs in batches for identity in docs.column("id").to_pylist()]
        return pa.table({"shape": ["x"], "ids": [ids]})

    def combine(self, parts):
        import pyarrow as pa

        shapes = [part.column("shape")[0].as_py() for part in parts]
        ids = [identity for part in parts for identity in part.column("ids")[0].as_py()]
        return pa.table({"shape": ["(" + "".join(shapes) + ")"], "ids": [ids]})

    def finish(self, part, folder):
        (row,) = part.to_pylist()
        (folder / "shape.json").write_text(json.dumps(row))
        return {"shape": row["shape"]}


class Shape(Section):
    """Fold the documents into a shape."""

    example = "{}"

    def stages(self):
        return [(None, Bracketed())]

    def graph(self, builder):
        builder.fold("shape", Bracketed())


SECTION = Shape
'''


def write_recipe(folder: Path, documents: int, split_bytes: int) -> Path:
    (folder / "shape.py").write_text(PLUGIN)
    write_lines(folder / "a.jsonl", documents, 1)
    path = folder / "recipe.yaml"
    path.write_text(
        "name: tree\nplugins: [shape.py]\nengine: {kind: inline}\nsources:\n"
        f"  a: {{read: {{jsonl: {{files: a.jsonl, split_bytes: {split_bytes}}}}}}}\n"
        "shape: {}\noutput: run\n"
    )
    return path


def shape_of(record: RunRecord) -> tuple[str, list[str]]:
    row = json.loads(record.steps["shape"].data.file("shape.json").read_text())
    return row["shape"], row["ids"]


def combined(record: RunRecord) -> list[str]:
    return [file.name for unit in record.steps["shape.combine"].units for file in unit.files]


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two or three partial results are combined at a time."""
    monkeypatch.setattr(fold_combine, "FAN_IN", 2)


def test_a_fold_combines_in_a_tree_to_its_root(tmp_path: Path, pairs: None) -> None:
    record = run(write_recipe(tmp_path, 3000, 65_536))
    parts = len(record.steps["shape.partials"].units)
    assert parts > 4
    shape, ids = shape_of(record)
    open_brackets: list[int] = []  # what each has in it
    sizes: list[int] = []
    deep = 0
    for mark in shape:
        if mark == ")":
            sizes.append(open_brackets.pop())
        elif open_brackets:
            open_brackets[-1] += 1
        if mark == "(":
            open_brackets.append(0)
            deep = max(deep, len(open_brackets))
    assert set(sizes) <= {1, 2, 3}
    assert sizes.count(1) < deep <= math.ceil(math.log2(parts))  # the last of a level
    assert shape.count("x") == parts
    assert combined(record) == [f"{number:05d}.partial.arrow" for number in range(len(sizes))]
    folder = tmp_path / "one"
    folder.mkdir()
    whole = run(write_recipe(folder, 3000, 2**30))
    assert shape_of(whole) == ("(x)", ids)


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_run_that_is_stopped_within_a_level_goes_on_there(
    tmp_path: Path, pairs: None, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    path = write_recipe(tmp_path, 3000, 65_536)
    real = fold_combine.write_partial
    written: list[str] = []
    most = after

    def write(to: Path, table: pa.Table) -> None:
        if len(written) == most:
            raise UserError("stopped")
        real(to, table)
        written.append(to.name)

    monkeypatch.setattr(fold_combine, "write_partial", write)
    with pytest.raises(UserError, match="stopped"):
        run(path)
    assert len(written) == after
    most = 10**6
    record = run(path)
    assert sorted(written) == combined(record)  # each once
    assert len(shape_of(record)[1]) == 3000


def test_a_lost_unit_of_a_first_level_is_made_again_where_later_levels_are_there(
    tmp_path: Path, pairs: None
) -> None:
    path = write_recipe(tmp_path, 3000, 65_536)
    step = run(path).steps["shape.combine"].data
    before = step.manifest_path.read_bytes()
    (step.data / "00000.partial.arrow").unlink()
    step.manifest_path.unlink()
    again = run(path)
    assert {found.state for found in again.steps.values()} == {"complete"}
    assert step.manifest_path.read_bytes() == before
