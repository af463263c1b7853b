"""`keep` of runs on object storage: what goes, and what other versions of a step still hold."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import NotKeptError
from corpusmill.pipelines.inspection.doctor import doctor
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.storage.objects import current
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.object_server import ObjectServer
from tests.pipelines.run.forked_runs import forked_runs
from tests.pipelines.run.remote_runs import (
    BUCKET,
    Kind,
    asked,
    kill_at,
    of_recipe,
    requests_of_a_run,
    run,
    short,
    storage,
)

WAY = ("dedup.exact.scatter", "dedup.exact.gather")


def objects(server: ObjectServer, name: str, step: str) -> list[str]:
    listed = server.ask("GET", f"{BUCKET}?list-type=2&prefix={name}/data/{step}/").decode()
    return re.findall("<Key>([^<]*)</Key>", listed)


def sound(recipe: Path) -> bool:
    loaded = load_recipe(recipe)
    current.use_storage(loaded.storage)
    found = doctor(RunFolder(loaded.output_folder), deep=True).checks
    return all(check.ok for check in found if check.name.startswith(("step", "ledger")))


def test_what_no_later_step_needs_goes(
    server: ObjectServer, corpus: Path, local: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    recipe = short(tmp_path / "run", corpus, storage(server, "needed", keep="needed"))
    run(recipe)
    assert of_recipe(recipe) == local
    assert not any(objects(server, "needed", step) for step in WAY)
    assert objects(server, "needed", "lines")
    assert sound(recipe)
    other = short(tmp_path / "other", corpus, storage(server, "needed", keep="needed"))
    server.proxy.fresh()
    assert all(state.reused for state in run(other).steps)
    assert not any(seen.method == "DELETE" or "delete" in seen.path for seen in asked(server))
    assert sound(other)
    step = RunFolder(load_recipe(other).output_folder).current_step(WAY[0])
    assert step is not None
    with pytest.raises(NotKeptError, match=rf"s3://{BUCKET}/needed/steps/.*: was removed after use"):
        step.file("00000.rows.arrow")
    everything = short(tmp_path / "other", corpus, storage(server, "needed"))
    run(everything)
    assert objects(server, "needed", WAY[0])
    assert of_recipe(everything) == local
    assert sound(everything)


def test_objects_of_other_versions_stay(
    server: ObjectServer, corpus: Path, local: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(corpus, mine)
    recipe = short(tmp_path / "run", mine, storage(server, "versions"))
    run(recipe)
    before = objects(server, "versions", WAY[0])
    more = mine / "lines" / "z.jsonl"
    more.write_bytes((mine / "lines" / "a.jsonl").read_bytes()[:5000])
    needed = short(tmp_path / "run", mine, storage(server, "versions", keep="needed"))
    states = {state.step.name: state for state in run(needed).steps}
    assert states[WAY[0]].adopted == states[WAY[0]].total - 1
    assert objects(server, "versions", WAY[0]) == before  # that of the new file went
    beside = short(tmp_path / "beside", mine)
    run(beside)
    assert of_recipe(needed) == of_recipe(beside)
    more.unlink()
    again = short(tmp_path / "run", mine, storage(server, "versions"))
    run(again)
    assert sound(again)
    more.write_bytes(b'{"text": "another one"}\n')
    run(needed := short(tmp_path / "run", mine, storage(server, "versions", keep="needed")))
    assert sound(needed)


def test_a_driver_may_be_killed_while_files_go(
    server: ObjectServer, corpus: Path, local: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    with forked_runs() as runs:
        requests_of_a_run(runs, server, corpus, tmp_path / "whole", "needed")
        seen = asked(server)
        places = [place for place, one in enumerate(seen) if "not_kept" in one.path]
        assert len(places) == 4  # a note before and one after for each of two steps
        for number in range(places[0], places[1] + 1):
            kind: Kind = "lost" if number % 2 else "drop"
            name = f"kept-{number}"
            assert kill_at(runs, server, corpus, tmp_path / name, number, kind, "needed") == local
            assert not any(objects(server, name, step) for step in WAY)
