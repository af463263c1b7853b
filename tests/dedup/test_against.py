"""Month by month against earlier runs: the removals are those of one run over all months, in that order."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.inspection.story_rendering import render_story
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.records.receipt import PartitionsPart
from corpusmill.pipelines.run.operators import layout, meeting, partitions, read, resolve_by_rule, scatter
from corpusmill.pipelines.run.runner import RunResult, run_recipe
from corpusmill.pipelines.storage.checked_ipc import read_batches
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from tests.dedup.test_windows import show_in_windows
from tests.pipelines.run.test_increments import current_files, redone

STEPS = ["exact", {"minhash": {"max_bucket": 3, "bands": 20, "rows": 2, "threshold": 0.6}}]


def write_months(folder: Path, months: int, seed: int, documents: int = 24) -> list[str]:
    """Months of short texts that are near one another, with copies, within a month and across; the names."""
    draw = random.Random(seed)
    ancestors = [[f"w{draw.randrange(50)}" for _ in range(16)] for _ in range(5)]
    written: list[str] = []
    names = [f"m{month:02d}" for month in range(months)]
    for name in names:
        texts = []
        for _ in range(documents):
            words = list(draw.choice(ancestors))
            for _ in range(draw.choice((0, 1, 1, 2, 2, 3))):
                words[draw.randrange(len(words))] = f"w{draw.randrange(50)}"
            again = draw.choice(written).replace(" ", "  ", 1) if written and draw.random() < 0.3 else None
            texts.append(
                draw.choice(written) if written and draw.random() < 0.1 else again or " ".join(words)
            )
            written.append(texts[-1])
        (folder / name).mkdir(parents=True)
        for part in range(3):
            lines = [
                json.dumps(
                    {
                        "id": f"{name}-{number}",
                        "text": text,
                        "url": f"http://a.example/{number + 9 * int(name[1:])}",
                        "repo": f"o/r{number % 4}",
                        "path": f"{number}.py",
                        "license": ("mit", "gpl-3.0")[number % 2],
                    }
                )
                for number, text in enumerate(texts)
                if number % 3 == part
            ]
            (folder / name / f"{part}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return names


def write_recipe(folder: Path, name: str, sources: list[str], dedup: Any) -> Path:
    path = folder / f"{name}.yaml"
    read = {
        source: {"read": {"jsonl": {"files": [f"{source}/*.jsonl"], "split_bytes": 65536}}}
        for source in sources
    }
    recipe = {"name": name, "engine": {"kind": "inline"}, "sources": read, "dedup": dedup}
    path.write_text(json.dumps(recipe, indent=1), "utf-8")
    return path


def prioritised(steps: list[Any], sources: list[str]) -> list[Any]:
    """The steps with `priority`: the sources in their order."""
    found = [next(iter(step.items())) if isinstance(step, dict) else (step, {}) for step in steps]
    return [{name: {**options, "priority": sources}} for name, options in found]


def run(path: Path, *overrides: str, until: list[str] | None = None) -> RunResult:
    return run_recipe(load_recipe(path, list(overrides), inputs=True), until=until)


def run_months(folder: Path, names: list[str], steps: list[Any]) -> list[RunResult]:
    """A run a month, each against all before it."""
    done = []
    for at, name in enumerate(names):
        dedup = {"against": [f"runs/r{other}" for other in names[:at]], "remember": True, "steps": steps}
        done.append(run(write_recipe(folder, f"r{name}", [name], dedup)))
    return done


Removal = tuple[str, str, str, float]


def folder_of(result: RunResult, step: str) -> StepFolder:
    state = next(state for state in result.steps if state.step.name == step)
    assert state.folder is not None
    return state.folder


def removed_rows(result: RunResult, step: str) -> list[dict[str, Any]]:
    folder = folder_of(result, step)
    files = [folder.file(file.name) for file in folder.units.files("removed.arrow")]
    return [row for file in files for batch in read_batches(file) for row in batch.to_pylist()]


def removals_of(result: RunResult, step: str) -> dict[str, Removal]:
    """Of each document removed the reason, the survivor, its source and the similarity."""
    return {
        row["id"]: (
            row["reason"],
            row["survivor_id"],
            row["survivor_source"].rsplit("/", 1)[-1],
            row["similarity"],
        )
        for row in removed_rows(result, step)
    }


def check_law(folder: Path, names: list[str], steps: list[Any] = STEPS) -> list[RunResult]:
    whole = run(write_recipe(folder, "whole", names, prioritised(steps, names)))
    months = run_months(folder, names, steps)
    for step in (f"dedup.{next(iter(one)) if isinstance(one, dict) else one}" for one in steps):
        wanted = removals_of(whole, step)
        found: dict[str, Removal] = {}
        for month in months:
            found |= removals_of(month, step)
        assert found == wanted
        assert wanted
    return months


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda file: None)


@pytest.mark.parametrize(("months", "documents", "seed"), [(12, 10, 0), (4, 24, 1), (4, 24, 2)])
def test_months_give_the_removals_of_one_run_over_all_in_that_order(
    tmp_path: Path, months: int, documents: int, seed: int
) -> None:
    names = write_months(tmp_path, months, seed, documents)
    done = check_law(tmp_path, names)
    for name, month in zip(names, done, strict=True):
        for step in ("dedup.exact", "dedup.minhash"):
            entries = folder_of(month, step).need_manifest().ledger
            assert {entry.source for entry in entries} == {name}, "of its own documents alone"
    told = {row["survivor_source"] for row in removed_rows(done[-1], "dedup.minhash")}
    assert any(source.startswith("rm0") for source in told), "an earlier run is named"


def test_other_stages_that_remember_keep_the_law(tmp_path: Path) -> None:
    check_law(tmp_path, write_months(tmp_path, 4, 9, 16), [{"url": {"keep": "first"}}, "source_file"])


def test_copies_in_windows_keep_the_law(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of each month are copies of one document, more than are shown at once."""
    names = [f"m{month:02d}" for month in range(2)]
    for name in names:
        (tmp_path / name).mkdir()
        texts = [f"own {name}" if number % 9 == 0 else "a copy of one" for number in range(150)]
        lines = [json.dumps({"id": f"{name}-{number}", "text": text}) for number, text in enumerate(texts)]
        (tmp_path / name / "0.jsonl").write_text("\n".join(lines) + "\n")
    show_in_windows(monkeypatch)
    shown: list[int] = []

    def counted(*given: Any) -> Iterator[pa.Table]:
        for rows in partitions.read_windows(*given):
            shown.append(rows.num_rows)
            yield rows

    monkeypatch.setattr(meeting, "read_windows", counted)
    months = check_law(tmp_path, names, ["exact"])
    assert len(removals_of(months[1], "dedup.exact")) == 149
    assert len(shown) > 12
    assert max(shown) < 100


