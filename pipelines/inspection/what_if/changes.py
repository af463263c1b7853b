"""Which option of which filter is to change: `web.gopher_quality.min_words=30`, checked."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.closest import nearest
from corpusmill.pipelines.contract.errors import CorpusmillError, UserError
from corpusmill.pipelines.contract.stage import Filter, Stage
from corpusmill.pipelines.inspection.run_record import STATES, RunRecord, SourceRecord
from corpusmill.pipelines.inspection.scored import Chain, Link, chain_of, filter_of
from corpusmill.pipelines.recipe.messages import Problem, dotted
from corpusmill.pipelines.recipe.options import build, paths_relative_to
from corpusmill.pipelines.recipe.yaml_text import parse_value
from corpusmill.pipelines.run.code_version import code_digest
from corpusmill.pipelines.run.fingerprint import kept_options
from corpusmill.pipelines.run.step import StageSpec

_FORM = "write SOURCE.FILTER.OPTION=VALUE, such as web.gopher_quality.min_words=30"
_STEPS = "steps"
_UNSAID = " (a class of your own says by `rules` or `measured` which of its options only judge)"


@dataclass(frozen=True)
class Setting:
    """An option and its new value, as the command line gives them: `place` is a source or, of a late filter,
    its step."""

    place: str
    stage: str
    option: tuple[str, ...]
    value: Any

    @property
    def key(self) -> str:
        """What was written before the `=`."""
        return ".".join(part for part in (self.place, self.stage, *self.option) if part)


@dataclass(frozen=True)
class Change:
    """A filter of a source as the run had it and as it would be.

    `number`: its link in the chain of the source; `settings`: what of it changes, with the value before;
    `same_code`: whether the filter's code is that of the run."""

    number: int
    link: Link
    before: Filter
    after: Filter
    settings: tuple[tuple[Setting, Any], ...]
    same_code: bool


@dataclass(frozen=True)
class Asked:
    """The chain of one source, and the filters in it that change, in order."""

    chain: Chain
    changes: tuple[Change, ...]


def settings_of(written: Sequence[str], record: RunRecord) -> list[Setting]:
    """Settings as `--set` takes them. Raises UserError with a line for each that is none."""
    found, faults = [], []
    for one in written:
        key, equals, text = one.partition("=")
        parts = key.strip().split(".")
        if not equals or "" in parts:
            faults.append(f"--set {one}: {_FORM}")
            continue
        parts = _without_sections(parts)
        try:
            value = parse_value(text)
            found.append(_setting(parts, value, record))
        except (ValueError, UserError) as error:
            faults.append(f"--set {key.strip()}: {error}")
    if faults:
        raise UserError("\n".join(faults))
    return found


def _without_sections(parts: list[str]) -> list[str]:
    """SOURCE.FILTER.OPTION of a key that may name `sources` and `steps` too, as `run --set` takes both."""
    parts = parts[1:] if parts[0] == "sources" and len(parts) > 1 else parts
    return [parts[0], *parts[2:]] if parts[1:2] == [_STEPS] else parts


def _setting(parts: Sequence[str], value: Any, record: RunRecord) -> Setting:
    sources = {source.name: source for source in record.sources if source.whole}
    masks = {mask.name: mask for mask in record.masks if mask.operator.reads == "documents"}
    if parts[0] in sources:
        if len(parts) < 3:
            raise UserError(_FORM)
        return Setting(parts[0], parts[1], tuple(parts[2:]), value)
    for end in range(len(parts) - 1, 0, -1):  # a step's name may have dots
        if (name := ".".join(parts[:end])) in masks:
            judge = masks[name].stages[-1]
            if parts[0] in record.recipe and parts[end] not in judge.options:
                raise UserError(_of_section(parts, judge.options))
            return Setting(name, "", tuple(parts[end:]), value)
    name = parts[0]
    if name in record.recipe.get("sources", {}):
        raise UserError(f"the source {name} is not complete; run the recipe to its end first")
    if name in record.recipe:
        raise UserError(_of_section(parts, ()))
    raise UserError(f"no source or late filter `{name}`; {nearest(name, [*sources, *masks])}")


