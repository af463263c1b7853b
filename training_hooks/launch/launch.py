"""From a stage that ranks do together to its summary: the ranks are started where this process runs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
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
) -> dict[str, Any]:
    """The summary of a stage (`OnRanks`) that `ranks` processes do, of `threads` threads each: those that
    torchrun started, else, in a worker of Ray, on its cluster, else on this machine.

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
        return train_on_ray(work, Placed(ranks, threads, silence, here))
    with stop_when_asked() as stop, tempfile.TemporaryDirectory(prefix="corpusmill-ranks-") as given:
        url = Path(given, "meeting").as_uri()
        meetings = [Meeting(url, rank, ranks) for rank in range(ranks)]
        with Gang(work, meetings, threads=threads, silence=silence, environment=LOOPBACK) as gang:
            ends = gang.watch(lambda: stop.asked)
            error = cause(ends, ranks, stopped=stop.asked)
            if error is not None:
                raise error
            summary: dict[str, Any] = gang.summary(0)
            return summary
