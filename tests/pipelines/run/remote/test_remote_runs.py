"""Runs on a server of S3, beside the same runs in a folder."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.doctor import doctor
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.requests_at_scale import writes_of
from corpusmill.pipelines.run.runner import Runner
from corpusmill.pipelines.storage.remote import sent_files, shared_objects
from corpusmill.pipelines.storage.remote.lease import FencedError
from corpusmill.pipelines.storage.remote.mirrors import store_of_run
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.fault_proxy import Fault
from tests.object_server import ObjectServer
from tests.pipelines.run.forked_runs import forked_runs
from tests.pipelines.run.remote_runs import (
    BUCKET,
    Kind,
    Meddling,
    asked,
    events,
    kill_at,
    of_recipe,
    requests_of_a_run,
    run,
    run_on_machines,
    short,
    storage,
    told,
)
from tests.pipelines.run.small_corpus import write
from tests.waiting import PATIENCE

MOST_REQUESTS = 8  # of each unit; and for each unit of all steps, the driver's included


def test_the_whole_recipe_gives_the_bytes_that_it_gives_in_a_folder(
    server: ObjectServer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("here", "there", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "corpus").symlink_to(corpus)
    beside = write(tmp_path / "here")
    run(beside)
    recipe = write(tmp_path / "there", storage=storage(server, "whole"))
    done = run(recipe)
    assert of_recipe(recipe) == of_recipe(beside)
    units = sum(state.total for state in done.steps)
    assert len(asked(server)) <= MOST_REQUESTS * units
    folders = {state.step.name: state.folder for state in done.steps}
    sent = len([seen for seen in asked(server) if seen.method in ("PUT", "POST")])
    held = ((step.units, step.need_manifest().bytes) for step in folders.values() if step is not None)
    expected = sum(writes_of(len(each), each.count_files(), size) for each, size in held)
    assert (
        0.9 * expected < sent < 1.1 * expected
    )  # what `plan --at` tells; files that are equal are sent once
    for event in events(recipe):  # a unit sends its files, equal ones once, and its receipt
        folder = folders[str(event["step"])]
        assert folder is not None
        files = folder.units[int(str(event["unit"]))].files
        assert event["requests"] == len({(file.sha256, file.name.partition(".")[2]) for file in files}) + 1
        assert event["requests"] <= MOST_REQUESTS, (event["step"], [file.name for file in files])

    server.proxy.fresh()
    again = write(tmp_path / "other", storage=storage(server, "whole"))  # another machine
    assert all(state.reused for state in run(again).steps)
    assert of_recipe(again) == of_recipe(beside)
    assert not any("/data/" in seen.path for seen in asked(server))
    monkeypatch.setenv("CORPUSMILL_CACHE", str(tmp_path / "third"))  # and one without the recipe
    url = f"s3://{BUCKET}/whole"
    shown = told("inspect", url)
    there = told("inspect", str(beside.parent / "runs" / "remote"))
    rest, measured, _ = there.replace(str(beside.parent / "runs" / "remote"), "").partition("windows, by")
    assert measured
    alike, unmeasured, _ = shown.replace(url, "").partition("shares by window are not measured")
    assert unmeasured
    assert alike == rest
    (document,) = pq.read_table(next(beside.parent.rglob("00000.parquet")))["id"].to_pylist()[:1]
    assert told("explain", document, "--run", url) == told(
        "explain", document, "--run", str(beside.parent / "runs" / "remote")
    )
    assert "all is well" in told("doctor", url, "--deep")
    assert told("report", url).strip() == f"{url}/report/report.html"
    assert server.get(BUCKET, "whole/report/report.html").startswith(b"<!doctype html>")
    assert '"rows": 314' in told("inspect", f"{url}/steps/pack")


def test_an_export_goes_to_the_store_and_is_whole_with_its_last_object(
    server: ObjectServer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(short(tmp_path / "run", corpus, storage(server, "of-export")))
    beside = short(tmp_path / "beside", corpus)
    run(beside)
    monkeypatch.setenv("CORPUSMILL_CACHE", str(tmp_path / "third"))
    out, url = f"s3://{BUCKET}/exported", f"s3://{BUCKET}/of-export"
    denied = Fault("answer", lambda seen: "exported/data" in seen.path, times=100, status=403)
    server.proxy.faults.append(denied)
    with pytest.raises(UserError, match="access is denied"):
        told("export", url, out, "--to", "huggingface")
    assert b"exported/README.md" in server.ask("GET", f"{BUCKET}?list-type=2&prefix=exported")
    assert b"export.json" not in server.ask("GET", f"{BUCKET}?list-type=2&prefix=exported")
    server.proxy.fresh()
    with pytest.raises(UserError, match=rf"{url}/out/of-it: lies in the run {url}; name a place outside"):
        told("export", url, f"{url}/out/of-it", "--to", "huggingface")
    with pytest.raises(UserError, match=rf"{out}: holds objects already"):
        told("export", url, out, "--to", "huggingface")
    assert out in told("export", url, f"{out}-again", "--to", "huggingface")
    told("export", str(beside.parent / "runs" / "short"), str(tmp_path / "local"), "--to", "huggingface")
    whole = json.loads(server.get(BUCKET, "exported-again/export.json"))["files"]
    files = {
        path.relative_to(tmp_path / "local").as_posix(): path
        for path in (tmp_path / "local").rglob("*")
        if path.is_file()
    }
    assert whole.keys() == files.keys()
    for name, path in files.items():
        assert server.get(BUCKET, f"exported-again/{name}") == path.read_bytes()
        assert whole[name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("whole", [sent_files.WHOLE_BYTES, 0])
def test_machines_that_share_the_store_alone_give_the_same_bytes(
    server: ObjectServer,
    corpus: Path,
    local: dict[str, tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: int,
) -> None:
    """Whether files of exchanges are fetched whole or by ranges."""
    recipe = short(tmp_path / "run", corpus, storage(server, f"machines-{whole}"))
    run_on_machines(recipe, tmp_path, whole, monkeypatch)
    assert of_recipe(recipe) == local
    assert any((tmp_path / "two").rglob("data/*.parquet"))
    assert any(tmp_path.rglob("parts/*/*")) == (whole == 0)


def test_workers_take_batches_from_the_store(
    server: ObjectServer,
    corpus: Path,
    local: dict[str, tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two workers with caches of their own serve a driver that has a third."""
    monkeypatch.setattr(shared_objects, "LOOK_SECONDS", 0.05)
    lines = storage(server, "queue").replace("cache: cache, ", "")
    recipe = short(tmp_path / "run", corpus, lines.replace("storage:", "engine: {kind: workers}\nstorage:"))
    code = (
        "from corpusmill.pipelines.storage.remote import shared_objects; shared_objects.LOOK_SECONDS = 0.05; "
        "from corpusmill.pipelines.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, "worker", f"s3://{BUCKET}/queue"]
    with ExitStack() as stack:
        workers = []
        for name in ("one", "two"):
            environment = {**os.environ, "CORPUSMILL_CACHE": str(tmp_path / name)}
            log = stack.enter_context((tmp_path / f"{name}.log").open("wb"))
            workers.append(subprocess.Popen(command, stderr=log, env=environment))
            stack.callback(workers[-1].kill)
        monkeypatch.setenv("CORPUSMILL_CACHE", str(tmp_path / "driver"))
        run(recipe)
        assert [worker.wait(PATIENCE) for worker in workers] == [0, 0]
    assert of_recipe(recipe) == local
    logs = [(tmp_path / f"{name}.log").read_text() for name in ("one", "two")]
    assert all("the run is over" in log for log in logs)
    done = [int(log.split(" units done")[0].rsplit(" ", 1)[1]) for log in logs]
    assert sum(done) == len(events(recipe))
    session = server.get(BUCKET, "queue/queue/session.json")
    assert b'"over": true' in session
    assert not list((tmp_path / "driver").rglob("data/*.parquet"))


def test_a_bad_network_changes_no_byte(
    server: ObjectServer, corpus: Path, local: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    draw = random.Random(7)
    of_puts = [Fault("lost", lambda seen: seen.method == "PUT" and draw.random() < 0.2, times=15)]
    of_all = [
        Fault("answer", lambda seen: draw.random() < 0.1, times=15),
        Fault("drop", lambda seen: draw.random() < 0.1, times=10),
        Fault("cut", lambda seen: seen.method == "GET" and draw.random() < 0.2, times=10),
    ]
    named = [
        Fault("lost", lambda seen, name=name: name in seen.path and seen.method == "PUT", times=1)
        for name in ("current.json", "lease.json", "manifests/", "units/", "data/")
    ]
    late = Fault("late", lambda seen: "/units/" in seen.path and seen.method == "PUT", times=1)
    server.proxy.faults += [*named, late, *of_puts, *of_all]
    lines = storage(server, "bad-network").replace("cache:", "timeout_s: 2, cache:")
    recipe = short(tmp_path / "run", corpus, lines)
    run(recipe)
    assert not any(fault.times for fault in (*named, late))
    assert of_puts[0].times < 15
    server.proxy.fresh()
    shutil.rmtree(tmp_path / "run" / "cache")
    assert all(state.reused for state in run(recipe).steps)
    assert of_recipe(recipe) == local
    folder = RunFolder(load_recipe(recipe).output_folder)
    assert all(check.ok for check in doctor(folder, deep=True).checks)


def test_a_driver_may_be_killed_at_any_request(
    server: ObjectServer, corpus: Path, local: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    """A sample of requests; `tests/faults/request_kills.py` goes through all of them."""
    with forked_runs() as runs:
        count = requests_of_a_run(runs, server, corpus, tmp_path / "whole")
        assert count > 50
        for place in range(5):
            number = random.Random(place).randrange(count)
            kind: Kind = "lost" if place % 2 else "drop"
            assert kill_at(runs, server, corpus, tmp_path / str(place), number, kind) == local


def test_a_second_driver_is_kept_out_while_the_first_is_alive(
    server: ObjectServer, corpus: Path, local: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    first = short(tmp_path / "first", corpus, storage(server, "alive"))
    second = short(tmp_path / "second", corpus, storage(server, "alive"))
    refused = []

    class Second(Meddling):
        def meddle(self) -> None:
            with pytest.raises(UserError, match="another run is using this folder"):
                run(second)
            refused.append(True)

    Runner(load_recipe(first), Second(5)).run()
    assert refused
    assert of_recipe(first) == local


@pytest.mark.parametrize("until", [["lines.index"], None])
def test_a_driver_that_was_not_heard_of_is_fenced_off(
    server: ObjectServer,
    corpus: Path,
    local: dict[str, tuple[str, str]],
    tmp_path: Path,
    until: list[str] | None,
) -> None:
    """The first driver is stopped, as a machine is that sleeps; the second takes over; the first goes on."""
    name = f"fenced-{until is None}"
    first = short(tmp_path / "first", corpus, storage(server, name))
    second = short(tmp_path / "second", corpus, storage(server, name))
    loaded = load_recipe(first)

    class Sleeping(Meddling):
        def meddle(self) -> None:
            store = store_of_run(loaded.output_folder)
            assert store is not None
            assert store._lease is not None
            store._lease._end.set()  # no beat any more
            run(second, until)

    with pytest.raises(FencedError, match="another driver took over this run"):
        Runner(loaded, Sleeping(3)).run()
    seen = of_recipe(second)
    assert seen == {step: local[step] for step in seen}
    assert set(seen) == set(until or local)
    run(second)
    assert of_recipe(second) == local


def test_an_increment_takes_units_over_without_sending_their_files(
    server: ObjectServer, corpus: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(corpus, mine)
    recipe = short(tmp_path / "run", mine, storage(server, "increment"))
    run(recipe)
    (mine / "lines" / "z.jsonl").write_bytes((mine / "lines" / "a.jsonl").read_bytes()[:5000])
    other = short(tmp_path / "other", mine, storage(server, "increment"))  # on another machine
    server.proxy.fresh()
    states = {state.step.name: state for state in run(other).steps}
    assert states["lines"].redone == 1
    assert states["lines"].adopted == states["lines"].total - 1
    sent = [seen for seen in asked(server) if seen.method == "PUT" and "/data/lines/" in seen.path]
    assert len(sent) == 2  # documents, and what was removed
    beside = short(tmp_path / "beside", mine)
    run(beside)
    assert of_recipe(other) == of_recipe(beside)
