"""Which earlier version of a step has scores that hold for this one: other thresholds, and nothing else.

A step of maps over a dataset that is made again because a filter's threshold changed need not measure: what
`Filter.score` gave is stored, of kept and of removed documents. The filters judge these scores anew, and the
documents that now pass go on to the filters behind, which measure those alone. What is written follows from
the same code as in a run from nothing, so that its bytes are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.contract.stage import Filter
from corpusmill.pipelines.records.manifest import StageKey, StepKey
from corpusmill.pipelines.run.operators.job import stage_class
from corpusmill.pipelines.run.reuse import VERSIONS, other_versions
from corpusmill.pipelines.run.step import StageSpec, Step
from corpusmill.pipelines.storage.not_kept import not_kept
from corpusmill.pipelines.storage.run_folder import StepFolder


def place_of_scores(step: Step, key: StepKey, folder: StepFolder) -> str | None:
    """The place of the newest complete version of a step, of the same inputs in the same units, whose key
    differs in thresholds alone; None where there is none, or its files were not kept."""
    if not step.operator.rejudges:
        return None
    for version in other_versions(folder)[:VERSIONS]:
        try:
            manifest = version.manifest()
            if manifest is None or not_kept(version.path) is not None:
                continue
        except IntegrityError:
            continue  # damaged, or of another version of corpusmill
        if _scores_hold(step.stages, manifest.key, key):
            return version.location
    return None


def _scores_hold(stages: Sequence[StageSpec], old: StepKey, new: StepKey) -> bool:
    if replace(old, stages=()) != replace(new, stages=()) or len(old.stages) != len(new.stages):
        return False
    return all(
        before == after or _differ_by_thresholds(stage_class(spec), before, after)
        for spec, before, after in zip(stages, old.stages, new.stages, strict=True)
    )


def _differ_by_thresholds(kind: type[Any], old: StageKey, new: StageKey) -> bool:
    """Whether two keys of a stage are those of a filter with other thresholds. A filter whose `apply` is its
    own, in a plugin, may do more with them than judge."""
    if not issubclass(kind, Filter) or replace(old, options={}) != replace(new, options={}):
        return False
    if kind.apply is not Filter.apply and not kind.__module__.startswith("corpusmill."):
        return False
    try:
        before, after = (kind.model_validate(dict(key.options)) for key in (old, new))
    except ValidationError:
        return False
    return before.measuring() == after.measuring()
