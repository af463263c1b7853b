"""What `corpusmill train` does as one of the processes that torchrun started."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.launch.torchrun import follow, lead, outside

# Rank 0 trains in the process that was started; a training that failed is begun again by who started it.
HERE = ["engine={kind: inline, retries: 0}"]


def torchrun(run: Callable[[int, list[str]], None], ranks: int | None) -> bool:
    """Where a launcher started this process among others, do its part of their training: rank 0 calls `run`
    with the number of ranks and the settings that this asks for, the others join what it trains. False, and
    nothing done, where none did.

    `ranks`: how many were asked for. Raises UserError where that are not as many as were started.
    """
    place = outside(os.environ)
    if place is None:
        return False
    if ranks not in (None, place.ranks):
        raise UserError(f"--ranks {ranks}: {place.ranks} processes were started; leave the option out")
    if place.rank:
        logging.basicConfig(level="WARNING", format=f"rank {place.rank}: %(message)s")
        follow(place)
    else:
        with lead(place):
            run(place.ranks, HERE)
    return True
