"""A training that one process does, or several ranks together: what `train` and `extend_context` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from corpusmill.training_hooks.trainer.options import Parallel
from corpusmill.training_hooks.trainer.training_task import TrainingTask, prepare_torch

if TYPE_CHECKING:
    from corpusmill.training_hooks.launch.work import Meeting
    from corpusmill.training_hooks.loading.loader import ShardLoader
    from corpusmill.training_hooks.model.config import ModelConfig
    from corpusmill.training_hooks.model.transformer import Transformer
    from corpusmill.training_hooks.trainer.loop import Run
    from corpusmill.training_hooks.trainer.workers import Workers

SILENCE = 60.0  # seconds without a sign of life after which a rank is given up


class RankedTask(TrainingTask):
    """A training whose step is divided over `ranks` processes. They start here, or where torchrun or Ray have
    them; each calls `train_rank`, and rank 0 writes the files."""

    incidental: ClassVar[tuple[str, ...]] = (*TrainingTask.incidental, "ranks", "parallel")

    ranks: int = Field(
        1, ge=1, le=65536, description="Processes that train together; another number changes round-off."
    )
    parallel: Parallel = Field(
        Parallel(), description="How the ranks divide the model; by default they divide the data alone."
    )
    dispatch: Literal["exact", "fp8"] = Field(
        "exact", description="Rows between ranks of `experts`: exact, or FP8 there and BF16 back."
    )

    def divide(self, config: ModelConfig | None) -> None:
        """Raises UserError where the ranks do not divide, or not a model of `config` and batches of this
        size."""
        from corpusmill.training_hooks.distributed.layout import Layout
        from corpusmill.training_hooks.distributed.stages import pipeline_of

        layout = Layout.of(self.ranks, pipeline=self.parallel.pipeline, experts=self.parallel.experts)
        if self.ranks > 1 and config is not None:
            rows = self.micro_batch_size or self.batch_size
            pipeline_of(config, layout, self.parallel.schedule, self.batch_size, rows)

    def _start(
        self, inputs: Mapping[str, Sequence[Path]], folder: Path, scratch: Path | None
    ) -> dict[str, Any]:
        if self.ranks == 1 or self._groups is not None:
            return super()._start(inputs, folder, scratch)
        from corpusmill.pipelines.run.step import StageSpec
        from corpusmill.training_hooks.launch.launch import train_on_ranks
        from corpusmill.training_hooks.trainer.require_torch import require_torch

        require_torch()
        spec = StageSpec.of(self)
        return train_on_ranks(
            spec,
            self._seed,
            inputs,
            folder,
            scratch,
            ranks=self.ranks,
            threads=self.threads,
            silence=SILENCE,
            gpus=self.device == "cuda",
        )

    def train_rank(
        self, meeting: Meeting, inputs: Mapping[str, Sequence[Path]], folder: Path, scratch: Path | None
    ) -> dict[str, Any]:
        """The part of one rank in `run` or, with `scratch`, `resume`; every rank calls it, with the same
        folders. Rank 0 writes the files and has the summary; that of others is empty. Raises what they do,
        and RuntimeError where another rank is lost."""
        from corpusmill.training_hooks.trainer.require_torch import require_torch

        require_torch()
        prepare_torch()
        from corpusmill.training_hooks.distributed.ranks_of_task import meeting_of

        with meeting_of(meeting, self.parallel, self.device) as groups:
            ready = self.model_copy()
            ready._groups = groups
            return ready._start(inputs, folder, scratch)

    def _workers(self, model: Transformer, loader: ShardLoader, run: Run, scratch: Path | None) -> Workers:
        if self._groups is None:
            return super()._workers(model, loader, run, scratch)
        from corpusmill.training_hooks.distributed.ranks_of_task import together
        from corpusmill.training_hooks.model.transformer import Transformer

        config = model.config
        return together(
            model,
            self._groups,
            loader,
            run,
            self.parallel,
            dispatch=self.dispatch,
            batch=self.batch_size,
            blank=lambda: self._ready(Transformer(config)),
            ready=self._ready,
            checkpoints=None if scratch is None else lambda: self._checkpoints(scratch, loader, config),
        )
