"""`graph.json`: the steps of a run's recipe, found by what they give; damage to it is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.contract.given import DRAWN, ENCODED, HELD_OUT, MIXTURE, MODEL, SHARDS, TOKENIZER
from corpusmill.pipelines.inspection.doctor import doctor
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.storage.graph_file import read_graph, step_giving
from corpusmill.pipelines.storage.run_folder import RunFolder

GIVEN = {
    HELD_OUT: "held_out.families",
    TOKENIZER: "tokenizer",
    ENCODED: "encode",
    MIXTURE: "mixture",
    DRAWN: "pack.scatter",
    SHARDS: "pack",
}


def test_it_names_every_step_of_the_run_in_order(run: RunFolder) -> None:
    names = [step.name for step in read_graph(run).steps]
    assert len(set(names)) == len(names)
    record = load_record(run)
    assert list(record.steps) == names
    assert [record.steps[step.name].operator.name for step in read_graph(run).steps] == [
        step.operator for step in read_graph(run).steps
    ]


def test_steps_are_found_by_what_they_give(run: RunFolder) -> None:
    record = load_record(run)
    for word, name in GIVEN.items():
        folder = step_giving(run, word)
        assert folder is not None
        assert folder.path.parent.name == name
        assert [step.name for step in record.giving(word)] == [name]
    assert step_giving(run, MODEL) is None
    assert record.finished_giving(MODEL) is None


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_damage_to_it_is_found(copy_of: Callable[[], RunFolder], damage: str) -> None:
    copy = copy_of()
    path = copy.path / "graph.json"
    if damage == "missing":
        path.unlink()
    else:
        path.write_text(path.read_text("utf-8").replace("encode", "decode"), "utf-8")
    with pytest.raises(IntegrityError, match=r"graph\.json"):
        load_record(copy)
    wrong = [check for check in doctor(copy).checks if not check.ok]
    assert any("graph.json" in check.name + check.detail for check in wrong), wrong
