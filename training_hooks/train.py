"""Train a small DeepSeek-V3-style model on the token shards, to prove that the data teaches."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from corpusmill.pipelines.stage import Context, Task
from corpusmill.training_hooks.evaluation.options import Evaluate, Require
from corpusmill.training_hooks.trainer.options import Balance, Checkpointing, usual_gamma

if TYPE_CHECKING:
    import torch

    from corpusmill.training_hooks.loading.loader import ShardLoader
    from corpusmill.training_hooks.model.config import ModelConfig
    from corpusmill.training_hooks.model.transformer import Transformer
    from corpusmill.training_hooks.trainer.checkpoint import Checkpoints
    from corpusmill.training_hooks.trainer.loop import Run


class Train(Task):
    """Train a DeepSeek-V3-style model (arXiv 2412.19437): MLA, DeepSeekMoE with bias-based balance, MTP.

    - `preset`: sizes of the model, vocabulary apart: `v3-tiny` (about 1M parameters besides embedding and
      head), `v3-mini` (about 10M), `v3-small` (about 150M).
    - `steps`: optimiser steps. `batch_size`: sequences a step. `micro_batch_size`: how many of them pass
      through the model at once (null: all); gradients add up to the same to round-off, in less memory.
      `context`: tokens a sequence, at most a shard row's length; rows are cut to it and nothing is lost.
      Null: 256, or the row where it is shorter.
    - `schedule`: of learning rate, batch, gamma and lambda as functions of tokens seen. `report`: the phases
      of section 4.2, their boundaries as shares of this run; `batch_size`, `learning_rate`, `gamma` and
      `mtp_weight` stand for its 15360, 2.2e-4, 0.001 and 0.3. `cosine`: the rate down one cosine to a tenth
      of its peak, the rest constant: every step of one size.
    - `learning_rate`: its peak; `warmup`: steps of linear rise, null for 10 or the report's share of the
      run, where that is more.
    - `threads`: processor threads. Results repeat bit for bit for the same inputs, options, threads,
      torch version and processor family; another number of threads sums in another order.
    - `device`: `cpu`, or `cuda` for the first GPU.
    - `precision`: `fp32`, `bf16` for matrix products in BF16 (weights, norms, router, softmax in FP32), or
      `fp8`, the report's section 3.3: exact emulation on a processor (slow), tensor cores on Hopper.
    - `moments`: `fp32`, or `bf16` for Adam's moments in BF16 as in section 3.3.3. Weights stay FP32.
    - `recompute`: compute norms and MLA's up-projections again in backward rather than keep them
      (section 3.2.3): less memory, the same bits.
    - `mtp_depth`: multi-token prediction modules; `mtp_weight`: lambda, the weight of their mean loss.
    - `balance`: see `Balance`, or `off`. `ema`: decay of an average of the weights kept besides (section
      3.2.3; the report gives no figure), null for none.
    - `evaluate`: when the documents that `pack` held out are looked at, besides the end; see `Evaluate`.
    - `require`: what must hold for the run to succeed, see `Require`; null: nothing. Shards that look broken
      (`evaluation.faults`) are named in the log either way.
    - `checkpoint`: see `Checkpointing`. `log_every`: steps between progress lines in the log.
      `peak_tflops`: what utilisation is measured against in the log; null to measure a matrix product.

    Differences from the report, because of scale: sizes; initial standard deviation grows as the width
    shrinks; a learning rate some 20 times V3's; gamma is larger in a short run; with `cosine`, no
    plateau, constant batch size, lambda and gamma. AdamW betas, weight decay, clipping, and losses are the
    report's. Documents in one row attend to one another, as in V3's pre-training.

    Writes `model.safetensors`, `config.json` (names of the released configuration), `metrics.jsonl` (one
    object a step: losses in nats, by source too, gradient norm, and for each mixture layer the largest and
    mean violation of even load and its entropy over ln E), `routing.json` (`counts[layer][source][expert]`
    of tokens over the last tenth of the steps), `evaluation.json` (bits per byte of the documents held out,
    beside a unigram's and a bigram's; see `evaluation.examination`) and, with `ema`, `ema.safetensors`.
    """

    libraries: ClassVar[tuple[str, ...]] = ("torch", "safetensors", "numpy")
    consumes: ClassVar[tuple[str, ...]] = ()
    incidental: ClassVar[tuple[str, ...]] = ("checkpoint", "log_every", "peak_tflops")

    preset: Literal["v3-tiny", "v3-mini", "v3-small"] = "v3-tiny"
    steps: int = Field(default=200, ge=1)
    batch_size: int = Field(default=8, ge=1, le=65536)
    micro_batch_size: int | None = Field(default=None, ge=1)
    context: int | None = Field(default=None, ge=2)
    schedule: Literal["report", "cosine"] = "cosine"
    learning_rate: float = Field(default=4e-3, gt=0.0, le=1.0)
    warmup: int | None = Field(default=None, ge=0)
    threads: int = Field(default=2, ge=1, le=1024)
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["fp32", "bf16", "fp8"] = "fp32"
    moments: Literal["fp32", "bf16"] = "fp32"
    recompute: bool = False
    mtp_depth: int = Field(default=1, ge=0, le=8)
    mtp_weight: float = Field(default=0.3, ge=0.0)
    balance: Balance | Literal["off"] = Balance()
    evaluate: Evaluate = Evaluate()
    require: Require | None = None
    ema: float | None = Field(default=None, ge=0.0, lt=1.0)
    checkpoint: Checkpointing = Checkpointing()
    log_every: int = Field(default=20, ge=1)
    peak_tflops: float | None = Field(default=None, gt=0.0)

    _seed: int = PrivateAttr(default=0)

    def prepare(self, context: Context) -> Self:
        """This stage with the run's seed."""
        ready = self.model_copy()
        ready._seed = context.seed
        return ready

    def run(self, inputs: Mapping[str, Sequence[Path]], folder: Path) -> dict[str, Any]:
        """Train on those of `inputs["shards"]` (Arrow files, in order) that are not held out;
        `inputs["tokenizer"]`, the tokenizer's folder, may be left out; where given, its hash must be theirs.

        The summary: `first_loss`, `last_loss` (mean of the last 5% of steps), `ln_vocab` (the loss of a
        uniform guess over the padded vocabulary), `unigram_entropy` (the loss of the best guess that ignores
        context, over all tokens of the shards), `bits_per_byte` (held-out documents by `model`, `unigram` and
        `bigram`; null without), `shard_faults`, `parameters`, `tokens` (targets trained on), `steps`,
        `max_expert_violation` (mean over the last 5% of steps of the largest over layers), `gamma` (its first
        value) and `operations_per_token`. Losses in nats. Raises UserError without torch or the device asked
        for and where the loss diverges, IntegrityError for shards that disagree, DataError for shards without
        rows and for what `require` asks in vain, Interrupted on SIGTERM or SIGINT.
        """
        return self._train(inputs, folder, None)

    def resume(self, inputs: Mapping[str, Sequence[Path]], folder: Path, scratch: Path) -> dict[str, Any]:
        """As `run`, going on from the latest checkpoint in `scratch` if there is one."""
        return self._train(inputs, folder, scratch)

    def _train(
        self, inputs: Mapping[str, Sequence[Path]], folder: Path, scratch: Path | None
    ) -> dict[str, Any]:
        from corpusmill.training_hooks.trainer.require_torch import require_torch

        require_torch()
        # Torch's threads spin while they wait; beside other work on the machine that made steps three times
        # slower. It counts only if torch is not loaded yet, and changes no figure. The other is what the
        # deterministic products of a GPU ask for.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        from corpusmill.training_hooks.evaluation.examination import Examination
        from corpusmill.training_hooks.loading.unigram import entropy, token_counts
        from corpusmill.training_hooks.model.config import preset
        from corpusmill.training_hooks.trainer.device import require_device
        from corpusmill.training_hooks.trainer.flops import flops_per_token
        from corpusmill.training_hooks.trainer.loop import repeatable, train
        from corpusmill.training_hooks.trainer.outcome import summary, write_routing, write_weights

        device = require_device(self.device)
        definition = next((artefact / "tokenizer.json" for artefact in inputs.get("tokenizer", ())), None)
        examination = Examination(inputs["shards"], definition, self.evaluate, self.require)
        loader = self._loader(examination.training, definition)
        config = preset(self.preset, loader.model_vocab_size, self.mtp_depth)
        run = self._run(loader.context)
        checkpoints = None if scratch is None else self._checkpoints(scratch, loader, config)
        metrics = folder / "metrics.jsonl"
        with repeatable(self.threads):
            model = self._model(config, device)
            trained = train(
                model,
                loader,
                run,
                metrics,
                checkpoints=checkpoints,
                watched=scratch,
                look=lambda done: examination.look(done, model, loader.context, self.precision),
            )
            judged = examination.finish(model, loader.context, self.precision, metrics, folder)
        write_weights(folder, model, trained)
        write_routing(folder / "routing.json", model, loader.sources, run, trained)
        return {
            **summary(metrics, self.steps),
            "ln_vocab": math.log(loader.model_vocab_size),
            "unigram_entropy": entropy(token_counts(loader.shards)),
            **judged,
            "parameters": sum(p.numel() for p in model.parameters()),
            "gamma": run.schedule.gamma,
            "operations_per_token": flops_per_token(config, loader.context),
        }

    def _loader(self, shards: Sequence[Path], definition: Path | None) -> ShardLoader:
        from corpusmill.pipelines.randomness import seed_of
        from corpusmill.training_hooks.loading.loader import ShardLoader, row_length

        loader = ShardLoader(
            shards,
            batch_size=self.batch_size,
            seed=seed_of(self._seed, "training order"),
            context=min(256, row_length(shards)) if self.context is None else self.context,
            ahead=1 + self.mtp_depth,
        )
        if definition is not None:
            loader.require_tokenizer(definition)
        return loader

    def _run(self, context: int) -> Run:
        import torch

        from corpusmill.training_hooks.trainer.loop import Run
        from corpusmill.training_hooks.trainer.schedule import schedule

        gamma, alpha = 0.0, 0.0
        if self.balance != "off":
            gamma = usual_gamma(self.steps) if self.balance.gamma is None else self.balance.gamma
            alpha = self.balance.alpha
        return Run(
            steps=self.steps,
            schedule=schedule(
                self.schedule,
                steps=self.steps,
                batch=self.batch_size,
                context=context,
                warmup_steps=self.warmup,
                peak=self.learning_rate,
                gamma=gamma,
                mtp_weight=self.mtp_weight,
            ),
            alpha=alpha,
            micro_batch=self.micro_batch_size or self.batch_size,
            precision=self.precision,
            moments=torch.bfloat16 if self.moments == "bf16" else torch.float32,
            ema_decay=self.ema,
            log_every=self.log_every,
            checkpoint_every=self.checkpoint.every,
            peak=None if self.peak_tflops is None else self.peak_tflops * 1e12,
        )

    def _model(self, config: ModelConfig, device: torch.device) -> Transformer:
        """The model at its start, on its device."""
        from corpusmill.pipelines.randomness import seed_of
        from corpusmill.training_hooks.model.initialise import initialise
        from corpusmill.training_hooks.model.recompute import recompute
        from corpusmill.training_hooks.model.transformer import Transformer
        from corpusmill.training_hooks.precision.apply import apply

        model = Transformer(config)
        initialise(model, seed_of(self._seed, "weights"), config.initial_std)
        model.to(device)
        apply(model, self.precision)
        if self.recompute:
            recompute(model)
        return model

    def _checkpoints(self, scratch: Path, loader: ShardLoader, config: ModelConfig) -> Checkpoints:
        """The run's checkpoints, which belong to these options, this data and this version of torch."""
        from importlib.metadata import version

        from corpusmill.pipelines.storage import digest
        from corpusmill.training_hooks.trainer.checkpoint import Checkpoints

        run = {
            "options": self.model_dump(mode="json", exclude=set(self.incidental)),
            "seed": self._seed,
            "stream": loader.stream(),
            "config": config.to_json(),
            "torch": version("torch"),
        }
        return Checkpoints(scratch / "checkpoints", digest(run), self.checkpoint.keep)
