"""All judging of one training: its shards before it begins, looks on the way, and the verdict at its end.

`evaluation.json`, what is left of it:

- `context`: inputs of a window; `held_out`: documents, tokens and shards that were held out;
- `scores`: of `model`, `unigram`, `bigram` and, where averaged weights were kept, `ema`, by source and of
  all (`*`): documents, bytes, tokens, `bits_per_byte`, `nats_per_token`; null where nothing was held out;
- `by_position`: the model's mean loss by how many tokens stand before the target in its window;
- `baselines`: the tokens and different pairs they were fitted on;
- `falls`: training loss of every source over the first and the last twentieth of the steps;
- `faults`: of the shards, as `faults` names them; `require`: what the recipe required.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.tokenizer.shards.reader import open_shard
from corpusmill.training_hooks.evaluation.baselines import fit_baselines
from corpusmill.training_hooks.evaluation.faults import as_json, check_shards
from corpusmill.training_hooks.evaluation.held_out import ALL, HeldOut, Score
from corpusmill.training_hooks.evaluation.judge import Fall, judge, loss_falls
from corpusmill.training_hooks.evaluation.options import Evaluate, Require
from corpusmill.training_hooks.evaluation.split import split_shards

if TYPE_CHECKING:
    from torch import Tensor

    from corpusmill.training_hooks.evaluation.evaluate import Evaluation
    from corpusmill.training_hooks.model.transformer import Transformer
    from corpusmill.training_hooks.precision.apply import Mode

log = logging.getLogger("corpusmill.train")


class Examination:
    """Judges one training. `training`: the shards it may learn from. Of ranks that train together one
    `judges`, and the others only know these shards.

    Raises DataError for faulty shards where the recipe requires sound ones, IntegrityError for shards that
    cannot be opened at all or disagree.
    """

    def __init__(
        self,
        shards: Sequence[Path],
        tokenizer: Path | None,
        options: Evaluate,
        require: Require | None,
        *,
        judges: bool = True,
    ) -> None:
        self._options, self._require = options, require
        self._faults = check_shards(shards, tokenizer) if judges else []
        for fault in self._faults:
            log.warning("%s", fault)
        if require is not None and require.shards and self._faults:
            raise DataError(_listed("the token shards look broken", [str(fault) for fault in self._faults]))
        self.training, held_out = split_shards(shards)
        self._held_out: HeldOut | None = None
        if held_out and self.training and judges:
            found = HeldOut(held_out, open_shard(self.training[0]))
            self._held_out = found if found.tokens else None

    def looks(self, done: int) -> bool:
        """Whether a look is due after `done` steps."""
        every = self._options.every
        return self._held_out is not None and every is not None and done % every == 0

    def look(self, model: Transformer, context: int, precision: Mode) -> dict[str, Any]:
        """For a line of metrics.jsonl: `held_out`, bits per byte by source and of all (`*`); nothing where
        nothing was held out."""
        from corpusmill.training_hooks.evaluation.evaluate import evaluate

        if self._held_out is None:
            return {}
        scores = evaluate(model, self._held_out.some(self._options.tokens), context, precision).scores
        return {"held_out": {source: bits_per_byte(score) for source, score in scores.items()}}

    def by_position(self, model: Transformer, context: int, precision: Mode) -> list[dict[str, Any]] | None:
        """The model's mean loss by tokens before the target, as in `evaluation.json`, on about as many
        held-out tokens as a look takes; null where nothing was held out."""
        from corpusmill.training_hooks.evaluation.evaluate import evaluate

        if self._held_out is None:
            return None
        return evaluate(model, self._held_out.some(self._options.tokens), context, precision).by_position()

    def finish(
        self,
        model: Transformer,
        context: int,
        precision: Mode,
        metrics: Path,
        folder: Path,
        ema: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Any]:
        """Evaluate the trained model, write `evaluation.json` and pass judgement. `ema`: averaged weights.

        Returns, for the summary, `bits_per_byte` of all held-out documents by `model`, `unigram`, `bigram`
        and `ema` (null where none were held out) and `shard_faults`. Raises DataError where what the recipe
        requires does not hold.
        """
        from corpusmill.training_hooks.evaluation.evaluate import evaluate, other_weights

        evaluation: Evaluation | None = None
        scores: dict[str, dict[str, Score]] | None = None
        content: dict[str, Any] = {"context": context, "held_out": None, "baselines": None}
        if self._held_out is not None:
            evaluation = evaluate(model, self._held_out, context, precision)
            baselines = fit_baselines(self.training)
            scores = {"model": evaluation.scores, **self._held_out.baseline_scores(baselines)}
            if ema is not None:
                with other_weights(model, ema):
                    scores["ema"] = evaluate(model, self._held_out, context, precision).scores
            content["held_out"] = {
                "documents": self._held_out.documents,
                "tokens": self._held_out.tokens,
                "shards": len(self._held_out.shards),
            }
            content["baselines"] = {"tokens": baselines.tokens, "pairs": baselines.pairs}
        falls = loss_falls(metrics)
        content |= {
            "scores": _all_as_json(scores),
            "by_position": evaluation.by_position() if evaluation is not None else None,
            "falls": {source: _without_nan(fall) for source, fall in falls.items()},
            "faults": as_json(self._faults),
            "require": self._require.model_dump() if self._require is not None else None,
        }
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
        (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
        if self._require is not None:
            wrong = judge(self._require, falls, scores)
            if wrong:
                raise DataError(_listed("the model has not learnt what `require` asks for", wrong))
        return {"bits_per_byte": _totals(scores), "shard_faults": len(self._faults)}


def bits_per_byte(score: Score) -> float | None:
    """Null where a source's documents are empty."""
    found: float | None = score.as_json()["bits_per_byte"]
    return found


def _all_as_json(scores: dict[str, dict[str, Score]] | None) -> dict[str, Any] | None:
    if scores is None:
        return None
    return {name: {source: one.as_json() for source, one in held.items()} for name, held in scores.items()}


def _totals(scores: dict[str, dict[str, Score]] | None) -> dict[str, float | None] | None:
    if scores is None:
        return None
    return {name: bits_per_byte(held[ALL]) for name, held in scores.items()}


def _without_nan(fall: Fall) -> list[float | None]:
    return [None if math.isnan(value) else value for value in fall]


def _listed(what: str, wrong: list[str]) -> str:
    return "\n".join([f"{what}:", *(f"- {line}" for line in wrong)])
