"""The earlier runs that a deduplication is compared with: which step of each, and whether they fit.

A run's result follows from the documents of earlier months as these were judged, so all months must have been
judged alike: with the same options, and each against those listed before it, as they are now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.stage import Deduplicate
from corpusmill.pipelines.records.manifest import Manifest
from corpusmill.pipelines.run.fingerprint import kept_options, versions
from corpusmill.pipelines.run.operators.job import build_stage
from corpusmill.pipelines.run.operators.remember import format_of
from corpusmill.pipelines.run.step import StageSpec, Step
from corpusmill.pipelines.storage.earlier_runs import remembered
from corpusmill.pipelines.storage.remote.mirrors import location_of
from corpusmill.pipelines.storage.run_folder import StepFolder

_ORDERING = ("priority",)  # options that may differ: what they decide is remembered with each document


@dataclass(frozen=True)
class EarlierRun:
    """A run that is compared with: its folder as the step has it, its recipe's name, and the step in which it
    remembers its documents."""

    folder: str
    name: str
    remembered: StepFolder


class EarlierRuns:
    """The earlier runs of the steps of a recipe, each looked at once, so that all units see the same version.
    `run`: the name of the recipe; `output`: the folder of its run."""

    def __init__(self, run: str, output: Path) -> None:
        self._run, self._output = run, output
        self._found: dict[tuple[tuple[str, ...], str], list[EarlierRun]] = {}

    def of(self, step: Step) -> list[EarlierRun]:
        """Those of a step, in order. Raises UserError, with the cure, for the first one that does not fit."""
        if not step.known:
            return []
        exchange = _exchange_of(step)
        if (step.known, exchange) not in self._found:
            self._found[step.known, exchange] = self._look(step, exchange)
        return self._found[step.known, exchange]

    def _look(self, step: Step, exchange: str) -> list[EarlierRun]:
        found: list[EarlierRun] = []
        contents: dict[str, str] = {}
        _check_folders(step.known, self._output)
        for folder in step.known:
            known = remembered(Path(folder), exchange)
            manifest = known.need_manifest()
            name = manifest.key.options.run or ""
            told = location_of(Path(folder))
            _check_version(step, told, manifest)
            _check_options(step, told, exchange, manifest)
            self._check_name(told, name, contents)
            _check_chain(told, name, manifest, contents, self._run)
            contents[name] = manifest.content
            found.append(EarlierRun(folder, name, known))
        return found

    def _check_name(self, folder: str, name: str, before: dict[str, str]) -> None:
        if name == self._run:
            raise UserError(
                f"against: the run {folder} is of a recipe called `{name}`, as this one is; list only other "
                "runs, each of a recipe with a `name` of its own, by which the run of a survivor is told"
            )
        if name in before:
            raise UserError(
                f"against: two of the runs are of recipes called `{name}`, {folder} among them; give one of "
                "them another `name` and run it again"
            )


def _check_folders(folders: Sequence[str], output: Path) -> None:
    """A path and a pattern that matches it, or a link and what it leads to, name one run twice. A run in the
    folder of an earlier one would take its place, whatever their recipes are called."""
    before: dict[Path, str] = {}
    for folder in folders:
        place = Path(folder).resolve()
        told = location_of(Path(folder))
        if place == output.resolve():
            raise UserError(
                f"against: {told} is the folder of this run itself, which would take the place of "
                "what is there; give this run an `output` of its own, or list only other runs"
            )
        if place in before:
            also = "" if before[place] == folder else f", also as {before[place]}"
            raise UserError(
                f"against: the run {told} is listed twice{also}; take one of the two out, "
                "or correct the pattern that matches it"
            )
        before[place] = folder


def _exchange_of(step: Step) -> str:
    """The name of the exchange that a step is a part of."""
    return step.name.rpartition(".")[0]


def _check_version(step: Step, folder: str, manifest: Manifest) -> None:
    """The form of what is kept, and the tables of Unicode by which texts get their normal form."""
    stage = build_stage(step.stages[0])
    assert isinstance(stage, Deduplicate)
    unicode = manifest.versions.get("unicode"), versions([step])["unicode"]
    of_form = manifest.key.options.remembers, format_of(stage)
    for what, (theirs, ours) in {"form": of_form, "Unicode": unicode}.items():
        if theirs != ours:
            raise UserError(
                f"against: what the run {folder} remembers was made by another version ({what} {theirs}, "
                f"here {ours}); run its recipe again"
            )


def _check_options(step: Step, folder: str, exchange: str, manifest: Manifest) -> None:
    """A preset, and its own values written out, are the same options: what counts is compared."""
    spec = step.stages[0]
    ours = _effective(replace(spec, options=kept_options(spec)))
    try:
        theirs = _effective(replace(spec, options=manifest.key.stages[0].options))
    except ValidationError as error:
        raise UserError(
            f"against: the run {folder} was made with options of `{exchange}` unknown to this version "
            f"({error.errors()[0]['msg']}); run its recipe again"
        ) from error
    for name in sorted((ours.keys() | theirs.keys()) - set(_ORDERING)):
        if ours.get(name) != theirs.get(name):
            raise UserError(
                f"against: the run {folder} was made with `{exchange}.{name}`: {theirs.get(name)!r}, here it "
                f"is {ours.get(name)!r}; documents are compared under equal options only: change one, and "
                "run it again"
            )


def _effective(spec: StageSpec) -> dict[str, Any]:
    stage = build_stage(spec)
    assert isinstance(stage, Deduplicate)
    return stage.effective()


def _check_chain(folder: str, name: str, manifest: Manifest, before: dict[str, str], run: str) -> None:
    """A run that was itself compared with others is right only beside these, as they were."""
    for other, content in manifest.key.known:
        if other == run:
            raise UserError(
                f"against: the run {folder} was itself compared with this one, `{run}`; list only runs that "
                "come before it"
            )
        if other not in before:
            raise UserError(
                f"against: the run {folder} was itself compared with `{other}`, whose documents it does not "
                f"remember; list the run of `{other}` before it"
            )
        if before[other] != content:
            raise UserError(
                f"against: the run {folder} was compared with `{other}` before that was run again; run the "
                f"recipe of `{name}` again, then this one"
            )
