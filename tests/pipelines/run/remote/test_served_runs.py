"""`corpusmill serve` of a run on object storage, on a machine that has nothing of it."""

from __future__ import annotations

import json
import threading
import urllib.parse
import urllib.request
from pathlib import Path

import polars as pl
import pytest

from corpusmill.pipelines.api.places import place
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.serve.server import Server
from corpusmill.pipelines.serve.serving import serve_run
from corpusmill.pipelines.storage.objects.current import use_storage
from corpusmill.pipelines.storage.remote import mirrors
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.object_server import ObjectServer
from tests.pipelines.run.remote_runs import BUCKET, run, short, storage

pl.DataFrame()  # polars sets a variable of its allocator once


def got(server: Server, name: str) -> str:
    with urllib.request.urlopen(server.url + name) as answer:
        text: str = answer.read().decode()
        return text


def test_it_is_shown_from_what_the_store_has(
    server: ObjectServer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(short(tmp_path / "there", corpus, storage(server, "served")))
    documents, _ = made.manifest("lines").sources["lines"]
    monkeypatch.setattr(mirrors, "_stores", {})
    monkeypatch.setenv("CORPUSMILL_CACHE", str(tmp_path / "elsewhere"))
    use_storage(None)
    with Server(RunFolder(place(f"s3://{BUCKET}/served"))) as shown:
        thread = threading.Thread(target=shown.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            state = json.loads(got(shown, "state.json"))
            assert "lines" in got(shown, "report.html")
            question = urllib.parse.quote("select count(*) as n from documents")
            answer = json.loads(got(shown, f"query.json?text={question}"))
        finally:
            shown.shutdown()
            thread.join()
    assert state["ended"]
    rows = {(row["step"], row["stage"]): row["came"] for row in state["ledger"]}
    assert {step["state"] for step in state["steps"]} == {"done"}
    assert rows["lines", "read"] >= documents
    assert "error" not in answer
    assert 0 < answer["rows"][0][0] <= documents


def test_a_run_at_work_elsewhere_is_refused_with_the_cure(
    server: ObjectServer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(short(tmp_path / "there", corpus, storage(server, "at-work")))
    store = made.folder.store
    assert store is not None
    with store.driving():
        monkeypatch.setattr(mirrors, "_stores", {})
        monkeypatch.setenv("CORPUSMILL_CACHE", str(tmp_path / "elsewhere"))
        folder = RunFolder(place(f"s3://{BUCKET}/at-work"))
        with pytest.raises(UserError, match=r"s3://.*/at-work: the run is at work on another machine"):
            serve_run(folder, browser=False)
    assert folder.store is not None
    assert not folder.store.driven_elsewhere()
