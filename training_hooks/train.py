"""Train a small DeepSeek-V3-style model on the token shards, to prove that the data teaches."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from corpusmill.pipelines.stage import Context, Task


class Balance(BaseModel):
    """How experts are kept evenly loaded (section 2.1.2).

    `gamma`: step of the routing bias after each batch, 0 switches it off. `alpha`: weight of the
    sequence-wise balance loss.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gamma: float = Field(default=0.001, ge=0.0, le=1.0)
    alpha: float = Field(default=1e-4, ge=0.0, le=1.0)


class Train(Task):
    """Train a DeepSeek-V3-style model (arXiv 2412.19437): MLA, DeepSeekMoE with bias-based balance, MTP.

    - `preset`: sizes of the model, vocabulary apart: `v3-tiny` (about 1M parameters besides embedding and
      head), `v3-mini` (about 10M).
    - `steps`: optimiser steps. `batch_size`: sequences a step. `context`: tokens a sequence, at most a
      shard row's length; rows are cut to it and nothing is lost. Null: 256, or the row where it is shorter.
    - `learning_rate`: its peak; `warmup`: steps of linear rise; then a cosine to a tenth of the peak, all
      as functions of tokens seen.
    - `threads`: processor threads. Results repeat bit for bit for the same inputs, options, threads,
      torch version and processor family; another number of threads sums in another order.
    - `precision`: `fp32`, or `bf16` for matrix products in BF16 (weights, norms, router, softmax in FP32).
    - `mtp_depth`: multi-token prediction modules; `mtp_weight`: lambda, the weight of their mean loss.
    - `balance`: see `Balance`. `log_every`: steps between progress lines in the log.

    Differences from the report, because of scale: sizes; initial standard deviation grows as the width
    shrinks; a learning rate some 20 times V3's; no plateau before the cosine; constant batch size, lambda
    and gamma. AdamW betas, weight decay, clipping, and losses are the report's. Documents in one row attend
    to one another, as in V3's pre-training.

    Writes `model.safetensors`, `config.json` (names of the released configuration) and `metrics.jsonl` (one
    object a step: losses in nats, by source too, gradient norm, largest violation of expert balance).
    """

    libraries: ClassVar[tuple[str, ...]] = ("torch", "safetensors", "numpy")
    consumes: ClassVar[tuple[str, ...]] = ()

    preset: Literal["v3-tiny", "v3-mini"] = "v3-tiny"
    steps: int = Field(default=200, ge=1)
    batch_size: int = Field(default=8, ge=1, le=4096)
    context: int | None = Field(default=None, ge=2)
    learning_rate: float = Field(default=4e-3, gt=0.0, le=1.0)
    warmup: int = Field(default=10, ge=0)
    threads: int = Field(default=2, ge=1, le=1024)
    precision: Literal["fp32", "bf16"] = "fp32"
    mtp_depth: int = Field(default=1, ge=0, le=8)
    mtp_weight: float = Field(default=0.3, ge=0.0)
    balance: Balance = Balance()
    log_every: int = Field(default=20, ge=1)

    _seed: int = PrivateAttr(default=0)

    def prepare(self, context: Context) -> Self:
        """This stage with the run's seed."""
        ready = self.model_copy()
        ready._seed = context.seed
        return ready

    def run(self, inputs: Mapping[str, Sequence[Path]], folder: Path) -> dict[str, Any]:
        """Train on `inputs["shards"]` (Arrow files, in order); `inputs["tokenizer"]`, the tokenizer's
        folder, may be left out; where given, its hash must be the shards'.

        The summary: `first_loss`, `last_loss` (mean of the last 5% of steps), `ln_vocab` (the loss of a
        uniform guess over the model's vocabulary, padded as the tokenizer asks), `unigram_entropy` (the loss
        of the best guess that ignores context, over all tokens of the shards), `parameters`, `tokens`
        (targets trained on), `steps`, `max_expert_violation` (mean over the last 5% of steps of the largest
        over layers). Losses in nats. Raises UserError without torch, IntegrityError for shards that disagree,
        DataError for shards without rows.
        """
        from corpusmill.training_hooks.trainer.require_torch import require_torch

        require_torch()
        # Torch's threads spin while they wait; beside other work on the machine that made steps three times
        # slower. It counts only if torch is not loaded yet, and changes no figure.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        from safetensors.torch import save_file

        from corpusmill.pipelines.randomness import seed_of
        from corpusmill.training_hooks.loading.loader import ShardLoader, row_length
        from corpusmill.training_hooks.loading.unigram import entropy, token_counts
        from corpusmill.training_hooks.model.config import preset
        from corpusmill.training_hooks.model.initialise import initialise
        from corpusmill.training_hooks.model.transformer import Transformer
        from corpusmill.training_hooks.trainer.loop import Run, repeatable, train
        from corpusmill.training_hooks.trainer.schedule import Schedule

        shards = inputs["shards"]
        loader = ShardLoader(
            shards,
            batch_size=self.batch_size,
            seed=seed_of(self._seed, "training order"),
            context=min(256, row_length(shards)) if self.context is None else self.context,
            ahead=1 + self.mtp_depth,
        )
        for artefact in inputs.get("tokenizer", ()):
            loader.require_tokenizer(artefact / "tokenizer.json")
        unigram_entropy = entropy(token_counts(loader.shards))
        config = preset(self.preset, loader.model_vocab_size, self.mtp_depth)
        positions = self.batch_size * loader.context
        run = Run(
            steps=self.steps,
            schedule=Schedule(self.learning_rate, self.warmup * positions, self.steps * positions),
            mtp_weight=self.mtp_weight,
            gamma=self.balance.gamma,
            alpha=self.balance.alpha,
            low_precision=self.precision == "bf16",
            log_every=self.log_every,
        )
        with repeatable(self.threads):
            model = Transformer(config)
            initialise(model, seed_of(self._seed, "weights"), config.initial_std)
            records = train(model, loader, run, folder / "metrics.jsonl")
        save_file(model.state_dict(), folder / "model.safetensors")
        written = json.dumps(config.to_json(), indent=2, sort_keys=True) + "\n"
        (folder / "config.json").write_text(written, encoding="utf-8")
        tail = records[-max(1, self.steps // 20) :]
        return {
            "first_loss": records[0]["loss"],
            "last_loss": math.fsum(r["loss"] for r in tail) / len(tail),
            "ln_vocab": math.log(loader.model_vocab_size),
            "unigram_entropy": unigram_entropy,
            "parameters": sum(p.numel() for p in model.parameters()),
            "tokens": records[-1]["tokens"],
            "steps": self.steps,
            "max_expert_violation": math.fsum(r["max_expert_violation"] for r in tail) / len(tail),
        }
