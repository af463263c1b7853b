"""`--set a.b=c`: values of a recipe replaced before it is validated.

The key is a dotted path. A list entry is named by its index from 0 or, in a list of stages, by the
stage's name: `sources.web.steps.language.at_least=0.5`. `sources` and `steps` may be left out, as `what-if`
writes it: `web.language.at_least=0.5`. The value is YAML; `null` takes out a whole section or source, and is
an ordinary value anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from corpusmill.pipelines.recipe.messages import Path, Places, Problem, dotted, kind_of, unknown_key
from corpusmill.pipelines.recipe.source_entry import KEYS
from corpusmill.pipelines.recipe.yaml_text import MAX_DEPTH, parse_value

MOST = 1000  # overrides of one command; each may look through a list of stages
_NAMED = (("sources",),)  # mappings whose keys are the user's own names: an override adds none


def apply_overrides(
    data: dict[str, Any],
    overrides: Sequence[str],
    places: Places,
    known: Callable[[], Collection[str]] = tuple,
) -> list[Problem]:
    """Change `data` in place and note in `places` which override wrote what; returns what went wrong.

    `known` gives the keys of a recipe, which begin a key even where a source has such a name.
    """
    problems: list[Problem] = []
    if len(overrides) > MOST:
        message = f"{len(overrides):,} values are set, more than {MOST:,}; write them into the recipe"
        return [Problem((), message, place="--set")]
    written: list[tuple[Path, str]] = []
    for override in overrides:
        key, separator, text = override.partition("=")
        keys = key.strip().split(".")
        if not separator or "" in keys:
            message = "write `--set key=value`, such as `--set engine.workers=2`"
            problems.append(Problem((), message, place=f"--set {_cut(override)}"))
            continue
        if len(keys) > MAX_DEPTH:
            message = f"a key of {len(keys):,} parts; a recipe is nested at most {MAX_DEPTH} levels"
            problems.append(Problem((), message, place=f"--set {_cut(key.strip())}"))
            continue
        try:
            value = parse_value(text)
            path = _assign(data, _spelt_out(data, keys, known), value)
        except (ValueError, LookupError) as error:
            problems.append(Problem((), str(error.args[0]), place=f"--set {key.strip()}"))
            continue
        if value is None and (len(path) == 1 or path[:-1] in _NAMED):
            _remove(data, path)
        written.append((path, key.strip()))
    _note(places, written)
    return problems


def _spelt_out(data: dict[str, Any], keys: list[str], known: Callable[[], Collection[str]]) -> list[str]:
    """A key with the `sources` and `steps` that are left out: `web.language.keep` of what is a source."""
    sources = data.get("sources")
    named = keys[1:] if keys[0] == "sources" else keys
    if not isinstance(sources, dict) or not named or named[0] not in sources:
        return keys
    if keys[0] != "sources" and (keys[0] in data or keys[0] in known()):
        return keys
    is_step = len(named) > 2 and named[1] not in KEYS
    return ["sources", named[0], *(["steps"] if is_step else []), *named[1:]]


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _note(places: Places, written: Sequence[tuple[Path, str]]) -> None:
    """Note what the overrides `written`, in this order, wrote.

    What stood at or below the path of one is no longer there, and mappings made on the way to it are its
    own, too. One pass over the recipe's places, whatever the number of overrides.
    """
    made: set[Path] = set()  # every path that some override wrote so far
    owners: list[tuple[Path, str, bool]] = []  # path, key, and whether it was set itself
    for path, key in written:
        owners.append((path, key, True))
        made.add(path)
        for end in range(len(path) - 1, 0, -1):
            if path[:end] in places.lines or any(path[:above] in made for above in range(1, end + 1)):
                break
            made.add(path[:end])
            owners.append((path[:end], key, False))
    later: set[Path] = set()  # paths set by the overrides after the one at hand
    for path, key, is_set in reversed(owners):
        if not _within(path, later):
            places.overrides.setdefault(path, key)
        if is_set:
            later.add(path)
    places.lines = {path: at for path, at in places.lines.items() if not _within(path, later)}


def _within(path: Path, others: set[Path]) -> bool:
    """Whether `path` is one of `others` or lies below one."""
    return any(path[:end] in others for end in range(len(path) + 1))


def _remove(data: dict[str, Any], path: Path) -> None:
    for key in path[:-1]:
        data = data[str(key)]
    del data[str(path[-1])]


def _assign(data: dict[str, Any], keys: list[str], value: Any) -> Path:
    """Set `value` at `keys`; returns the path in the data. Raises LookupError with the cure."""
    node: Any = data
    path: Path = ()
    for key in keys[:-1]:
        if isinstance(node, list):
            path, node = _enter(node, key, path)
        else:
            _check_named(node, key, path)
            if node.get(key) is None:
                node[key] = {}
            path, node = (*path, key), node[key]
        if not isinstance(node, (dict, list)):
            raise LookupError(f"`{dotted(path)}` is {kind_of(node)}, so nothing can be set inside it")
    key = keys[-1]
    if isinstance(node, dict):
        _check_named(node, key, path)
        node[key] = value
        return (*path, key)
    index = _index(node, key, path)
    if key.isdecimal():
        node[index] = value
        return (*path, index)
    node[index] = {key: value}
    return (*path, index, key)


def _check_named(node: dict[str, Any], key: str, path: Path) -> None:
    """Sources and the stage of a list's entry have to be there already."""
    if path in _NAMED and key not in node:
        raise LookupError(unknown_key(key, node, "source"))
    of_stages = bool(path) and isinstance(path[-1], int) and ("steps" in path[-2:] or len(path) == 2)
    if of_stages and key not in node:
        raise LookupError(f"`{dotted(path)}` is {', '.join(node)}; {unknown_key(key, node, 'stage')}")


def _enter(node: list[Any], key: str, path: Path) -> tuple[Path, Any]:
    """Go into an entry of a list; named by its stage, into that stage's options."""
    index = _index(node, key, path)
    if isinstance(node[index], str):  # a bare stage name, about to be given options
        node[index] = {node[index]: None}
    if key.isdecimal():
        return (*path, index), node[index]
    if node[index][key] is None:
        node[index][key] = {}
    return (*path, index, key), node[index][key]


def _index(node: list[Any], key: str, path: Path) -> int:
    if key.isdecimal():
        if int(key) < len(node):
            return int(key)
        raise LookupError(f"`{dotted(path)}` has {len(node)} entries, counted from 0; there is no {key}")
    names = [next(iter(item)) if isinstance(item, dict) and len(item) == 1 else item for item in node]
    if key in names:
        return names.index(key)
    raise LookupError(unknown_key(key, [name for name in names if isinstance(name, str)], "entry"))
