"""Nodes of a Ray cluster that come and go while a run is on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.pipelines.run.ray_nodes import TOKEN, head, node
from tests.waiting import PATIENCE, wait_until
from tests.warm import Warm

MEET = '''
def meet(folder):
    """Return once four units are at work at the same time; of a node that is to be lost, never."""
    (folder / f"here.{os.getpid()}").touch()
    while len(list(folder.glob("here.*"))) < 4:
        time.sleep(0.02)
    if "LOST_NODE" in os.environ:
        try:
            (folder / "lost").touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            os.kill(os.getppid(), signal.SIGKILL)  # its raylet
        signal.pause()


class Trouble'''


def test_nodes_that_join_are_used_and_one_that_is_lost_changes_no_byte(
    recipe: Callable[..., Path],
    warm: Warm,
    hashes_of: Callable[[Path], dict[str, str]],
    tmp_path: Path,
) -> None:
    """A cluster without a CPU, then one of two, then of four; then the first two are lost in mid-unit."""
    path = recipe(dict.fromkeys(range(0, 3000, 150), "MEET"), documents=3000, kind="ray", workers=None)
    plugin = path.with_name("faulty.py")
    text = plugin.read_text().replace("import signal\n", "import signal\nimport time\n")
    text = text.replace("class Trouble", MEET.lstrip("\n"), 1)
    plugin.write_text(
        text.replace(
            'if text.startswith("RAISE"):',
            'if text.startswith("MEET"):\n                meet(Path(__file__).parent)\n'
            '            if text.startswith("RAISE"):',
        )
    )
    logs = [tmp_path / f"{name}.log" for name in ("head", "first", "second", "run")]
    with head(logs[0], cpus=0) as address, logs[3].open("wb") as output:
        command = [sys.executable, "-m", "corpusmill", "run", str(path), "--out", str(tmp_path / "two")]
        run = subprocess.Popen(
            [*command, "--set", f"engine.address={address}"],
            env={**os.environ, "RAY_AUTH_TOKEN": TOKEN},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        join = f"--address={address}", "--num-cpus=2"
        try:
            with node(logs[1], *join, env={"LOST_NODE": "1"}):
                here = lambda: len(list(path.parent.glob("here.*")))  # noqa: E731
                wait_until(lambda: here() >= 2, "two units meet", run)
                with node(logs[2], *join):
                    code = run.wait(timeout=PATIENCE)
        finally:
            run.kill()
            run.wait()
    said = logs[3].read_text()
    assert code == 0, said
    assert path.with_name("lost").exists()
    assert "worker taken away: " in said
    assert "quarantined in trouble" not in said
    calm = warm.call("run", path, "--set", "engine.kind=inline")
    assert calm.returncode == 0, calm.stderr
    assert hashes_of(tmp_path / "runs" / "small") == hashes_of(tmp_path / "two")
