"""MinHash whose removals are decided in rounds: masks equal those of one partition, byte for byte."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest

from corpusmill.pipelines.contract.errors import CorpusmillError, UserError
from corpusmill.pipelines.contract.resolution import Resolution
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.records.receipt import PairsPart
from corpusmill.pipelines.run.operators import layout, resolve_by_rule, scatter
from corpusmill.pipelines.run.resolution.notes import Homes, Outcome
from tests.pipelines.run.edited import rows_of, run, write_recipe

PLUGIN = '''
from corpusmill.dedup.minhash import Minhash


class Picky(Minhash):
    """Raises on some buckets, whose documents others have pairs with."""

    def reduce(self, rows):
        for key, row in zip(rows.column("key").to_pylist(), rows.column("row").to_pylist()):
            if row % 40 == 7 and key % 4 == 0:
                raise OverflowError("asked to")
        return super().reduce(rows)


class Odd(Minhash):
    """Names no rule that there is."""

    def resolution(self):
        return "direct"
'''


def near_duplicates(families: int, copies: int) -> list[str]:
    """Families of texts of which each changes a few words of the one before, and copies of some."""
    draw = random.Random(11)
    texts = []
    for _ in range(families):
        words = [f"w{draw.randrange(10**6)}" for _ in range(60)]
        for _ in range(copies):
            if draw.random() < 0.7:
                words[draw.randrange(60)] = f"w{draw.randrange(10**6)}"
            texts.append(" ".join(words))
    draw.shuffle(texts)
    return texts


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return near_duplicates(30, 12)


def recipe(folder: Path, texts: list[str], dedup: str) -> Path:
    path = write_recipe(folder, [texts[:200], texts[200:]], dedup, reader=", split_bytes: 65536")
    (folder / "picky.py").write_text(PLUGIN)
    path.write_text(path.read_text().replace("plugins: [", "plugins: [picky.py, "))
    return path


def mask_of(record: RunRecord, name: str) -> list[str]:
    """What is removed; units that merge what was found come before."""
    return [file.sha256 for file in record.steps[f"dedup.{name}"].data.units.files("removed.arrow")]


def undecided(record: RunRecord, name: str) -> list[int | None]:
    units = record.steps[f"dedup.{name}.resolve"].data.units
    return [unit.need(PairsPart).undecided for unit in units]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("minhash", "{threshold: 0.7, bands: 30, rows: 4}"),
        ("minhash", "{verify: false, bands: 30, rows: 4}"),
        ("picky", "{threshold: 0.7, bands: 30, rows: 4}"),
    ],
)
def test_masks_are_those_of_one_partition(
    tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch, name: str, options: str
) -> None:
    monkeypatch.setattr(scatter, "PARTITION_BYTES", 20_000)
    dedup = f"{{{name}: {options}}}"
    path = recipe(tmp_path, texts, dedup)  # one, since causes name the plugin's file
    whole = run(path, f"output={tmp_path / 'whole'}")
    assert undecided(whole, name) == [None]
    step = whole.steps[f"dedup.{name}.resolve"]
    pairs = step.data.units[0].need(PairsPart).pairs
    assert pairs is not None
    assert pairs > 300
    assert step.rows > 100
    monkeypatch.setattr(resolve_by_rule, "PARTITION_PAIRS", 100)
    monkeypatch.setattr(layout, "FAN", 2)
    rounds = run(path, f"output={tmp_path / 'rounds'}")
    units = rounds.steps[f"dedup.{name}.resolve"].data.units
    assert len(units) > 20
    assert sum(unit.need(PairsPart).pairs or 0 for unit in units) == pairs
    assert rounds.steps[f"dedup.{name}.resolve"].rows == step.rows
    assert mask_of(rounds, name) == mask_of(whole, name) != []
    assert rows_of(rounds) == rows_of(whole)


def test_a_rule_that_is_none_is_told(tmp_path: Path, texts: list[str]) -> None:
    path = recipe(tmp_path, texts[:3], "odd")
    with pytest.raises(
        CorpusmillError, match="stage odd: `resolution` must give a Resolution or None, not str"
    ):
        run(path)


@pytest.mark.parametrize(("verify", "after"), [("true", 7), ("false", 13)])
def test_a_run_that_is_stopped_between_rounds_goes_on(
    tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch, verify: str, after: int
) -> None:
    """Stopped after so many units of rounds: these are not done again."""
    threshold = ", threshold: 0.7" if verify == "true" else ""
    dedup = f"{{minhash: {{verify: {verify}{threshold}, bands: 30, rows: 4}}}}"
    wanted = rows_of(run(recipe(tmp_path / "whole", texts, dedup)))
    monkeypatch.setattr(resolve_by_rule, "PARTITION_PAIRS", 100)
    path = recipe(tmp_path / "rounds", texts, dedup)
    real, done, most = resolve_by_rule.round_of, [0], after

    def counted(rule: Resolution, state: pa.Table, notes: pa.Table, homes: Homes) -> Outcome:
        if done[0] == most:
            raise UserError("stopped")
        done[0] += 1
        return real(rule, state, notes, homes)

    monkeypatch.setattr(resolve_by_rule, "round_of", counted)
    with pytest.raises(UserError, match="stopped"):
        run(path)
    most = 10**6
    record = run(path)
    assert rows_of(record) == wanted
    once = done[0]
    run(recipe(tmp_path / "again", texts, dedup))
    assert done[0] - once == once > after  # each unit of a round was done once