def test_sources_of_a_month_have_the_order_of_its_own_priority(tmp_path: Path) -> None:
    names = write_months(tmp_path, 6, 11, 16)
    months = [names[0:2], names[2:4], names[4:6]]
    favoured = [source for month in months for source in reversed(month)]
    whole = run(write_recipe(tmp_path, "whole", names, prioritised(STEPS, favoured)))
    found: dict[str, Removal] = {}
    for at, month in enumerate(months):
        against = [f"runs/r{other}" for other in range(at)]
        steps = prioritised(STEPS, month[::-1])
        dedup = {"against": against, "remember": True, "steps": steps}
        found |= removals_of(run(write_recipe(tmp_path, f"r{at}", month, dedup)), "dedup.minhash")
    assert found == removals_of(whole, "dedup.minhash") != {}


def test_levels_partitions_and_rounds_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that take the rows of several units, some of them of earlier runs."""
    names = write_months(tmp_path, 3, 5)
    monkeypatch.setattr(read, "_SPLITS_PER_UNIT", 1)
    monkeypatch.setattr(layout, "FAN", 2)
    monkeypatch.setattr(layout, "UNITS_PER_GROUP", 2)
    monkeypatch.setattr(scatter, "PARTITION_BYTES", 1024)
    monkeypatch.setattr(resolve_by_rule, "PARTITION_PAIRS", 2)
    last = check_law(tmp_path, names)[-1]
    sent = folder_of(last, "dedup.minhash.scatter").units.first_part(PartitionsPart).layout
    assert (sent.units, sent.group) == (9, 4), "a file holds units of this month and of the one before"
    assert len(sent.files) > 1
    assert len(folder_of(last, "dedup.minhash.resolve").units) > 3
    assert len(folder_of(last, "dedup.minhash.known").units) == 3


def test_one_more_file_costs_its_own_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "_SPLITS_PER_UNIT", 1)
    names = write_months(tmp_path, 3, 3)
    run_months(tmp_path, names, STEPS)
    (tmp_path / names[-1] / "1a.jsonl").write_text(json.dumps({"id": "new", "text": "w1 " * 9}) + "\n")
    recipe = tmp_path / f"r{names[-1]}.yaml"
    again = run(recipe)
    run(recipe, "output=fresh")
    for step in ("dedup.exact.scatter", "dedup.exact.known", "dedup.minhash.scatter", "dedup.minhash.known"):
        done, adopted, total = redone(again, step)
        assert (done, adopted) == (1, total - 1), step
    assert current_files(tmp_path / "runs" / f"r{names[-1]}") == current_files(tmp_path / "fresh")


def test_worker_processes_give_the_same_bytes(tmp_path: Path) -> None:
    names = write_months(tmp_path, 2, 4)
    run_months(tmp_path, names, STEPS)
    run(tmp_path / "rm01.yaml", "engine.kind=process", "engine.workers=2", "output=other")
    assert current_files(tmp_path / "runs" / "rm01") == current_files(tmp_path / "other")


def test_a_survivor_of_an_earlier_run_is_told(tmp_path: Path) -> None:
    _, last = run_months(tmp_path, write_months(tmp_path, 2, 1), STEPS)
    rows = [row for row in removed_rows(last, "dedup.minhash") if row["survivor_source"] == "rm00/m00"]
    story = render_story(explain(RunFolder(tmp_path / "runs" / "rm01"), rows[0]["id"]))
    assert f"in favour of {rows[0]['survivor_id']} of the earlier run rm00" in story


def two_months(folder: Path, second: dict[str, Any], first: Any = None) -> None:
    """The first month with `remember`, unless `first` is its section, then one against it."""
    names = write_months(folder, 2, 6, 6)
    run(write_recipe(folder, "rm00", names[:1], first or {"remember": True, "steps": ["exact"]}))
    run(write_recipe(folder, "rm01", names[1:], {"against": ["runs/rm00"], **second}))


def test_other_options_are_told_with_both_values(tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match=r"rm00 was made with `dedup.exact.normalize`: 'none'.*'whites"):
        two_months(tmp_path, {"steps": [{"exact": {"normalize": "whitespace"}}]})


def test_the_values_of_a_preset_written_out_are_the_same_options(tmp_path: Path) -> None:
    written = {
        "shingle": "word",
        "width": 5,
        "bands": 20,
        "rows": 6,
        "threshold": 0.8,
        "verify": True,
        "seed": 1,
    }
    remembered = {"remember": True, "steps": ["minhash"]}
    two_months(tmp_path, {"steps": [{"minhash": written}]}, remembered)
    fineweb = {"preset": "fineweb", "verify": True}
    for other, told in (({"bands": 9}, r"bands`: 20.*is 9"), (fineweb, r"bands`: 20.*is 14")):
        with pytest.raises(CorpusmillError, match=rf"rm00 was made with `dedup.minhash.{told}"):
            run(tmp_path / "rm01.yaml", f"dedup.steps={json.dumps([{'minhash': other}])}")


def test_an_earlier_run_must_remember(tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match=r"rm01.yaml:\d+:\d+: dedup.against.0: .*add `remember: true`"):
        two_months(tmp_path, {"steps": ["exact"]}, ["exact"])


def test_an_earlier_run_must_have_the_stage(tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match=r"has not finished `dedup.minhash`"):
        two_months(tmp_path, {"steps": ["minhash"]})


def test_an_earlier_run_that_failed_is_told_to_finish(tmp_path: Path) -> None:
    """It knew all documents and has a tokenizer to train, so it stopped before it came to remember them."""
    two_months(tmp_path, {"remember": True, "steps": ["exact"]})
    for file in (tmp_path / "m01").iterdir():
        shutil.copyfile(tmp_path / "m00" / file.name, file)
    with pytest.raises(CorpusmillError, match="nothing is new"):
        run(tmp_path / "rm01.yaml", "output=failed", "tokenizer={train: {vocab_size: 300}}")
    again = 'dedup.against=["runs/rm00", "failed"]'
    with pytest.raises(CorpusmillError, match=r"failed has not finished `dedup.exact`; run its recipe"):
        run(tmp_path / "rm00.yaml", "name=third", "output=third", "dedup={steps: [exact]}", again)


def test_an_earlier_run_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "runs" / "empty").mkdir(parents=True)
    with pytest.raises(CorpusmillError, match="empty is not the folder of a run"):
        two_months(tmp_path, {"against": ["runs/empty"], "steps": ["exact"]})
    recipe = tmp_path / "rm01.yaml"
    with pytest.raises(CorpusmillError, match=r"there is no earlier run .*gone; correct the path"):
        run(recipe, 'dedup.against=["runs/gone"]')
    with pytest.raises(CorpusmillError, match=r"no run matches .*/x"):
        run(recipe, 'dedup.against=["runs/x*"]')
    with pytest.raises(CorpusmillError, match=r"rm00 is listed twice; take one of the two out"):
        run(recipe, 'dedup.against=["runs/rm00", "runs/rm0[0]"]')
    (tmp_path / "latest").symlink_to(tmp_path / "runs" / "rm00")
    with pytest.raises(CorpusmillError, match=r"latest is listed twice, also as .*rm00;"):
        run(recipe, 'dedup.against=["runs/rm00", "latest"]')
    run(tmp_path / "rm00.yaml", "output=copy")
    with pytest.raises(CorpusmillError, match=r"two of the runs are of recipes called `rm00`"):
        run(recipe, 'dedup.against=["runs/rm00", "copy"]')
    with pytest.raises(CorpusmillError, match="called `rm00`, as this one is"):
        run(tmp_path / "rm00.yaml", 'dedup.against=["runs/rm00"]', "output=other")
    before = (tmp_path / "runs" / "rm00" / "current.json").read_bytes()
    with pytest.raises(CorpusmillError, match=r"rm00 is the folder of this run itself.* an `output`"):
        run(recipe, 'dedup.against=["runs/rm00"]', "output=runs/rm00")
    assert (tmp_path / "runs" / "rm00" / "current.json").read_bytes() == before
    with pytest.raises(CorpusmillError, match=r"no run matches .*/x"):
        run_recipe(load_recipe(recipe, ['dedup.against=["runs/x*"]']))  # without a look at what it names
    assert run(recipe, "dedup.against=runs/rm0[0]").seconds


def test_runs_that_an_earlier_one_was_compared_with_are_listed_too(tmp_path: Path) -> None:
    names = write_months(tmp_path, 3, 8, 6)
    run_months(tmp_path, names, ["exact"])
    last = tmp_path / "rm02.yaml"
    with pytest.raises(CorpusmillError, match="rm01 was itself compared with `rm00`, whose documents"):
        run(last, 'dedup.against=["runs/rm01"]')
    with pytest.raises(CorpusmillError, match=r"rm01 was itself compared with `rm00`.* list the run of"):
        run(last, 'dedup.against=["runs/rm01", "runs/rm00"]')
    with pytest.raises(CorpusmillError, match="rm02 was itself compared with this one, `rm01`"):
        run(tmp_path / "rm01.yaml", 'dedup.against=["runs/rm00", "runs/rm02"]')
    (tmp_path / "m00" / "9.jsonl").write_text(json.dumps({"id": "late", "text": "one more"}) + "\n")
    run(tmp_path / "rm00.yaml")
    with pytest.raises(CorpusmillError, match="run the recipe of `rm01` again, then this one"):
        run(last)
    run(tmp_path / "rm01.yaml")
    assert run(last).seconds


def test_damage_to_an_earlier_run_is_mended_there(tmp_path: Path) -> None:
    two_months(tmp_path, {"steps": ["exact"]})
    (file,) = (tmp_path / "runs" / "rm00" / "steps" / "dedup.exact.known").glob("*/data/00000.rows.arrow")
    held = bytearray(file.read_bytes())
    held[len(held) // 3] ^= 255
    file.write_bytes(held)
    wanted = r"it is of the earlier run .*rm00; run that run's recipe with --repair"
    with pytest.raises(CorpusmillError, match=wanted):
        run(tmp_path / "rm01.yaml", "output=other")
    (segment,) = file.parents[1].glob("units/*.parquet")
    segment.unlink()
    with pytest.raises(CorpusmillError, match=rf"parquet: missing; {wanted}"):
        run(tmp_path / "rm01.yaml", "output=another")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"remember": True, "steps": [{"minhash": {"preset": "fineweb"}}]}, "may join two clusters"),
        ({"remember": True, "steps": ["paragraph"]}, "no stage here removes whole documents"),
        ({"remember": True}, "`steps` is missing"),
        ({"steps": ["exact"], "forget": True}, "unknown key"),
        ({"steps": ["exact"], "against": [3]}, "expected a path"),
    ],
)
def test_what_cannot_be_is_told_with_its_line(tmp_path: Path, section: Any, said: str) -> None:
    path = write_recipe(tmp_path, "one", write_months(tmp_path, 1, 0, 2), section)
    with pytest.raises(CorpusmillError, match=rf"one.yaml:\d+:\d+: dedup.*{said}"):
        load_recipe(path)


def test_a_month_that_is_known_to_earlier_ones(tmp_path: Path) -> None:
    (name,) = write_months(tmp_path, 1, 3)
    shutil.copytree(tmp_path / name, tmp_path / "m01")
    dedup = {"remember": True, "steps": ["exact"]}
    run(write_recipe(tmp_path, "first", [name], dedup))
    against = {**dedup, "against": ["runs/first"]}
    path = write_recipe(tmp_path, "again", ["m01"], against)
    again = run(path)
    assert len(removals_of(again, "dedup.exact")) == again.manifest("m01").rows > 0
    # It is complete, so that a later month is compared with it too.
    later = {"steps": ["exact"], "against": ["runs/first", "runs/again"]}
    run(write_recipe(tmp_path, "later", ["m01"], later))
    # What needs something new is told that there is none.
    recipe = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**recipe, "tokenizer": {"train": {"vocab_size": 300}}}), "utf-8")
    with pytest.raises(CorpusmillError) as caught:
        run(path)
    message = str(caught.value)
    assert "step dedup.exact: all 24 documents are known to earlier runs (first): nothing is new" in message
    assert "nothing for tokenizer; take these sections out of the recipe" in message


def test_an_option_of_a_stage_beside_the_steps(tmp_path: Path) -> None:
    (name,) = write_months(tmp_path, 1, 3)
    path = write_recipe(tmp_path, "r", [name], {"steps": ["exact"], "priority": [name]})
    with pytest.raises(CorpusmillError, match=r"dedup.priority: it is an option of .*exact.*; write it at"):
        load_recipe(path)
