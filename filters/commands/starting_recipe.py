"""`corpusmill init`: a recipe to begin with, for what lies in a folder."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from corpusmill.filters.starting.recipe_text import Found, recipe_text
from corpusmill.filters.starting.records import NO_RECORD, Finding, Options, finding, reader_of, texts_of
from corpusmill.pipelines.contract.errors import RecipeError, UserError
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.recipe.sections import section_classes
from corpusmill.pipelines.run.graph import build_graph
from corpusmill.pipelines.sources.looking.survey import MOST_FILES, Group, survey
from corpusmill.pipelines.sources.looking.whole_folders import options_of

LOOKED_AT = 5  # files of a group
MOST_TOLD_APART = 40  # files of a suffix of which each is looked at
MOST_CONFIGS = 20  # of a data set, each a source
MOST_NAMED = 300  # files of a group that are named one by one
FEWEST_LETTERS = 10  # of a text whose language can be told


def starting_recipe(folder: Path, path: Path) -> tuple[str, list[Found], dict[str, list[str]]]:
    """The text of a recipe at `path` for the data in `folder`, its sources, and what none of them reads, by
    reason. It is valid, and every source shows a record that can be read; nothing is written.

    Raises UserError where the folder cannot be listed or holds nothing that a reader reads.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: {'is a file' if folder.exists() else 'no such folder'}; name a folder of data"
        )
    try:
        seen = survey(folder)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"{folder}: cannot be listed ({reason}); grant access to it") from error
    left_out: dict[str, list[str]] = defaultdict(
        list, {why: list(names) for why, names in seen.left_out.items()}
    )
    notes = [] if seen.whole else [f"Only the first {MOST_FILES:,} files were looked through."]
    data = os.path.relpath(folder.absolute(), path.absolute().parent)
    data = data if not data.startswith("..") else str(folder.absolute())
    name = _slug(path.stem) or "corpus"
    sources: list[Found] = []
    parts = [part for group in seen.groups for part in _parts(group, folder)]
    for group, found in parts:
        fault = found.fault
        if fault is None:
            others = [one for one, other in parts if one.top == group.top and other.fault is None]
            source = _source(group, found, folder, others, [one.name for one in sources])
            fault = _fault(path, name, data, source, group)
        if fault is None:
            sources.append(source)
        else:
            left_out[fault] += group.files
    if not sources:
        first = "; ".join(f"{', '.join(names[:3])}: {why}" for why, names in list(left_out.items())[:4])
        raise UserError(
            f"{folder}: holds nothing that a reader reads ({first or 'it is empty'}); name another folder"
        )
    told = {why: sorted(names) for why, names in left_out.items()}
    text = recipe_text(name, data, sources, told, notes)
    _check(path, text)
    return text, sources, told


def _parts(group: Group, folder: Path) -> Iterator[tuple[Group, Finding]]:
    """The files of a group by the options that their reader needs, which the first files of each suffix tell;
    or why these are not read. Where they differ, files are named."""
    if group.folder:
        yield from _of_folder(group, folder)
        return
    by_options: dict[str, tuple[Finding, list[str]]] = {}
    for suffix in sorted(group.suffixes):
        files = [name for name in group.files if name.endswith(suffix)]
        looked = files if len(files) <= MOST_TOLD_APART else files[:LOOKED_AT]
        found = {name: finding(group.kind, folder / name) for name in looked}
        sound = [one for one in found.values() if one.fault is None]
        if sound and all(_same(one, sound[0]) or one.fault == NO_RECORD for one in found.values()):
            by_options.setdefault(repr(_essence(sound[0])), (sound[0], []))[1].append(suffix)
        elif len(looked) < len(files):
            first = (sound or list(found.values()))[0]
            yield group.of_suffixes([suffix]), first
        else:
            yield from _told_apart(group, found)
    for first, suffixes in by_options.values():
        yield group.of_suffixes(suffixes), first


