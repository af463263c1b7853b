"""What a variable of the environment holds is in no file of a run and in no message."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from corpusmill.pipelines.inspection.run_log import repair_command
from tests.warm import Warm

SECRET = "tok3n-Of-The-Store"


def holding(folder: Path) -> list[str]:
    """Files that hold the secret, in their bytes or their names."""
    return [
        str(path)
        for path in folder.rglob("*")
        if SECRET in str(path.relative_to(folder))
        or (path.is_file() and SECRET.encode() in path.read_bytes())
    ]


def test_no_file_of_a_run_holds_a_value(warm: Warm, tmp_path: Path) -> None:
    data = tmp_path / f"in-{SECRET}"
    data.mkdir()
    lines = [json.dumps({"id": str(n), "text": f"a line of text with the number {n}"}) for n in range(20)]
    (data / "a.jsonl").write_text("\n".join([*lines, "{broken"]) + "\n")
    (data / "plugin.py").write_text(
        "import logging\nimport numpy as np\nfrom corpusmill.pipelines.contract.stage import Filter\n"
        "from corpusmill.pipelines.contract.documents import reason_where\n\n\n"
        "class Own(Filter):\n    def score(self, docs):\n        print(__file__)\n"
        "        logging.warning('score in %s', __file__)\n"
        "        return {'x': np.zeros(len(docs.text), np.int64)}\n\n    def judge(self, scores):\n"
        "        return reason_where((np.asarray(scores['x']) > 0, 'large'))\n"
    )
    (data / "b.jsonl.gz").write_bytes(gzip.compress((data / "a.jsonl").read_bytes())[:-20])
    (data / "b.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    (data / "b.tar").write_bytes(b"no archive, but longer than one block of it" * 40)
    (data / "b.warc.gz").write_bytes(b"\x1f\x8b\x08 nothing of it is sound")
    path = data / "recipe.yaml"
    path.write_text(
        "name: hidden\ndata: ${STORE}\noutput: ${OUT}\nplugins: ['${STORE}/plugin.py']\n"
        "engine: {workers: 1}\n"
        "sources:\n  a: {read: {jsonl: '${STORE}/a.jsonl'}, steps: [own]}\n"
        "  b: {read: {jsonl: b.jsonl.gz}, allow_loss: 1}\n  c: {read: {parquet: b.parquet}, allow_loss: 1}\n"
        "  d: {read: {tar: b.tar}, allow_loss: 1}\n"
        "  e: {read: {warc: b.warc.gz}, steps: [extract], allow_loss: 1}\ndedup: [exact]\n"
    )
    out = tmp_path / f"run-{SECRET}"
    env = {"STORE": str(data), "OUT": str(out)}
    done = warm.call("run", path, env=env)
    assert done.returncode == 0, done.stderr
    assert holding(out) == []
    assert json.loads((out / "recipe.json").read_text())["recipe"]["data"] == "${STORE}"
    assert SECRET not in done.stderr + done.stdout
    assert "report    ${OUT}/report/report.html" in done.stdout
    log = (out / "log" / "workers.log").read_text()
    assert "score in ${STORE}/plugin.py" in log
    assert "\n${STORE}/plugin.py" in f"\n{log}"
    assert repair_command(out) == f'corpusmill run "${{STORE}}/recipe.yaml" --out {out} --repair'
    planned = warm.call("plan", path, "--no-estimate", env=env)
    assert planned.returncode == 0, planned.stderr
    assert SECRET not in planned.stderr + planned.stdout
    again = warm.call("run", path, "--json", env=env)
    assert again.returncode == 0, again.stderr
    assert all(step["reused"] for step in json.loads(again.stdout)["steps"])


def test_no_message_holds_a_value(warm: Warm, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: hidden\ndata: ${STORE}\nsources: {a: {read: {jsonl: '${FILE}'}}}\n")
    missing = warm.call("run", path, env={"STORE": f"/nowhere/{SECRET}", "FILE": "a.jsonl"})
    assert missing.returncode == 1
    assert SECRET not in missing.stderr
    assert "no folder ${STORE}" in missing.stderr
    nothing = warm.call("run", path, env={"STORE": str(tmp_path), "FILE": f"{SECRET}/*.jsonl"})
    assert nothing.returncode == 1
    assert SECRET not in nothing.stderr
