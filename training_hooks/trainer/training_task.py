"""What `train` and `extend_context` share: options of a training, and the way from a model to its files."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, PrivateAttr, model_validator

from corpusmill.pipelines.contract.stage import Context, Task
from corpusmill.training_hooks.evaluation.options import Evaluate, Require
from corpusmill.training_hooks.trainer.options import Balance, Checkpointing

if TYPE_CHECKING:
    import torch
    from torch import nn

    from corpusmill.training_hooks.evaluation.examination import Examination
    from corpusmill.training_hooks.loading.loader import ShardLoader
    from corpusmill.training_hooks.model.config import ModelConfig
    from corpusmill.training_hooks.model.transformer import Transformer
    from corpusmill.training_hooks.trainer.checkpoint import Checkpoints
    from corpusmill.training_hooks.trainer.loop import Run
    from corpusmill.training_hooks.trainer.schedule import Schedule
    from corpusmill.training_hooks.trainer.workers import Look, Workers


Model = TypeVar("Model", bound="nn.Module")


def prepare_torch() -> None:
    """Set what torch reads when it is loaded: threads that wait sleep, where spinning made steps three times
    slower beside other work on the machine, and a GPU's deterministic products have their workspace. It
    changes no figure."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


class TrainingTask(Task):
    """A task that trains a model on token shards."""

    libraries: ClassVar[tuple[str, ...]] = ("torch", "safetensors", "numpy")
    consumes: ClassVar[tuple[str, ...]] = ()
    incidental: ClassVar[tuple[str, ...]] = ("checkpoint", "log_every", "peak_tflops")

    steps: int = Field(200, ge=1, description="Optimiser steps.")
    batch_size: int = Field(8, ge=1, le=65536, description="Sequences of a step.")
    micro_batch_size: int | None = Field(
        None, ge=1, description="Sequences that pass through the model at once; null: all of a step."
    )
    warmup: int | None = Field(
        None, ge=0, description="Steps over which the rate rises; null: 10, or the report's share if larger."
    )
    threads: int = Field(2, ge=1, le=1024, description="Processor threads; another number changes round-off.")
    device: Literal["cpu", "cuda"] = Field(
        "cpu", description="The processor, or the first GPU; each of several ranks has a GPU of its own."
    )
    precision: Literal["fp32", "bf16", "fp8"] = Field(
        "fp32", description="Numbers of matrix products; fp8 as in DeepSeek-V3's report, section 3.3."
    )
    sums: Literal["fp32", "fp64"] = Field(
        "fp32",
        description="Gradients' sums over tokens; fp64: the same results for all ranks and micro-batches.",
    )
    moments: Literal["fp32", "bf16"] = Field(
        "fp32", description="Numbers of Adam's moments; bf16 as in DeepSeek-V3's report, section 3.3.3."
    )
    recompute: bool = Field(
        False, description="Compute norms and up-projections again in backward: less memory, the same bits."
    )
    balance: Balance | Literal["off"] = Field(
        Balance(), description="How experts are kept evenly loaded; off: not at all."
    )
    evaluate: Evaluate = Field(Evaluate(), description="When the model is judged on held-out documents.")
    require: Require | None = Field(None, description="What must hold for the run to succeed; null: nothing.")
    ema: float | None = Field(
        None, ge=0.0, lt=1.0, description="Decay of an average of the weights kept besides; null: none."
    )
    checkpoint: Checkpointing = Field(Checkpointing(), description="When the state of training is kept.")
    log_every: int = Field(20, ge=1, description="Steps between progress lines in the log.")
    peak_tflops: float | None = Field(
        None, gt=0.0, description="Peak of the device in 10^12 operations per second; null: measured."
    )

    _seed: int = PrivateAttr(default=0)
    _groups: Any = PrivateAttr(default=None)  # of the ranks that train together; None in one process

    @model_validator(mode="after")
    def _sums_are_there(self) -> Self:
        if self.sums == "fp64" and (self.precision, self.device) != ("fp32", "cpu"):
            raise ValueError("sums: fp64 is there with `precision: fp32` on `device: cpu` alone")
        return self

    def prepare(self, context: Context) -> Self:
        """This stage with the run's seed."""
        ready = self.model_copy()
        ready._seed = context.seed
        return ready

    def run(self, inputs: Mapping[str, Sequence[Path]], folder: Path) -> dict[str, Any]:
        return self._start(inputs, folder, None)

    def resume(self, inputs: Mapping[str, Sequence[Path]], folder: Path, scratch: Path) -> dict[str, Any]:
        """As `run`, going on from the latest checkpoint in `scratch` if there is one."""
        return self._start(inputs, folder, scratch)

    def _start(
        self, inputs: Mapping[str, Sequence[Path]], folder: Path, scratch: Path | None
    ) -> dict[str, Any]:
        from corpusmill.training_hooks.trainer.require_torch import require_torch

        require_torch()
        prepare_torch()
        from corpusmill.training_hooks.evaluation.examination import Examination

        self._device()  # refused before anything is read
        definition = next((artefact / "tokenizer.json" for artefact in inputs.get("tokenizer", ())), None)
        groups = self._groups
        leads = groups is None or groups.rank == 0
        examination = Examination(inputs["shards"], definition, self.evaluate, self.require, judges=leads)
        if groups is not None:
            groups.anyone(False)  # shards that look broken are found before the others load them
        return self._train(inputs, folder, scratch, examination, definition)

    @abstractmethod
    def _train(
        self,
        inputs: Mapping[str, Sequence[Path]],
        folder: Path,
        scratch: Path | None,
        examination: Examination,
        definition: Path | None,
    ) -> dict[str, Any]:
        """The summary of a training on the examination's shards; `definition` is tokenizer.json."""

    def _loader(
        self, examination: Examination, definition: Path | None, *, context: int, ahead: int, order: str
    ) -> ShardLoader:
        """The shards' rows in the order that the seed and the name `order` give."""
        from corpusmill.pipelines.contract.randomness import seed_of
        from corpusmill.training_hooks.loading.loader import ShardLoader

        loader = ShardLoader(
            examination.training,
            batch_size=self.batch_size,
            seed=seed_of(self._seed, order),
            context=context,
            ahead=ahead,
        )
        if definition is not None:
            loader.require_tokenizer(definition)
        return loader

    def _ready(self, model: Model) -> Model:
        """The model, or a part of one, on its device, in its precision."""
        from corpusmill.training_hooks.model.recompute import recompute
        from corpusmill.training_hooks.model.wide_sums import widen
        from corpusmill.training_hooks.precision.apply import apply

        model.to(self._device())
        apply(model, self.precision)
        if self.sums == "fp64":
            widen(model)
        if self.recompute:
            recompute(model)
        return model

    def _device(self) -> torch.device:
        from corpusmill.training_hooks.trainer.device import require_device

        return require_device(self.device) if self._groups is None else self._groups.device

    def _carry_out(
        self,
        model: Transformer,
        loader: ShardLoader,
        run: Run,
        examination: Examination,
        folder: Path,
        scratch: Path | None,
    ) -> tuple[dict[str, Any], Transformer | None]:
        """Train, judge, write the step's files; the part of the summary that every training has, and the
        model. Of ranks that train together the first does all but training; the others' summary is empty and
        they have no model. `model` is used up."""
        import math

        from corpusmill.training_hooks.loading.unigram import entropy, token_counts
        from corpusmill.training_hooks.model.parameter_counts import flops_per_token
        from corpusmill.training_hooks.trainer.loop import repeatable, train_with
        from corpusmill.training_hooks.trainer.outcome import (
            layouts,
            summary,
            write_routing,
            write_weights,
        )

        metrics = folder / "metrics.jsonl"
        with repeatable(self.threads), self._workers(model, loader, run, scratch) as workers:
            trained = train_with(
                workers,
                loader,
                run,
                metrics,
                watched=scratch,
                look=self._look(examination, loader.context),
            )
            pipeline = workers.pipeline()
            whole = workers.whole_model()
            if whole is None:
                return {}, None
            judged = examination.finish(
                whole, loader.context, self.precision, metrics, folder, ema=trained.ema
            )
        write_weights(folder, whole, trained)
        write_routing(folder / "routing.json", whole, loader.sources, run, trained)
        found = {
            **summary(metrics, self.steps),
            "ln_vocab": math.log(loader.model_vocab_size),
            "unigram_entropy": entropy(token_counts(loader.shards)),
            **judged,
            "parameters": sum(p.numel() for p in whole.parameters()),
            "gamma": run.schedule.gamma,
            "operations_per_token": flops_per_token(whole.config, loader.context),
            **layouts(trained),
            **pipeline,
            **self._products(),
        }
        return found, whole

    def _workers(self, model: Transformer, loader: ShardLoader, run: Run, scratch: Path | None) -> Workers:
        """This process alone, or this rank among others."""
        from corpusmill.training_hooks.trainer.workers import Alone

        return Alone(
            model,
            loader,
            moments=run.moments,
            ema_decay=run.ema_decay,
            checkpoints=None if scratch is None else self._checkpoints(scratch, loader, model.config),
        )

    def _look(self, examination: Examination, context: int) -> Look:
        from corpusmill.training_hooks.trainer.workers import Look

        return Look(examination.looks, lambda done, model: examination.look(model, context, self.precision))

    def _products(self) -> dict[str, str]:
        """How BF16 products are taken, which the processor decides: part of what a training in BF16 or FP8
        records, and of what a checkpoint belongs to."""
        from corpusmill.training_hooks.model.products import bf16_products

        on_cpu = self.precision != "fp32" and self._device().type == "cpu"
        return {"bf16_products": bf16_products()} if on_cpu else {}

    def _checkpoints(self, scratch: Path, loader: ShardLoader, config: ModelConfig) -> Checkpoints:
        """The run's checkpoints, which belong to these options, this data and this version of torch."""
        from importlib.metadata import version

        from corpusmill.pipelines.storage.sealed import digest
        from corpusmill.training_hooks.trainer.checkpoint import Checkpoints

        run = {
            "options": self.model_dump(mode="json", exclude=set(self.incidental)),
            "seed": self._seed,
            "stream": loader.stream(),
            "config": config.to_json(),
            "torch": version("torch"),
            **self._products(),
        }
        return Checkpoints(scratch / "checkpoints", digest(run), self.checkpoint.keep)

    def _run(self, context: int) -> Run:
        """The options as the loop takes them, on sequences of `context` tokens."""
        import torch

        from corpusmill.training_hooks.trainer.loop import Run

        alpha, gamma = self._alpha_and_gamma()
        return Run(
            steps=self.steps,
            schedule=self._schedule(context, gamma),
            alpha=alpha,
            micro_batch=self.micro_batch_size or self.batch_size,
            precision=self.precision,
            moments=torch.bfloat16 if self.moments == "bf16" else torch.float32,
            ema_decay=self.ema,
            log_every=self.log_every,
            checkpoint_every=self.checkpoint.every,
            peak=None if self.peak_tflops is None else self.peak_tflops * 1e12,
        )

    @abstractmethod
    def _schedule(self, context: int, gamma: float) -> Schedule:
        """What changes during the run; `gamma`: the routing bias's step at its start."""

    def _alpha_and_gamma(self) -> tuple[float, float]:
        """Weight of the sequence-wise loss, and the routing bias's step."""
        from corpusmill.training_hooks.trainer.options import usual_gamma

        if self.balance == "off":
            return 0.0, 0.0
        gamma = usual_gamma(self.steps) if self.balance.gamma is None else self.balance.gamma
        return self.balance.alpha, gamma
