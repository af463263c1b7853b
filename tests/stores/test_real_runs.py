"""Runs and their sources on servers of S3, of Azure Blob and of Google's storage, beside runs in a folder."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import threading
from pathlib import Path
from urllib.parse import unquote

import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import Runner
from corpusmill.pipelines.storage.objects import current
from corpusmill.pipelines.storage.objects.urls import parse_url
from corpusmill.pipelines.storage.remote import lease, sent_files
from corpusmill.pipelines.storage.remote.lease import FencedError
from corpusmill.pipelines.storage.remote.mirrors import store_of_run
from tests.fault_proxy import Fault, Seen
from tests.pipelines.run.forked_runs import forked_runs
from tests.pipelines.run.remote_runs import Meddling, contents, of_recipe, run, run_on_machines, short, told
from tests.pipelines.run.small_corpus import write
from tests.real_servers import RealServer

MOST_REQUESTS = 8


@pytest.fixture(autouse=True)
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SECONDS", 2.0)


def storage(url: str, cache: str = "cache") -> str:
    """The lines of a recipe that let its run lie at a URL."""
    return f"output: {url}\nstorage: {{schemes: [s3, gs, az], cache: {cache}, retry_wait_s: 0.01}}"


def put_folder(bucket: str, folder: Path) -> None:
    store = current.store_of(parse_url(f"{bucket}/any"))
    for file in sorted(folder.rglob("*.*")):
        store.put(f"corpus/{file.relative_to(folder).as_posix()}", file.read_bytes())


def data(steps: Path) -> dict[str, str]:
    """SHA-256 of the data files of a run, by step and name."""
    return {
        f"{path.relative_to(steps).parts[0]}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(steps.glob("*/*/data/*"))
    }


def test_the_whole_recipe_gives_the_bytes_that_it_gives_in_a_folder(
    real: RealServer, bucket: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From objects to objects; another machine takes all of it over, and commands read it."""
    put_folder(bucket, corpus)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "corpus").symlink_to(corpus)
    beside = write(tmp_path / "here")
    run(beside)
    real.proxy.seen.clear()
    recipe = write(tmp_path / "there", f"{bucket}/corpus/", storage(f"{bucket}/run"))
    (tmp_path / "there" / "corpus").mkdir()
    done = run(recipe)
    # Keys of steps name the sources' URLs; content is compared file by file.
    assert data(done.steps[0].folder.path.parents[1]) == data(beside.parent / "runs" / "remote" / "steps")  # type: ignore[union-attr]
    units = sum(state.total for state in done.steps)
    assert len([seen for seen in real.proxy.seen if "lease.json" not in unquote(seen.path)]) <= (
        MOST_REQUESTS * units
    )
    again = write(tmp_path / "other", f"{bucket}/corpus/", storage(f"{bucket}/run"))
    (tmp_path / "other" / "corpus").mkdir()
    assert all(state.reused for state in run(again).steps)
    monkeypatch.setenv("CORPUSMILL_CACHE", str(tmp_path / "third"))
    assert "all is well" in told("doctor", f"{bucket}/run", "--deep")
    assert '"rows": 314' in told("inspect", f"{bucket}/run/steps/pack")
    told("export", f"{bucket}/run", f"{bucket}/exported", "--to", "huggingface")
    assert current.store_of(parse_url(f"{bucket}/x")).get("exported/export.json")


@pytest.mark.parametrize("whole", [sent_files.WHOLE_BYTES, 0])
def test_machines_that_share_the_store_alone_give_the_same_bytes(
    bucket: str,
    corpus: Path,
    local: dict[str, tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: int,
) -> None:
    """Whether files of exchanges are fetched whole or by ranges."""
    recipe = short(tmp_path / "run", corpus, storage(f"{bucket}/machines"))
    run_on_machines(recipe, tmp_path, whole, monkeypatch)
    assert of_recipe(recipe) == local


def test_a_bad_network_and_kills_change_no_byte(
    real: RealServer, bucket: str, corpus: Path, local: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    draw = random.Random(3)
    real.proxy.faults += [
        Fault("lost", lambda seen: seen.method == "PUT" and draw.random() < 0.2, times=15),
        Fault("answer", lambda seen: draw.random() < 0.1, times=15),
        Fault("drop", lambda seen: draw.random() < 0.1, times=10),
        Fault("cut", lambda seen: seen.method == "GET" and draw.random() < 0.2, times=10),
    ]
    recipe = short(tmp_path / "bad", corpus, storage(f"{bucket}/bad"))
    run(recipe)
    assert sum(fault.times for fault in real.proxy.faults) < 30  # most of them happened
    assert of_recipe(recipe) == local
    with forked_runs() as runs:
        for number in range(4):
            left = iter(range(10**6))
            dead, at = threading.Event(), draw.randrange(5, 45)

            def kill(process: threading.Event = dead) -> None:
                os.kill(runs.process, signal.SIGKILL)
                process.set()

            def of(seen: Seen) -> bool:
                return "lease.json" not in unquote(seen.path) and next(left) == at  # noqa: B023

            real.proxy.fresh()
            real.proxy.faults.append(Fault("lost" if number % 2 else "drop", of, action=kill))
            lines = storage(f"{bucket}/killed-{number}")
            runs.start(short(tmp_path / f"killed-{number}", corpus, lines))
            assert runs.end() == -signal.SIGKILL
            assert dead.wait(60)
            real.proxy.fresh()
            again = short(tmp_path / f"killed-{number}-other", corpus, lines)  # from another machine
            runs.start(again)
            assert runs.end() == 0
            assert of_recipe(again) == local


def test_drivers_are_kept_out_and_fenced_off(
    bucket: str, corpus: Path, local: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    first = short(tmp_path / "first", corpus, storage(f"{bucket}/fenced"))
    second = short(tmp_path / "second", corpus, storage(f"{bucket}/fenced"))
    loaded, refused = load_recipe(first), []

    class Both(Meddling):
        def meddle(self) -> None:
            with pytest.raises(UserError, match="another run is using this folder"):
                run(second)
            refused.append(True)
            store = store_of_run(loaded.output_folder)
            assert store is not None
            assert store._lease is not None
            store._lease._end.set()  # no beat any more
            run(second)

    with pytest.raises(FencedError, match="another driver took over this run"):
        Runner(loaded, Both(3)).run()
    assert refused
    assert of_recipe(second) == local
    assert contents(load_recipe(second)) == local
