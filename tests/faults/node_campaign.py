"""Lose nodes of a Ray cluster at random instants of a run, and compare every byte with an undisturbed run.

    python -m tests.faults.node_campaign --losses 20 --seed 1 [--folder FOLDER]

All nodes are on this machine: a head without processors, a node of two that stays, and one of two that is
there again and again. Each time it joins, the campaign waits a random moment and kills its raylet (SIGKILL),
so that its workers end in mid-unit, as where a machine is taken away. A run that has ended is compared and
begun anew in a fresh folder until so many nodes were lost while a run was on. The exit code is 1 where a run
fails, a document is quarantined, or a byte differs.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from tests.faults.kill_campaign import hashes, start, undisturbed, write_recipe
from tests.pipelines.run.ray_nodes import TOKEN, head, node

LONGEST_S = 8.0
"""Seconds that a node lives at most before it is lost."""
STARTS = 5
"""How often a node is started at most until Ray has it up."""


@contextmanager
def joined(log: Path, join: tuple[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A node of the cluster. Where Ray fails to start it, as happens on a busy machine, it is tried again."""
    with ExitStack() as stack:
        for left in reversed(range(STARTS)):
            try:
                process = stack.enter_context(node(log, *join))
            except AssertionError as error:
                if not left:
                    raise
                print(f"a node is started again: {error}: {log.read_text()[-500:]}", flush=True)
            else:
                break
        yield process


def raylet_of(process: subprocess.Popen[bytes]) -> psutil.Process | None:
    """The raylet of the node that `ray start` keeps up."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if child.name() == "raylet":
                    return child
    return None


def campaign(folder: Path, losses: int, seed: int, documents: int) -> list[str]:
    """What went wrong; empty if nothing did. Raises RuntimeError where the undisturbed run fails."""
    draw = random.Random(seed)
    recipe = write_recipe(folder, documents, "ray")
    recipe.write_text(
        recipe.read_text().replace("workers: 2", "losses: 100").replace("[exact]", "[exact, minhash]")
    )
    calm = folder / "calm.yaml"
    calm.write_text(recipe.read_text().replace("kind: ray", "kind: process"))
    wanted = undisturbed(calm, folder / "calm")
    faults: list[str] = []
    done = runs = 0
    with head(folder / "head.log", cpus=0) as address:
        recipe.write_text(recipe.read_text().replace("kind: ray", f"kind: ray, address: '{address}'"))
        os.environ["RAY_AUTH_TOKEN"] = TOKEN
        join = f"--address={address}", "--num-cpus=2"
        with joined(folder / "stays.log", join):
            while done < losses:
                out = folder / f"run-{runs}"
                runs += 1
                run = start(recipe, out)
                while run.poll() is None and done < losses:
                    done += lose_one(folder, join, run, draw.uniform(0, LONGEST_S))
                code = run.wait()
                faults += compared(out, code, wanted)
                print(f"{out.name}: exit code {code}, {done} nodes lost so far", flush=True)
    return faults


def lose_one(folder: Path, join: tuple[str, str], run: subprocess.Popen[bytes], seconds: float) -> int:
    """Let a node join and kill its raylet after `seconds`; 1, or 0 where the run ended before."""
    with joined(folder / "lost.log", join) as process:
        deadline = time.monotonic() + seconds
        while run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        raylet = raylet_of(process)
        if run.poll() is not None or raylet is None:
            return 0
        raylet.kill()
        return 1


def compared(out: Path, code: int, wanted: dict[str, str]) -> list[str]:
    """The faults of one run that has ended."""
    log = out.with_suffix(".log").read_text()
    if code != 0:
        return [f"{out.name}: exit code {code}: {log[-2000:]}"]
    found = hashes(out)
    names = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    blamed = [f"{out.name}: a document was quarantined"] if "quarantined in" in log else []
    return blamed + [f"{out.name}: {name} differs" for name in names]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--losses", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        faults = campaign(folder, given.losses, given.seed, given.documents)
    print("\n".join(faults) if faults else "every byte is the same")
    if faults:
        sys.exit(f"seed {given.seed}: {len(faults)} faults")


if __name__ == "__main__":
    main()
