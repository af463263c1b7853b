"""What a run's objects lost, or hold instead of what was written, and a mirror that is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import IntegrityError, UserError
from corpusmill.pipelines.inspection.doctor import doctor, render_doctor
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import Runner
from corpusmill.pipelines.storage.objects import current
from corpusmill.pipelines.storage.remote.mirrors import store_of_run
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from tests.object_server import ObjectServer
from tests.pipelines.run.remote_runs import BUCKET, Meddling, asked, of_recipe, run, short, storage


def ran(server: ObjectServer, corpus: Path, folder: Path, name: str) -> tuple[Path, RunFolder, StepFolder]:
    """The short recipe, its run of this name in the bucket, and the step that reads its source."""
    recipe = short(folder / "run", corpus, storage(server, name))
    run(recipe)
    there = RunFolder(load_recipe(recipe).output_folder)
    step = there.current_step("lines")
    assert step is not None
    return recipe, there, step


def test_damage_in_the_store_is_found_and_repaired(
    server: ObjectServer, corpus: Path, local: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    recipe, folder, step = ran(server, corpus, tmp_path, "damaged")
    files = list(step.units.files(".parquet"))
    copy = step.data / files[1].name
    copy.write_bytes(bytes(files[1].bytes))  # damage of this machine's copy alone is mended by itself
    assert step.fault(files[1]) is None
    assert any(copy.read_bytes())
    key = f"damaged/data/lines/{files[0].sha256[:32]}.parquet"
    server.put(BUCKET, key, bytes(files[0].bytes))
    server.delete(BUCKET, f"damaged/data/lines/{files[2].sha256[:32]}.parquet")
    shutil.rmtree(step.data)
    assert "its bytes differ from the manifest" in str(step.fault(files[0]))
    assert "missing" in str(step.fault(files[2]))
    with pytest.raises(IntegrityError, match=rf"s3://{BUCKET}/{key}: its bytes differ"):
        step.file(files[0].name)
    (check,) = [check for check in doctor(folder, deep=True).checks if check.damage]
    assert not list(step.data.iterdir())  # nothing was left in the mirror
    assert check.name == "step lines"
    assert f"{key}: its bytes differ from the manifest; s3://" in check.detail
    assert "parquet: missing" in check.detail
    repaired = Runner(load_recipe(recipe), repair=True).run()
    assert repaired.repairs is not None
    assert len(repaired.repairs.faults) == 2
    assert {state.step.name: state.redone for state in repaired.steps if state.redone} == {"lines": 2}
    assert of_recipe(recipe) == local
    for data in folder.path.glob("steps/*/*/data"):
        shutil.rmtree(data)
    assert not [check for check in doctor(folder, deep=True).checks if check.damage]
    assert all(step.fault(file) is None for file in files)


def test_what_the_store_lost_is_found_and_sent_again_though_the_mirror_has_it(
    server: ObjectServer, corpus: Path, tmp_path: Path
) -> None:
    recipe, folder, step = ran(server, corpus, tmp_path, "lost")
    keys = [f"lost/data/lines/{file.sha256[:32]}.parquet" for file in step.units.files(".parquet")]
    held = {key: server.get(BUCKET, key) for key in keys[:2]}
    server.delete(BUCKET, keys[0])
    server.put(BUCKET, keys[1], held[keys[1]][:-1])
    assert str(doctor(folder)).count("missing, or of another size") == 2
    assert sum(state.redone for state in Runner(load_recipe(recipe), repair=True).run().steps) == 2
    assert {key: server.get(BUCKET, key) for key in held} == held
    (segment,) = step.units.entries
    key = f"lost/units/lines/{step.path.name}/{segment.name}"
    receipts = server.get(BUCKET, key)
    server.delete(BUCKET, key)
    Runner(load_recipe(recipe), repair=True).run()
    assert server.get(BUCKET, key) == receipts


def test_what_was_written_over_with_equal_sizes_is_found_though_the_mirror_has_it(
    server: ObjectServer, corpus: Path, tmp_path: Path
) -> None:
    recipe, folder, step = ran(server, corpus, tmp_path, "over")
    server.proxy.fresh()
    assert "all is well" in render_doctor(doctor(folder, deep=True))
    assert not any("/data/" in seen.path and seen.method == "GET" for seen in asked(server))
    (file, *_) = step.units.files(".parquet")
    (segment,) = step.units.entries
    keys = f"over/data/lines/{file.sha256[:32]}.parquet", f"over/units/lines/{step.path.name}/{segment.name}"
    held = {key: server.get(BUCKET, key) for key in keys}
    for key in keys:
        server.put(BUCKET, key, bytes(len(held[key])))
    server.put(BUCKET, keys[1], held[keys[1]][:-9])
    elsewhere = load_recipe(short(tmp_path / "elsewhere", corpus, storage(server, "over")))
    current.use_storage(elsewhere.storage)
    units = RunFolder(elsewhere.output_folder).step("lines", step.path.name).units
    with pytest.raises(IntegrityError, match="differ"):  # a machine without a mirror has no other bytes
        list(units.files())
    current.use_storage(load_recipe(recipe).storage)
    server.proxy.fresh()
    (check,) = [check for check in doctor(folder).checks if check.damage]  # segments alone are read
    assert check.detail == f"s3://{BUCKET}/{keys[1]}: its bytes differ from what was written"
    assert not any("/data/" in seen.path and seen.method == "GET" for seen in asked(server))
    (check,) = [check for check in doctor(folder, deep=True).checks if check.damage]
    assert check.detail == "; ".join(
        (
            f"s3://{BUCKET}/{keys[1]}: its bytes differ from what was written",
            f"s3://{BUCKET}/{keys[0]}: its bytes differ from the manifest",
        )
    )
    repaired = Runner(load_recipe(recipe), repair=True).run()
    assert sum(state.redone for state in repaired.steps) == 1
    assert {key: server.get(BUCKET, key) for key in keys} == held
    server.delete(BUCKET, f"over/manifests/lines/{step.path.name}.json")
    store = store_of_run(folder.path)
    assert store is not None
    store._known.clear()  # as of another process
    (lost,) = [check for check in doctor(folder).checks if check.damage]
    assert lost.detail == f"s3://{BUCKET}/over/manifests/lines/{step.path.name}.json: missing"


def test_a_mirror_that_is_removed_ends_the_run_with_its_cure(
    server: ObjectServer, corpus: Path, local: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    recipe = short(tmp_path / "run", corpus, storage(server, "no-mirror"))
    loaded = load_recipe(recipe)

    class Removing(Meddling):
        def meddle(self) -> None:
            shutil.rmtree(loaded.output_folder)

    told_so = rf"copy of the run s3://{BUCKET}/no-mirror was removed .*: run the command again"
    with pytest.raises(UserError, match=told_so):
        Runner(loaded, Removing(4)).run()
    run(recipe)
    assert of_recipe(recipe) == local