def _told_apart(group: Group, found: Mapping[str, Finding]) -> Iterator[tuple[Group, Finding]]:
    """Files that differ in what their reader needs, each kind with its names."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for name, one in found.items():
        kinds[repr((_essence(one), one.fault))].append(name)
    for names in kinds.values():
        yield group.of_files(names), found[names[0]]


def _essence(one: Finding) -> tuple[Options, bool]:
    """What of a finding decides whether files can be one source: fields that are columns may differ."""
    return {key: value for key, value in one.options.items() if key != "fields"}, one.code


def _same(one: Finding, other: Finding) -> bool:
    return one.fault == other.fault and _essence(one) == _essence(other)


def _of_folder(group: Group, folder: Path) -> Iterator[tuple[Group, Finding]]:
    """A folder that is read as a whole; of a data set each config."""
    if group.kind == "git":
        yield group, Finding({}, code=True)
        return
    try:
        configs = options_of(folder / group.top)
    except RecipeError as error:
        yield group, Finding({}, str(error))
        return
    for options, note in configs[:MOST_CONFIGS]:
        files = reader_of("hugging_face", ["-"], options).expand((folder / group.top).resolve())
        first = finding("hugging_face", files[0], options)
        notes = [] if note is None else [note]
        if configs[MOST_CONFIGS:] and options is configs[0][0]:
            others = ", ".join(one.get("config", "") for one, _ in configs[MOST_CONFIGS:])
            notes.append(f"other configs, not read: {others}")
        yield group, replace(first, notes=tuple(notes))


def _source(
    group: Group, found: Finding, folder: Path, others: Sequence[Group], taken: Sequence[str]
) -> Found:
    """The source of a group; `others`: those of the same folder that are read, itself among them."""
    patterns, options = group.patterns(), found.options
    if group.kind == "tree":
        patterns, options = _tree(group, others)
    files = [folder / name for name in group.files]
    count, size = len(files), group.bytes
    if group.kind == "hugging_face":  # those of its config and split
        files = reader_of(group.kind, ["-"], options).expand((folder / group.top).resolve())
        count, size = len(files), sum(file.stat().st_size for file in files)
    texts = [text for file in files[:LOOKED_AT] for text in texts_of(group.kind, file, options)]
    languages = (
        Counter() if found.code else Counter(c for text in texts if (c := _language(text)) is not None)
    )
    return Found(
        _name(group, found, others, taken), group.kind, patterns, options, count, size, languages,
        len(texts), readable=not texts or bool(languages), code=found.code, date=found.date,
        notes=found.notes,
    )  # fmt: skip


def _tree(group: Group, others: Sequence[Group]) -> tuple[list[str], Options]:
    """The folder of source code as a whole, unless other readers read some of its files."""
    if not group.top:
        return group.patterns(), {}
    return [group.top], {"include": sorted(group.suffixes)} if len(others) > 1 else {}


def _language(text: str) -> str | None:
    """The language of a text, or None where there is too little of it."""
    from corpusmill.filters.language import identified

    line = " ".join(text.split())[:2000]
    return identified(line)[0] if sum(map(str.isalpha, line)) >= FEWEST_LETTERS else None


def _name(group: Group, found: Finding, others: Sequence[Group], taken: Sequence[str]) -> str:
    """A name of a source: of its folder, with the kind where the folder has several."""
    base, config = _slug(group.top), found.options.get("config")
    several = len(others) > 1
    suffix = group.kind if config is None else _slug(config) or group.kind
    name = f"{base}-{suffix}" if base and several else base or suffix
    reserved = {root for section in section_classes() for root in section.step_roots}
    name = f"{name}-files" if name in reserved else name
    number, made = 2, name
    while made in taken:
        made, number = f"{name}-{number}", number + 1
    return made


def _slug(text: str) -> str:
    """The letters, digits, hyphens and underscores of a name, as names of recipes and sources may have."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:40]


def _fault(path: Path, name: str, data: str, source: Found, group: Group) -> str | None:
    """Why the source cannot be read, if not by its patterns then with its files named; None where it can."""
    for patterns in (
        source.patterns,
        group.files if not group.folder and len(group.files) <= MOST_NAMED else None,
    ):
        if patterns is None:
            break
        source.patterns = patterns
        try:
            _check(path, recipe_text(name, data, [source], {}, []))
            return None
        except InvalidRecipeError as error:
            fault = re.sub(r"^\S+:\d+:\d+: [\w.-]+: ", "", error.lines[0])
    return fault


def _check(path: Path, text: str) -> None:
    """Raise RecipeError where the recipe is not valid, or a source has no record that can be read."""
    build_graph(load_recipe(path, inputs=True, content=text.encode()))
