"""`corpusmill init`: a recipe to begin with, for what lies in a folder."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from corpusmill.filters.starting.recipe_text import Found, recipe_text
from corpusmill.filters.starting.records import Options, finding, texts_of
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.recipe.sections import section_classes
from corpusmill.pipelines.run.graph import build_graph
from corpusmill.pipelines.sources.looking.survey import MOST_FILES, Group, survey

LOOKED_AT = 5  # files of a group
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
    for group, options, fault in parts:
        if fault is None:
            others = [one for one, _, wrong in parts if one.top == group.top and wrong is None]
            source = _source(group, options, folder, others, [one.name for one in sources])
            fault = _fault(path, name, data, source, group)
        if fault is None:
            sources.append(source)
        else:
            left_out[fault] += group.files
    if not sources:
        found = "; ".join(f"{', '.join(names[:3])}: {why}" for why, names in list(left_out.items())[:4])
        raise UserError(
            f"{folder}: holds nothing that a reader reads ({found or 'it is empty'}); name another folder"
        )
    told = {why: sorted(names) for why, names in left_out.items()}
    text = recipe_text(name, data, sources, told, notes)
    _check(path, text)
    return text, sources, told


def _parts(group: Group, folder: Path) -> Iterator[tuple[Group, Options, str | None]]:
    """The files of a group by the options that their reader needs, which the first files of each suffix tell;
    or why these are not read."""
    by_options: dict[str, tuple[Options, list[str]]] = {}
    for suffix in sorted(group.suffixes):
        files = [name for name in group.files if name.endswith(suffix)][:LOOKED_AT]
        found = [finding(group.kind, folder / name) for name in files]
        sound = next((one for one in found if one.fault is None), None)
        if sound is None:
            yield group.of_suffixes([suffix]), {}, found[0].fault
        else:
            by_options.setdefault(repr(sound.options), (sound.options, []))[1].append(suffix)
    for options, suffixes in by_options.values():
        yield group.of_suffixes(suffixes), options, None


def _source(
    group: Group, options: Options, folder: Path, others: Sequence[Group], taken: Sequence[str]
) -> Found:
    """The source of a group; `others`: those of the same folder that are read, itself among them."""
    patterns = group.patterns()
    if group.kind == "tree":
        patterns, options = _tree(group, others)
    looked = group.files[:LOOKED_AT]
    texts = [text for name in looked for text in texts_of(group.kind, folder / name, options)]
    languages = Counter(code for text in texts if (code := _language(text)) is not None)
    return Found(
        _name(group, others, taken), group.kind, patterns, options, len(group.files), group.bytes, languages,
        len(texts), readable=not texts or bool(languages),
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


def _name(group: Group, others: Sequence[Group], taken: Sequence[str]) -> str:
    """A name of a source: of its folder, with the kind where the folder has several."""
    base = _slug(group.top)
    several = len(others) > 1
    name = f"{base}-{group.kind}" if base and several else base or group.kind
    reserved = {root for section in section_classes() for root in section.step_roots}
    name = f"{name}-files" if name in reserved else name
    number = 2
    found = name
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found


def _slug(text: str) -> str:
    """The letters, digits, hyphens and underscores of a name, as names of recipes and sources may have."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:40]


def _fault(path: Path, name: str, data: str, source: Found, group: Group) -> str | None:
    """Why the source cannot be read, if not by its patterns then with its files named; None where it can."""
    for patterns in (source.patterns, group.files if len(group.files) <= MOST_NAMED else None):
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
