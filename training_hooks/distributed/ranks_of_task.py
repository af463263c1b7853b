"""From a stage that trains to the part of one rank in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.distributed.group import joined
from corpusmill.training_hooks.distributed.groups import Groups
from corpusmill.training_hooks.distributed.layout import Layout
from corpusmill.training_hooks.distributed.passes import Passes, PlainPasses
from corpusmill.training_hooks.distributed.together import Together
from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.trainer.checkpoint import Checkpoints
from corpusmill.training_hooks.trainer.loop import Run
from corpusmill.training_hooks.trainer.options import Parallel

if TYPE_CHECKING:
    from corpusmill.training_hooks.launch.work import Meeting


@contextmanager
def meeting_of(meeting: Meeting, parallel: Parallel) -> Iterator[Groups]:
    """The groups of this rank with the others that meet there. Raises UserError for a number of ranks that
    `parallel` does not divide."""
    layout = Layout.of(meeting.ranks, pipeline=parallel.pipeline, experts=parallel.experts)
    with joined(meeting.url, meeting.rank, meeting.ranks, meeting.seconds):
        yield Groups(layout)


def passes_of(model: Transformer, groups: Groups, parallel: Parallel) -> Passes:
    """How this rank's rows come through `model`, of which it takes its part. Raises UserError for a model
    that does not divide so."""
    layout = groups.layout
    layout.require_experts(model.config.n_routed_experts)
    if layout.pipeline > 1:
        raise UserError(f"parallel.pipeline: {parallel.pipeline} stages are not there yet: set 1")
    return PlainPasses(model, groups.experts)


def together(
    model: Transformer,
    groups: Groups,
    loader: ShardLoader,
    run: Run,
    parallel: Parallel,
    *,
    blank: Callable[[], Transformer],
    checkpoints: Callable[[], Checkpoints] | None,
) -> Together:
    """This rank at work on its part of `model`. `checkpoints` opens those of the run, on rank 0."""
    config = model.config
    return Together(
        config,
        passes_of(model, groups, parallel),
        groups,
        loader,
        blank,
        moments=run.moments,
        ema_decay=run.ema_decay,
        checkpoints=checkpoints() if checkpoints is not None and groups.rank == 0 else None,
        keeps=checkpoints is not None,
    )
