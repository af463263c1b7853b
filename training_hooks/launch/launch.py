"""From a stage that ranks do together to its summary: the ranks are started where this process runs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corpusmill.pipelines.run.step import StageSpec
from corpusmill.pipelines.storage.remote.mirrors import location_of
from corpusmill.training_hooks.launch.fault import cause
from corpusmill.training_hooks.launch.gang import LOOPBACK, Gang
from corpusmill.training_hooks.launch.ray_gang import Placed, in_ray, train_on_ray
from corpusmill.training_hooks.launch.torchrun import leading, train_with_others
from corpusmill.training_hooks.launch.work import Meeting, Work
from corpusmill.training_hooks.trainer.stop import stop_when_asked

_MEETING = "corpusmill-ranks-"


def train_on_ranks(
    spec: StageSpec,
    seed: int,
    inputs: Mapping[str, Sequence[Path]],
    folder: Path,
    scratch: Path | None,
    *,
    ranks: int,
    threads: int,
    silence: float,
    gpus: bool,
) -> dict[str, Any]:
    """The summary of a stage (`OnRanks`) that `ranks` processes do, of `threads` threads each: those that
    torchrun started, else, in a worker of Ray, on its cluster, else on this machine. `gpus`: each on one.

    SIGTERM or SIGINT is passed on to the ranks, once, as SIGTERM. Raises what a rank raised: deliberate
    errors and those of the system as they were, others as RankError, and RankError that names the rank for
    one that died or gave no sign of life for `silence` seconds. No process is left in any case.
    """
    work = Work.of(spec, seed, inputs, folder, scratch)
    place = leading()
    if place is not None:
        return train_with_others(work, place)
    if in_ray():
        here = location_of(folder) != str(folder)
        return train_on_ray(work, Placed(ranks, threads, silence, here, gpus))
    with stop_when_asked() as stop, _meeting_place(scratch) as given:
        url = Path(given, "meeting").absolute().as_uri()
        meetings = [Meeting(url, rank, ranks, local=rank, beside=ranks) for rank in range(ranks)]
        with Gang(work, meetings, threads=threads, silence=silence, environment=LOOPBACK) as gang:
            ends = gang.watch(lambda: stop.asked)
            error = cause(ends, ranks, stopped=stop.asked)
            if error is not None:
                raise error
            summary: dict[str, Any] = gang.summary(0)
            return summary


@contextmanager
def _meeting_place(scratch: Path | None) -> Iterator[str]:
    """A folder for the file that ranks meet in, of the run where there is one: what an attempt that was
    killed left there, the next one removes, or the end of the run."""
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)
        for left in scratch.glob(f"{_MEETING}*"):
            shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=_MEETING, dir=scratch) as folder:
        yield folder
