"""Make a trained model's context longer: YaRN, and a phase of training on shards of longer rows."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from corpusmill.pipelines.records.opaque import Summary
from corpusmill.training_hooks.evaluation.long_context import Needles
from corpusmill.training_hooks.trainer.options import Balance
from corpusmill.training_hooks.trainer.ranked_task import RankedTask

if TYPE_CHECKING:
    from corpusmill.training_hooks.evaluation.examination import Examination
    from corpusmill.training_hooks.loading.loader import ShardLoader
    from corpusmill.training_hooks.model.config import ModelConfig
    from corpusmill.training_hooks.model.transformer import Transformer
    from corpusmill.training_hooks.model.yarn import YarnScaling
    from corpusmill.training_hooks.trainer.schedule import Schedule

log = logging.getLogger("corpusmill.train")

MEASURED = "measured.json"  # in the scratch folder: what was measured before the first step


class ExtendContext(RankedTask):
    """One long-context phase (DeepSeek-V3's report, section 4.3): stretch the positions of the model before
    by YaRN (Peng et al. 2023, arXiv 2309.00071) and train it on rows of `sequence_length` tokens.

    V3 has two phases, to 32K and 128K, with one YaRN (factor 40 of 4K, beta 32 and 1) in both, 1,000 steps
    each, as many tokens a step as at the end of pre-training, and its last learning rate throughout.

    In a recipe these options stand under `long_context`, for all phases, or in one of its `phases`. Left
    out, those that `train` has too are `train`'s (`require` and `ema` apart), and:

    - Documents are those of `pack`, in the same order of drawing, packed anew.
    - `batch_size`, `micro_batch_size`: null gives at least one.
    - `learning_rate` is constant after `warmup` steps (null: a tenth of the steps, 10 at most: the optimiser
      starts anew).
    - `ranks` and `parallel` are `train`'s too. Rank 0 measures, before and after; `batch_size` must fill the
      pipeline.
    - `balance`: null: alpha as in `train`, biases at rest (gamma 0), as at the end of pre-training, or `off`
      where that alpha is 0; given here, it is read as in `train`, where gamma left out is not 0.

    Writes what `train` writes (the longest context in `config.json` being the one stretched for), and
    `long_context.json`: `context` (tokens pre-trained on and now), `rope_scaling`, `by_position` (mean loss
    by tokens before the target of the model `before`, of the same weights with positions `stretched` but
    untrained, null where an earlier phase stretched them, and `after`; null where no document was held out)
    and `needles` (scores `before` and `after`; null where not asked for).

    Differences from the report: the scale, and what it leaves open: a warm-up, and biases at rest. Raises as
    `train`, and UserError for a context that does not grow, a factor too small for it, and needles that find
    no room.
    """

    sequence_length: int = Field(
        ge=16,
        le=2**20,
        description="Tokens of a row, more than in the phase before (DeepSeek-V3: 32K, 128K).",
    )
    batch_size: int = Field(
        1,
        ge=1,
        le=65536,
        description="Sequences of a step; null: as many as hold the tokens of a step of `train`.",
    )
    micro_batch_size: int | None = Field(
        None, ge=1, description="Sequences at once; null: as many as hold the tokens of `train`'s."
    )
    warmup: int | None = Field(
        None, ge=0, description="Steps over which the rate rises; null: a tenth of the steps, 10 at most."
    )
    learning_rate: float = Field(
        1e-4, gt=0.0, le=1.0, description="Learning rate after the warm-up; null: the last one of `train`."
    )
    stretch_to: int | None = Field(
        None,
        ge=16,
        le=2**30,
        description="Tokens that positions are stretched for; null: those of the last phase.",
    )
    factor: float | None = Field(
        None,
        ge=1.0,
        le=1e6,
        description="In place of `stretch_to`: multiple of the context before any stretching.",
    )
    beta_fast: float = Field(
        32.0,
        gt=0.0,
        le=1e6,
        description="Turns above which YaRN leaves a rotary pair alone (DeepSeek-V3: 32).",
    )
    beta_slow: float = Field(
        1.0,
        gt=0.0,
        le=1e6,
        description="Turns below which YaRN slows a rotary pair in full (DeepSeek-V3: 1).",
    )
    mtp_weight: float = Field(
        0.1, ge=0.0, description="Weight of the mean loss of MTP modules; null: the last one of `train`."
    )
    balance: Balance | Literal["off"] = Field(
        Balance(gamma=0.0),
        description="How experts are kept evenly loaded; null: as in `train`, biases at rest.",
    )
    needles: Needles | None = Field(
        Needles(), description="Needles to look for in long contexts, before and after; null: none."
    )

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        """Found before anything is trained, not after."""
        if self.beta_slow > self.beta_fast:
            raise ValueError(f"beta_slow {self.beta_slow:g} is above beta_fast {self.beta_fast:g}")
        longest = max((self.needles and self.needles.lengths) or (0,))
        if longest > self.sequence_length:
            raise ValueError(
                f"needles.lengths: {longest} is longer than the phase's {self.sequence_length} tokens"
            )
        return self

    def _train(
        self,
        inputs: Mapping[str, Sequence[Path]],
        folder: Path,
        scratch: Path | None,
        examination: Examination,
        definition: Path | None,
    ) -> dict[str, Any]:
        from corpusmill.training_hooks.inference.open_model import open_model

        (given,) = inputs["model"]
        model = self._ready(open_model(given).requires_grad_(True))
        before = model.config
        loader = self._loader(
            examination,
            definition,
            context=self.sequence_length,
            ahead=1 + before.num_nextn_predict_layers,
            order=f"training order of {self.sequence_length}",
        )
        scaling = self._scaling(before)
        measure = self._measures(model, scaling, loader, examination, definition, scratch)
        model.set_rope_scaling(scaling)
        run = self._run(loader.context)
        summary, whole = self._carry_out(model, loader, run, examination, folder, scratch)
        if whole is None:
            return {}
        content = measure(whole) | {
            "context": [scaling.original_max_position_embeddings, self.sequence_length],
            "rope_scaling": whole.config.to_json()["rope_scaling"],
        }
        text = json.dumps(content, indent=1, sort_keys=True)
        (folder / "long_context.json").write_text(text + "\n", encoding="utf-8")
        return summary | {"context": self.sequence_length, "factor": scaling.factor}

    def _measures(
        self,
        model: Transformer,
        scaling: YarnScaling,
        loader: ShardLoader,
        examination: Examination,
        definition: Path | None,
        scratch: Path | None,
    ) -> Callable[[Transformer], dict[str, Any]]:
        """Measure `model` as it is given and with positions stretched, on the rank that leads, while the
        others wait; what is returned puts the same of the trained model beside it."""
        from corpusmill.training_hooks.evaluation.long_context import LongContextProbe
        from corpusmill.training_hooks.trainer.loop import repeatable

        tokenizer = None if definition is None else definition.parent
        probe = LongContextProbe(examination, loader, self.needles, tokenizer, self._seed, self.precision)
        lengths = probe.lengths(scaling.original_max_position_embeddings)

        def before() -> dict[str, Any]:
            with repeatable(self.threads):
                found = {"before": probe.by_position(model), "needles": probe.needle_scores(model, lengths)}
                if model.config.rope_scaling == scaling:  # an earlier phase has stretched them
                    return found | {"stretched": None}
                model.set_rope_scaling(scaling)
                return found | {"stretched": probe.by_position(model)}

        leads = self._groups is None or self._groups.rank == 0
        measured = _once(None if scratch is None else scratch / MEASURED, before) if leads else {}
        if self._groups is not None:
            self._groups.anyone(False)

        def measure(trained: Transformer) -> dict[str, Any]:
            with repeatable(self.threads):
                after, needles = probe.by_position(trained), probe.needle_scores(trained, lengths)
            stages = {"before": measured["before"], "stretched": measured["stretched"], "after": after}
            return {
                "by_position": None if after is None else stages,
                "needles": None if needles is None else {"before": measured["needles"], "after": needles},
            }

        return measure

    def _scaling(self, before: ModelConfig) -> YarnScaling:
        """YaRN for this phase, from the context before all phases: phases of one factor have the same."""
        from corpusmill.pipelines.contract.errors import UserError
        from corpusmill.training_hooks.model.yarn import YarnScaling

        earlier = before.rope_scaling
        original = (
            before.max_position_embeddings if earlier is None else earlier.original_max_position_embeddings
        )
        if self.sequence_length <= original:
            raise UserError(
                f"long_context: rows of {self.sequence_length} tokens are no longer than the {original} that "
                "the model was trained on; give a longer `sequence_length`"
            )
        wanted = self.sequence_length if self.stretch_to is None else self.stretch_to
        least = 1.0 if earlier is None else earlier.factor  # what was stretched is not pressed together
        factor = max(least, wanted / original) if self.factor is None else self.factor
        if factor * original < self.sequence_length:
            raise UserError(
                f"long_context: factor {factor:g} stretches {original} tokens to {factor * original:g}, but "
                f"a phase has rows of {self.sequence_length}; raise `factor` or `stretch_to`"
            )
        return YarnScaling(factor, original, self.beta_fast, self.beta_slow)

    def _schedule(self, context: int, gamma: float) -> Schedule:
        from corpusmill.training_hooks.trainer.schedule import schedule

        return schedule(
            "constant",
            steps=self.steps,
            batch=self.batch_size,
            context=context,
            warmup_steps=min(10, self.steps // 10) if self.warmup is None else self.warmup,
            peak=self.learning_rate,
            gamma=gamma,
            mtp_weight=self.mtp_weight,
        )


@dataclass(frozen=True)
class _Measured:
    """What was measured, kept for another attempt."""

    RECORD: ClassVar[str] = "measurement"
    VERSION: ClassVar[int] = 1

    value: Summary


def _once(path: Path | None, make: Callable[[], Summary]) -> Summary:
    """What `make` gives, kept at `path` for an attempt after this one; made again where that is damaged."""
    from corpusmill.pipelines.contract.errors import IntegrityError
    from corpusmill.pipelines.storage.sealed import read_sealed, write_sealed

    if path is not None and path.exists():
        try:
            return read_sealed(_Measured, path, MEASURED).value
        except IntegrityError as error:
            log.warning("measuring again: %s", error.fault)
    made = make()
    if path is not None:
        write_sealed(path, _Measured(made), MEASURED)
    return made
