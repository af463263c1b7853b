"""On a machine without compiled kernels, two more processes compile them while the suite collects its tests
and runs the first ones.

Otherwise the processes of the suite wait for one another's kernels in the first minutes, and each keeps in
memory what its compiler has made. Where files or folders are named, the tests compile what they need: all
kernels take two minutes of a core.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import ValidationError

from corpusmill.pipelines.contract import rooms
from corpusmill.pipelines.contract.stage import Stage
from corpusmill.pipelines.recipe import registry
from corpusmill.pipelines.run.compile_ahead import compiling_ahead
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.run.step import StageSpec, Step


@contextmanager
def compiling() -> Iterator[None]:
    """Compile the kernels of every stage that can stand without options, from both ends of their list."""
    steps = [Step(spec.name, operator_named("map"), (spec,)) for spec in _specs()]
    with ExitStack() as stack:
        log = stack.enter_context(Path(os.devnull).open("wb"))  # a test that needs the kernel tells the error
        for order in (steps, steps[::-1]):
            stack.enter_context(compiling_ahead(order, log))
        yield


def _specs() -> Iterator[StageSpec]:
    for room in rooms.ROOMS:
        for name in rooms.names(room):
            stage = registry.find(room, name)
            if stage.warm is not Stage.warm:
                try:
                    yield StageSpec.of(stage())
                except ValidationError:
                    continue  # it needs options