def _of_section(parts: Sequence[str], options: Collection[str]) -> str:
    """Why an option of a section cannot be asked; `options`: those of its filter, if it has one."""
    key = ".".join(parts)
    may = f" and of `{parts[0]}` ({', '.join(sorted(options))})" if options else ""
    return (
        f"what-if answers for limits of filters, from scores stored of each document: of sources, such as "
        f"web.gopher_quality.min_words{may}; what `{key}` decides follows from other documents or other "
        f"work, so change the recipe (`corpusmill plan RECIPE --set {key}=VALUE` tells what would be done "
        "again)"
    )


def asked_of(record: RunRecord, settings: Sequence[Setting], *, may_be_same: bool = False) -> list[Asked]:
    """What the settings change, by source. Raises UserError with a line for each that cannot be answered, and
    for what the run has already, unless it `may_be_same`."""
    chains = {source.name: chain_of(record, source) for source in record.sources if source.whole}
    if not chains:
        raise UserError(f"{record.folder.location}: no source of this run is complete; run the recipe first")
    by_filter: dict[tuple[str, str], list[Setting]] = {}
    for setting in settings:
        by_filter.setdefault((setting.place, setting.stage), []).append(setting)
    changes: dict[str, list[Change]] = {}
    faults: list[str] = []
    for (place, stage), mine in by_filter.items():
        try:
            for name, change in _changes(record, chains, place, stage, mine, may_be_same):
                changes.setdefault(name, []).append(change)
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join(faults))
    ordered = {name: sorted(found, key=lambda change: change.number) for name, found in changes.items()}
    return [Asked(chains[name], tuple(ordered[name])) for name in sorted(ordered)]


def _changes(
    record: RunRecord,
    chains: Mapping[str, Chain],
    place: str,
    stage: str,
    settings: Sequence[Setting],
    may_be_same: bool,
) -> list[tuple[str, Change]]:
    """A change for each source that the filter judges."""
    if stage:
        chain = chains[place]
        made = _change(record, chain, _number(chain, stage), settings, may_be_same)
        return [(place, made)]
    found = []
    for name, chain in chains.items():
        at = next((n for n, link in enumerate(chain.links) if link.mask and link.step.name == place), None)
        if at is not None:
            found.append((name, _change(record, chain, at, settings, may_be_same)))
    return found


def _number(chain: Chain, stage: str) -> int:
    """The link of a source's filter."""
    numbers = [number for number in chain.named(stage) if not chain.links[number].mask]
    where = f"--set {chain.source.name}.{stage}"
    if len(numbers) > 1:
        raise UserError(
            f"{where}: {stage} stands {len(numbers)} times in {chain.source.name}, and the run stored the "
            "scores of the last alone; change the recipe and run it again"
        )
    if numbers:
        return numbers[0]
    names = [link.name for link in chain.links[1:] if not link.mask]
    raise UserError(f"{where}: no step `{stage}` in {chain.source.name}; {nearest(stage, names)}")


def _change(
    record: RunRecord, chain: Chain, number: int, settings: Sequence[Setting], may_be_same: bool
) -> Change:
    link = chain.links[number]
    first = f"--set {settings[0].key}"
    kind = _class_of(link, first)
    if not issubclass(kind, Filter):
        raise UserError(
            f"{first}: {link.name} changes texts as well as judging them, so its verdicts do not follow from "
            "scores alone; change the recipe and run it again"
        )
    before, options = _as_run(record, chain.source, link, kind, first)
    changed = deepcopy(options)
    told: list[tuple[Setting, Any]] = []
    for setting in settings:
        told.append((setting, _value_at(before, setting)))
        _put(changed, before, setting)
    after = _built(kind, changed, first)
    if not may_be_same and kept_options(StageSpec.of(after)) == kept_options(StageSpec.of(before)):
        names = ", ".join(setting.key for setting, _ in told)
        raise UserError(f"--set {names}: the run has this value already; nothing would change")
    if after.measuring() != before.measuring():
        judging = ", ".join(sorted(after.thresholds()))
        choice = f", or choose one of {judging}" if judging else _UNSAID if after.measured is None else ""
        raise UserError(
            f"{first}: scores of {link.name} follow from this option, so that those stored do not answer; "
            f"change the recipe and run it again{choice}"
        )
    same = code_digest(kind.__module__) == link.key.code
    return Change(number, link, before, after, tuple(told), same)


