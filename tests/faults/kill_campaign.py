"""Kill a run at random instants, let it go on, and compare every byte with a run that nobody disturbed.

    python -m tests.faults.kill_campaign --kills 200 --seed 1 [--engine process|inline|ray] [--folder FOLDER]

Each kill starts a run in a fresh folder, or goes on in the folder of the run killed before. It waits a random
part of the time that an undisturbed run takes, and kills the process group, the driver or a worker (SIGKILL).
A run whose worker was killed must end well by itself. In the end every run is finished with the same command,
and each file below `steps` is compared. Prints a line for each kill. The exit code is 1 where a byte differs,
a document was quarantined, or a run that was not killed failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from corpusmill.pipelines.storage.committed import count_committed
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.waiting import wait_until

_PARTS = ("stone", "river", "cloud", "light", "seven", "quiet", "amber", "field", "north", "glass")
# Enough of them that both filters keep some documents and remove others.
WORDS = (*(a + b for a in _PARTS for b in _PARTS[:5]), *("the", "of", "and", "to") * 3)
RECIPE = """
name: killed
engine: {{kind: {engine}, workers: 2}}
sources:
  a: {{read: {{jsonl: {{files: a.jsonl, split_bytes: 65536}}}}, steps: [gopher_quality]}}
  b: {{read: {{jsonl: {{files: b.jsonl, split_bytes: 65536}}}}, steps: [gopher_repetition]}}
dedup: [exact]
"""
VICTIMS = ("group", "driver", "worker")


def committed(run: Path) -> int:
    """How many units a run has committed."""
    return sum(count_committed(StepFolder(path)) for path in run.glob("steps/*/*"))


def write_recipe(folder: Path, documents: int, engine: str) -> Path:
    """A recipe over generated text, some of it repeated, and its two files."""
    for name, seed in (("a", 1), ("b", 2)):
        draw = random.Random(seed)
        lines: list[str] = []
        for number in range(documents):
            text = " ".join(draw.choices(WORDS, k=draw.randint(20, 90))) + "."
            if number % 10 == 9:
                text = json.loads(draw.choice(lines))["text"]
            lines.append(json.dumps({"id": f"{name}-{number}", "text": text}))
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(engine=engine))
    return path


def hashes(run: Path) -> dict[str, str]:
    """SHA-256 of every file below `steps`, by its path."""
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((run / "steps").rglob("*"))
        if path.is_file()
    }


def start(recipe: Path, out: Path) -> subprocess.Popen[bytes]:
    """The run, in a process group of its own; its messages go to a file beside its folder."""
    with out.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "corpusmill", "run", str(recipe), "--out", str(out)],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Processes that the driver started, oldest first: with Ray, those that work on units."""
    lines: dict[psutil.Process, str] = {}
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                lines[child] = " ".join(child.cmdline())
    ray = any("gcs_server" in line for line in lines.values())  # the first of Ray's servers to start
    # Two of the servers have such names too: DashboardAgent and RuntimeEnvAgent.
    works = [child for child, line in lines.items() if line.startswith("ray::") and "Agent" not in line]
    found = works if ray else list(lines)
    return sorted(found, key=lambda child: child.pid)


def kill(process: subprocess.Popen[bytes], victim: str, draw: random.Random) -> bool:
    """Send SIGKILL; whether anything was left to kill."""
    if process.poll() is not None:
        return False
    if victim == "group":
        os.killpg(process.pid, signal.SIGKILL)
    elif victim == "driver":
        process.kill()
    else:
        found = workers_of(process)
        if not found:
            return False
        try:
            draw.choice(found).kill()
        except psutil.NoSuchProcess:
            return False
    return True


def undisturbed(recipe: Path, out: Path) -> dict[str, str]:
    """The hashes of a run that nobody disturbs. Raises RuntimeError where it fails."""
    if start(recipe, out).wait() != 0:
        raise RuntimeError(f"the undisturbed run failed: {out.with_suffix('.log').read_text()[-2000:]}")
    return hashes(out)


def campaign(folder: Path, kills: int, seed: int, engine: str, documents: int, seconds: float) -> list[str]:
    """What went wrong; empty if nothing did. Stops after `seconds`, but never before the first kill."""
    draw = random.Random(seed)
    recipe = write_recipe(folder, documents, engine)
    began = time.monotonic()
    wanted = undisturbed(recipe, folder / "calm")  # also compiles kernels
    started_at = time.monotonic()
    faults = [] if undisturbed(recipe, folder / "again") == wanted else ["two undisturbed runs differ"]
    length = time.monotonic() - started_at
    out, started = folder / "run-0", 0
    done, ended = 0, False
    while done < kills and (done == 0 or time.monotonic() - began < seconds):
        if draw.random() < 0.3 or ended:  # else the run killed before goes on
            faults += _compare(recipe, out, wanted)
            started += 1
            out = folder / f"run-{started}"
        victim = draw.choice(VICTIMS)
        process = start(recipe, out)
        wait = draw.uniform(0, length)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=wait)
        hit = kill(process, victim, draw)
        code = process.wait()
        ended = code == 0
        killed = hit and victim != "worker"
        if code != 0 and not killed:
            faults.append(f"{out.name}: exit code {code} after {victim} was killed at {wait:.2f} s")
        done += 1
        print(
            f"{done}: {out.name}: {victim} at {wait:.2f} s{'' if hit else ', nothing left to kill'}",
            flush=True,
        )
    return faults + _compare(recipe, out, wanted)


def short_campaign(folder: Path, seed: int, documents: int) -> list[str]:
    """What went wrong in one run of worker processes whose driver and then one of whose workers is killed,
    each as soon as a unit more is committed. Raises AssertionError where nothing is left to kill by then."""
    draw = random.Random(seed)
    recipe = write_recipe(folder, documents, "process")
    wanted, out = undisturbed(recipe, folder / "calm"), folder / "run"
    for victim in ("driver", "worker"):
        before = committed(out)
        process = start(recipe, out)
        wait_until(lambda n=before: committed(out) > n, "a unit is committed", process)
        assert kill(process, victim, draw), f"no {victim} to kill"
        code = process.wait()
        if code != (0 if victim == "worker" else -signal.SIGKILL):
            return [f"exit code {code} after the {victim} was killed"]
    return _compare(recipe, out, wanted)


def _compare(recipe: Path, out: Path, wanted: dict[str, str]) -> list[str]:
    """Finish a run and compare it."""
    if not out.exists():
        return []
    code = start(recipe, out).wait()
    if code != 0:
        return [f"{out.name}: exit code {code}: {out.with_suffix('.log').read_text()[-2000:]}"]
    found = hashes(out)
    differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    log = out.with_suffix(".log").read_text()
    blamed = [f"{out.name}: a document was quarantined"] if "quarantined in" in log else []
    return blamed + [f"{out.name}: {name} differs" for name in differing]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("inline", "process", "ray"), default="process")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many")
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        faults = campaign(folder, given.kills, given.seed, given.engine, given.documents, given.seconds)
    print("\n".join(faults) if faults else "every byte is the same")
    if faults:
        sys.exit(f"seed {given.seed}: {len(faults)} faults")


if __name__ == "__main__":
    main()
