"""`corpusmill serve`: who is answered, with what, and nothing beside it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.run.engines.isolation import child_environment, python_command
from corpusmill.pipelines.serve.questions import Answer, ask
from corpusmill.pipelines.serve.server import Server
from corpusmill.pipelines.serve.serving import serve_run
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.waiting import PATIENCE, wait_until


@pytest.fixture(scope="module")
def server(run: RunFolder) -> Iterator[Server]:
    with Server(run) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def get(server: Server, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=PATIENCE)
    try:
        connection.putrequest("GET", path, skip_host=True)
        for name, value in {"Host": server.hosts[0], **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        connection.close()


def test_the_pages_and_the_state_are_answered(server: Server) -> None:
    for name in ("", "report.html"):
        status, text, headers = get(server, f"/{server.token}/{name}")
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert text.startswith("<!doctype html>")
        assert server.token not in text
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
    status, text, _ = get(server, f"/{server.token}/state.json")
    state = json.loads(text)
    assert (status, state["name"], state["running"], state["ended"]) == (200, "made", False, True)
    steps = {step["name"]: step for step in state["steps"]}
    assert steps["web"]["state"] == "done"
    assert steps["web"]["done"] == steps["web"]["units"] > 0
    rows = {(row["step"], row["stage"]): row for row in state["ledger"]}
    judged = rows["web", "enough_words"]
    assert judged["came"] == judged["kept"] + judged["removed"] + judged["quarantined"]
    assert any("<script>alert(1)</script>" in sample["excerpt"] for sample in state["samples"])
    assert "\u202e" not in text


@pytest.mark.parametrize(
    "path",
    [
        "/", "/wrong/", "/wrong/state.json", "/{token}/../current.json", "/{token}/..%2fcurrent.json",
        "/{token}//etc/passwd", "/{token}/%2e%2e/%2e%2e/etc/passwd", "/{token}/recipe.json",
        "/{token}/report.html/../../current.json", "/{token}x/", "/%C3%A9/",
    ],
)  # fmt: skip
def test_nothing_else_is_answered(server: Server, path: str) -> None:
    connection = path.format(token=server.token).encode("utf-8").decode("latin-1")
    status, text, _ = get(server, connection)
    assert status == 404
    assert text.startswith("no such page")
    assert "steps" not in text


def test_a_run_that_was_removed_is_told(tmp_path: Path) -> None:
    with Server(RunFolder(tmp_path / "run")) as made, pytest.raises(UserError, match="run: there is no run"):
        made.report("report.html")


def test_a_name_or_a_site_of_someone_else_is_refused(server: Server) -> None:
    path = f"/{server.token}/"
    for host in ("evil.example", f"evil.example:{server.server_port}", "127.0.0.1", "127.0.0.1:1", ""):
        assert get(server, path, Host=host)[0] == 421
    for host in server.hosts:
        assert get(server, path, Host=host)[0] == 200
    assert get(server, path, **{"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert get(server, path, **{"Sec-Fetch-Site": "same-origin"})[0] == 200


def test_it_listens_on_this_machine_alone_and_reads_only(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=PATIENCE)
    for method in ("POST", "PUT", "DELETE"):
        connection.request(method, f"/{server.token}/state.json", headers={"Host": server.hosts[0]})
        answer = connection.getresponse()
        assert answer.status == 501
        answer.read()
        connection.close()


def answered(server: Server, kind: str, text: str) -> dict[str, Any]:
    from urllib.parse import quote

    status, told, _ = get(server, f"/{server.token}/{kind}.json?text={quote(text)}")
    assert status == 200
    found: dict[str, Any] = json.loads(told)
    return found


def test_a_query_and_a_story_are_answered(server: Server, run: RunFolder) -> None:
    found = answered(
        server, "query", "select source, count(*) as n from documents group by source order by source"
    )
    assert found["columns"] == ["source", "n"]
    assert [row[0] for row in found["rows"]] == ["code", "web"]
    (identity,) = answered(server, "query", "select id from documents limit 1")["rows"][0]
    story = answered(server, "explain", identity)
    assert any(identity in line for line in story["lines"])
    many = answered(server, "query", "select a.id from documents a cross join documents b")
    assert (len(many["rows"]), many["more"]) == (500, True)


def test_what_is_wrong_with_a_question_is_told(server: Server) -> None:
    assert "documents" in answered(server, "query", "select * from nothing")["error"]
    assert "a query only reads" in answered(server, "query", "drop table documents")["error"]
    assert "reads a file" in answered(server, "query", "select * from read_csv('/etc/passwd')")["error"]
    assert answered(server, "explain", "no such document")["error"]
    assert answered(server, "query", "  ")["error"].startswith("ask something")


def test_a_question_that_takes_too_long_is_ended(run: RunFolder) -> None:
    assert ask(run.path, "query", "select 1", seconds=0.01) == Answer(
        error="no answer within 0.01 seconds; ask for less, such as with a LIMIT"
    )


def test_a_port_that_is_taken_is_told(server: Server, run: RunFolder) -> None:
    with pytest.raises(UserError, match="leave out --port"):
        serve_run(run, port=server.server_port, browser=False)


SLOW = '''
"""A filter that takes its time, until a file appears."""

import time
from pathlib import Path

from corpusmill.pipelines.contract.documents import reason_where
from corpusmill.pipelines.contract.stage import Filter


class Slow(Filter):
    until: str

    def score(self, docs):
        import numpy as np

        while "wait" in docs.text.to_pylist()[0] and not Path(self.until).exists():
            time.sleep(0.02)
        return {"words": np.array([len(text.split()) for text in docs.text.to_pylist()], np.int64)}

    def judge(self, scores):
        return reason_where((scores["words"] < 3, "short"))
'''


def test_a_run_is_watched_while_it_runs_and_ctrl_c_ends_the_command(tmp_path: Path) -> None:
    """The run waits in its last unit until the page has shown what came before."""
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "data").mkdir()
    for k in range(4):
        words = "wait for it" if k == 3 else "one two three"
        texts = [f"{words} {n} {'x' * 2500}" for n in range(20)] + [f"short {k}"]  # a unit of 64 KiB each
        lines = [json.dumps({"text": text}) for text in texts]
        (tmp_path / "data" / f"{k}.jsonl").write_text("\n".join(lines) + "\n")
    go = tmp_path / "go"
    (tmp_path / "recipe.yaml").write_text(
        "name: live\nplugins: [slow.py]\noutput: run\nengine: {kind: inline}\nsources:\n"
        f"  a:\n    read: {{jsonl: {{files: data/*.jsonl, split_bytes: 64KiB}}}}\n"
        f"    steps: [{{slow: {{until: {go}}}}}]\n"
    )
    main = "from corpusmill.__main__ import main; main()"
    environment = child_environment(os.environ)
    command = python_command(main, "run", str(tmp_path / "recipe.yaml"))
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    serving: subprocess.Popen[str] | None = None
    try:
        wait_until((tmp_path / "run" / "graph.json").exists, "a run that has begun", running)
        # A test run in the background has SIGINT ignored, which its children take over.
        heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        serving = subprocess.Popen(
            python_command(heard + main, "serve", str(tmp_path / "run"), "--no-browser"),
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert serving.stdout is not None
        url = serving.stdout.readline().strip()
        state: dict[str, Any] = {}

        def three_units() -> bool:
            state.update(fetched(url))
            return next((s["done"] for s in state["steps"] if s["name"] == "a"), 0) == 3

        wait_until(three_units, "three units", running)
        (step,) = [s for s in state["steps"] if s["name"] == "a"]
        assert (state["running"], step["state"], step["units"]) == (True, "running", 4)
        assert step["rate"] > 0
        assert step["left"] is not None
        (row,) = [r for r in state["ledger"] if r["stage"] == "slow"]
        assert (row["came"], row["kept"], row["removed"], row["reasons"]) == (63, 60, 3, [["short", 3]])
        assert {s["excerpt"] for s in state["samples"]} == {"short 0", "short 1", "short 2"}
        go.touch()
        assert running.wait(timeout=PATIENCE) == 0
        wait_until(lambda: fetched(url)["ended"], "the end", serving)
        state = fetched(url)
        assert (state["running"], {s["state"] for s in state["steps"]}) == (False, {"done"})
        serving.send_signal(signal.SIGINT)
        assert serving.wait(timeout=PATIENCE) == 0
        assert serving.stderr is not None
        assert "Traceback" not in serving.stderr.read()
    finally:
        for process in (running, serving):
            if process is not None:
                process.kill()
                process.communicate()


def fetched(url: str) -> dict[str, Any]:
    from urllib.request import urlopen

    with urlopen(url + "state.json", timeout=PATIENCE) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found