def _class_of(link: Link, first: str) -> type[Stage]:
    try:
        return filter_of(link)
    except CorpusmillError as error:
        raise UserError(f"{first}: {error}; if it is a plugin's, give the recipe with --recipe") from error


def _as_run(
    record: RunRecord, source: SourceRecord, link: Link, kind: type[Filter], first: str
) -> tuple[Filter, dict[str, Any]]:
    """The filter as the run had it, and its options as they were written.

    Those of a source's filter are in the run's recipe: what is left out there may follow from an option that
    changes. Those of a late filter are as its step kept them.
    """
    options = None if link.mask else _written(record, source, link.name)
    if options is None:
        options = dict(link.key.options)
    before = _built(kind, options, first)
    if kept_options(StageSpec.of(before)) != dict(link.key.options):
        raise UserError(
            f"{first}: the run's recipe has other options of {link.name} than its step {link.step.name} was "
            f"made with ({STATES[link.step.state]}); run the recipe first"
        )
    return before, options


def _written(record: RunRecord, source: SourceRecord, stage: str) -> dict[str, Any] | None:
    """Options of a source's step as the recipe of the run has them."""
    for entry in record.recipe["sources"][source.name].get("steps") or []:
        if entry == stage:
            return {}
        if isinstance(entry, dict) and list(entry) == [stage]:
            return dict(entry[stage] or {})
    return None


def _built(kind: type[Filter], options: Mapping[str, Any], first: str) -> Filter:
    problems: list[Problem] = []
    with paths_relative_to(Path("/")):
        made = build(kind, deepcopy(dict(options)), (), problems, f"option of {kind.name}")
    if made is None:
        lines = (f"{dotted(problem.path)}: {problem.text()}".lstrip(": ") for problem in problems)
        raise UserError("\n".join(f"{first}: {line}" for line in lines))
    return made


def _value_at(stage: Filter, setting: Setting) -> Any:
    """What the run has at an option, defaults included. Raises UserError for an option there is not."""
    value: Any = stage.model_dump(mode="json")
    for depth, name in enumerate(setting.option):
        if not isinstance(value, dict):
            at = ".".join(setting.option[:depth])
            raise UserError(f"--set {setting.key}: `{at}` holds {value!r}, so nothing can be set inside it")
        if name not in value and depth and depth + 1 == len(setting.option):
            return None  # a new key of a mapping, such as a language
        if name not in value:
            above = ".".join((stage.name, *setting.option[:depth]))
            raise UserError(f"--set {setting.key}: no option `{name}` of {above}; {nearest(name, value)}")
        value = value[name]
    return value


def _put(options: dict[str, Any], before: Filter, setting: Setting) -> None:
    """Set an option in options as they were written; a mapping that is left out is the one of the run."""
    node: dict[Any, Any] = options
    current: Any = before.model_dump(mode="json")
    for name in setting.option[:-1]:
        current = current[name]
        key = _key(node, name)
        if not isinstance(node.get(key), dict):
            node[key] = deepcopy(current)
        node = node[key]
    node[_key(node, setting.option[-1])] = setting.value


def _key(node: Mapping[Any, Any], name: str) -> Any:
    """The key of a mapping that is written as `name`; it may be a number."""
    return next((key for key in node if str(key) == name), name)


def commands(asked: Sequence[Asked], recipe: str) -> str:
    """The command that runs the recipe with what was asked."""
    words: dict[str, None] = {}
    for one in asked:
        for change in one.changes:
            options = change.after.model_dump(mode="json")
            for setting, _ in change.settings:
                name = setting.option[0]
                value = json.dumps(options[name], ensure_ascii=False)
                at = f"sources.{setting.place}.steps.{setting.stage}" if setting.stage else setting.place
                words[f"{at}.{name}={value}"] = None
    return shlex.join(["corpusmill", "run", recipe, *(word for one in words for word in ("--set", one))])
