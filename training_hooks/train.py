"""Train a small DeepSeek-V3-style model on the token shards, to prove that the data teaches."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from corpusmill.pipelines.contract.stage import Stage
from corpusmill.training_hooks.trainer.ranked_task import RankedTask

if TYPE_CHECKING:
    from corpusmill.training_hooks.evaluation.examination import Examination
    from corpusmill.training_hooks.model.config import ModelConfig
    from corpusmill.training_hooks.model.transformer import Transformer
    from corpusmill.training_hooks.trainer.schedule import Schedule

CONTEXT = 256  # tokens a sequence where the recipe does not say
VOCABULARY = 1024  # of a model whose layout is looked at before there is a tokenizer; no layout hangs on it


class Train(RankedTask):
    """Train a DeepSeek-V3-style model (arXiv 2412.19437): MLA, DeepSeekMoE with bias-based balance, MTP.

    - `start_from` takes what a `train` step wrote, what `corpusmill import` made of a DeepSeek-V3 folder, or
      such a folder. Its sizes stand in place of `preset` and `mtp_depth`, its routing biases are kept, the
      optimiser starts anew; it must have the vocabulary of the shards.
    - `micro_batch_size`: gradients add up to the same to round-off, in less memory. `context` is at most a
      shard row's length; rows are cut to it and nothing is lost.
    - `schedule` gives learning rate, batch, gamma and lambda as functions of tokens seen. `report`: the
      phases of section 4.2, their boundaries as shares of this run; `batch_size`, `learning_rate`, `gamma`
      and `mtp_weight` stand for its 15360, 2.2e-4, 0.001 and 0.3. `cosine`: the rate down one cosine to a
      tenth of its peak, the rest constant: every step of one size.
    - Results repeat bit for bit for the same inputs, options, `threads`, torch version and processor family.
    - `precision`: with `bf16`, weights, norms, router and softmax stay FP32; `fp8` is exact emulation on a
      processor (slow), tensor cores on Hopper. With BF16 `moments` weights stay FP32.
    - `sums: fp64`: layouts of ranks (with `parallel.nodes: 1`) and micro-batches give the same weights, in
      1.5 times the time. FP32 on a processor only.
    - `dispatch: fp8` is of section 3.3.3. It rounds where experts are spread over ranks and nowhere else.
    - `recompute` and `ema` are of section 3.2.3, which gives no figure for the decay.
    - Shards that look broken (`evaluation.faults`) are named in the log whether `require` asks or not.

    What differs from the report because of scale: docs/training.md.

    Writes `model.safetensors`, `config.json`, `metrics.jsonl`, `routing.json`, `evaluation.json` and, with
    `ema`, `ema.safetensors`. Their content and the summary that `run` returns: docs/training.md. Losses are
    in nats.

    `inputs["shards"]` are Arrow files, in order; `inputs["tokenizer"]`, the tokenizer's folder, may be left
    out; where given, its hash must be theirs. Raises UserError without torch or the device asked for and
    where the loss diverges, IntegrityError for shards that disagree, DataError for shards without rows and
    for what `require` asks in vain, Interrupted on SIGTERM or SIGINT.
    """

    preset: Literal["v3-tiny", "v3-mini", "v3-small"] = Field(
        "v3-tiny", description="Model of about 1M, 10M or 150M parameters besides embedding and head."
    )
    start_from: Path | None = Field(
        None, description="Folder of a model to go on from, relative to the recipe; null: fresh weights."
    )
    context: int | None = Field(
        None, ge=2, description="Tokens of a sequence; null: 256, or a shard's row where it is shorter."
    )
    schedule: Literal["report", "cosine"] = Field(
        "cosine", description="The phases of DeepSeek-V3's report, section 4.2, or one cosine of the rate."
    )
    learning_rate: float = Field(
        4e-3, gt=0.0, le=1.0, description="Peak of the learning rate (DeepSeek-V3, a larger model: 2.2e-4)."
    )
    mtp_depth: int = Field(1, ge=0, le=8, description="Modules of multi-token prediction (DeepSeek-V3: 1).")
    mtp_weight: float = Field(
        0.3, ge=0.0, description="Lambda, the weight of their mean loss (DeepSeek-V3: 0.3, later 0.1)."
    )

    @model_validator(mode="after")
    def _ranks_divide(self) -> Self:
        from corpusmill.pipelines.contract.errors import UserError
        from corpusmill.training_hooks.model.config import preset

        config = None if self.start_from else preset(self.preset, VOCABULARY, self.mtp_depth)
        try:
            self.divide(config)
        except UserError as error:
            raise ValueError(str(error)) from error
        return self

    def conflicts(self, before: Sequence[Stage]) -> list[tuple[str, str]]:
        """A model to start from that the ranks cannot divide, by what its config.json tells."""
        from corpusmill.pipelines.contract.errors import UserError
        from corpusmill.training_hooks.model.config import described

        path = None if self.start_from is None else self.start_from / "config.json"
        if self.ranks == 1 or path is None or not path.is_file():
            return []
        try:
            self.divide(described(path))
        except UserError as error:
            return [("parallel", f"{error} (the model in {self.start_from})")]
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            return [("start_from", f"{path} does not describe a model of this kind: {error}")]
        return []

    def external_files(self) -> tuple[Path, ...]:
        """The weights and the description of the model to start from."""
        if self.start_from is None:
            return ()
        folder = self.start_from
        weights = sorted(folder.glob("model*.safetensors*"))
        return (folder / "config.json", *(weights or [folder / "model.safetensors"]))

    def window(self, row: int) -> int:
        """Tokens a sequence from shards whose rows hold `row` tokens."""
        return min(CONTEXT, row) if self.context is None else self.context

    def step_tokens(self, row: int) -> int:
        """Tokens of a full batch."""
        return self.batch_size * self.window(row)

    def phase_options(self, row: int, length: int, longest: int) -> dict[str, Any]:
        """What follows for `extend_context` on rows of `length` tokens, of phases up to `longest`."""
        context = self.window(row)
        full, piece = (
            n * context // length for n in (self.batch_size, self.micro_batch_size or self.batch_size)
        )
        schedule = self._schedule(context, 0.0)
        alpha = 0.0 if self.balance == "off" else self.balance.alpha
        incidental = (name for name in self.incidental if name in RankedTask.model_fields)
        same = ("threads", "device", "precision", "sums", "moments", "recompute", "dispatch", *incidental)
        return {
            **{name: value for name, value in self.model_dump().items() if name in (*same, "evaluate")},
            "batch_size": max(1, full),
            "micro_batch_size": max(1, piece),
            "learning_rate": schedule.last_rate(),
            "mtp_weight": schedule.depth_weight(schedule.total),
            "balance": {"gamma": 0.0, "alpha": alpha} if alpha else "off",
            "stretch_to": longest,
        }

    def _train(
        self,
        inputs: Mapping[str, Sequence[Path]],
        folder: Path,
        scratch: Path | None,
        examination: Examination,
        definition: Path | None,
    ) -> dict[str, Any]:
        from corpusmill.training_hooks.loading.loader import row_length

        context = self.window(row_length(examination.training))
        given = self._given(context)
        depth = self.mtp_depth if given is None else given.config.num_nextn_predict_layers
        loader = self._loader(
            examination, definition, context=context, ahead=1 + depth, order="training order"
        )
        model = self._fresh(loader.model_vocab_size, context) if given is None else given
        _require_vocabulary(model.config, loader.model_vocab_size, self.start_from)
        run = self._run(context)
        return self._carry_out(self._ready(model), loader, run, examination, folder, scratch)[0]

    def phase_fault(self, phase: RankedTask) -> str | None:
        """Why the ranks of a phase that goes on from this model cannot divide it or its batches."""
        from corpusmill.pipelines.contract.errors import UserError
        from corpusmill.training_hooks.model.config import described, preset

        path = None if self.start_from is None else self.start_from / "config.json"
        try:
            if path is None:
                phase.divide(preset(self.preset, VOCABULARY, self.mtp_depth))
            else:
                phase.divide(described(path) if path.is_file() else None)
        except UserError as error:
            return str(error)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return None  # `conflicts` tells what is wrong with the description
        return None

    def _schedule(self, context: int, gamma: float) -> Schedule:
        from corpusmill.training_hooks.trainer.schedule import schedule

        return schedule(
            self.schedule,
            steps=self.steps,
            batch=self.batch_size,
            context=context,
            warmup_steps=self.warmup,
            peak=self.learning_rate,
            gamma=gamma,
            mtp_weight=self.mtp_weight,
        )

    def _fresh(self, vocabulary: int, context: int) -> Transformer:
        """The preset at its start."""
        from corpusmill.pipelines.contract.randomness import seed_of
        from corpusmill.training_hooks.model.config import preset
        from corpusmill.training_hooks.model.initialise import initialise
        from corpusmill.training_hooks.model.transformer import Transformer

        config = preset(self.preset, vocabulary, self.mtp_depth)
        model = Transformer(dataclasses.replace(config, max_position_embeddings=context))
        initialise(model, seed_of(self._seed, "weights"), config.initial_std)
        return model

    def _given(self, context: int) -> Transformer | None:
        """The model to go on from, meant for `context` tokens from now on if it was for fewer."""
        from corpusmill.training_hooks.inference.open_model import open_model

        if self.start_from is None:
            return None
        model = open_model(self.start_from, mtp=None).requires_grad_(True)
        longest = max(context, model.config.max_position_embeddings)
        model.config = dataclasses.replace(model.config, max_position_embeddings=longest)
        return model


def _require_vocabulary(config: ModelConfig, wanted: int, folder: Path | None) -> None:
    from corpusmill.pipelines.contract.errors import UserError

    if config.vocab_size != wanted:
        raise UserError(
            f"train.start_from: the model in {folder} has a vocabulary of {config.vocab_size}, the shards "
            f"ask for {wanted}: encode the documents with its tokenizer (`tokenizer: {{load: ...}}`)"
        )
