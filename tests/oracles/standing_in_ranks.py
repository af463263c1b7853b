"""A stage in place of a training: its ranks do what its options say. Needs no torch, so ranks start fast.

Tests copy this file into a folder of their own, from which ranks import it as a module of its name.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import DataError, Interrupted
from corpusmill.pipelines.contract.stage import Context, Task
from corpusmill.training_hooks.launch.work import Meeting
from corpusmill.training_hooks.trainer.stop import stop_when_asked


def raises(what: str) -> None:
    if what == "data":
        raise DataError("shard-7.arrow: row 3 is cut off; write it again")
    if what == "value":
        raise ValueError("an expert of 9")
    if what == "peer":
        raise ConnectionResetError("Connection reset by peer")


class StandingIn(Task):
    """`at`: the rank that does as told, `then`: what it does; the others wait until they are stopped, or with
    `others` do that. All write a file `<rank>.begun` first."""

    at: int = 0
    then: str = "done"
    others: str = "wait"

    _seed: int = 0

    def prepare(self, context: Context) -> StandingIn:
        ready = self.model_copy()
        ready._seed = context.seed
        return ready

    def run(self, inputs: Mapping[str, Sequence[Path]], folder: Path) -> dict[str, Any]:
        raise NotImplementedError

    def train_rank(
        self, meeting: Meeting, inputs: Mapping[str, Sequence[Path]], folder: Path, scratch: Path | None
    ) -> dict[str, Any]:
        with stop_when_asked() as stop:
            (folder / f"{meeting.rank}.begun").write_text(f"{os.getpid()}")
            while len(list(folder.glob("*.begun"))) < meeting.ranks:
                time.sleep(0.01)
            what = self.then if meeting.rank == self.at else self.others
            if what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif what == "freeze":
                os.kill(os.getpid(), signal.SIGSTOP)
            elif what == "deaf":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while what in ("wait", "deaf") and not stop.asked:
                time.sleep(0.01)
            if what == "wait":
                raise Interrupted(f"stopped with {meeting.rank}; run the same command to go on")
            raises(what)
            print("said by", meeting.rank, os.environ.get("OMP_NUM_THREADS"), flush=True)
            return {
                "seed": self._seed,
                "rank": meeting.rank,
                "inputs": {name: [path.name for path in paths] for name, paths in inputs.items()},
                "scratch": None if scratch is None else scratch.name,
            }
