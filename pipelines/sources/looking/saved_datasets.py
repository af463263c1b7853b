"""The files of a data set that `save_to_disk` of the library `datasets` wrote.

A folder of one data set has `state.json`, which names its Arrow files; a folder of several has
`dataset_dict.json`, which names the folder of each.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import RecipeError

_STATE, _SPLITS = "state.json", "dataset_dict.json"
_MAX_BYTES = 2**24  # of one of these files


def is_saved(folder: Path) -> bool:
    """Whether a folder is one that `save_to_disk` wrote."""
    return (folder / _STATE).is_file() or (folder / _SPLITS).is_file()


def saved_splits(folder: Path) -> list[str]:
    """The splits of a saved data set; none of one that has no splits. Raises RecipeError."""
    if not (folder / _SPLITS).is_file():
        return []
    content = _read(folder / _SPLITS).get("splits")
    return [str(name) for name in content if _is_name(name)] if isinstance(content, list) else []


def saved_files(folder: Path, split: Sequence[str] | str | None) -> list[Path]:
    """The Arrow files of a saved data set, in its order; `split`: of a dictionary of data sets, which of
    them.

    Raises RecipeError for a folder that is none, a file that is missing, and a split that is not there or not
    chosen.
    """
    if (folder / _SPLITS).is_file():
        names = saved_splits(folder)
        return [file for name in chosen("split", split, names, folder) for file in _of_one(folder / name)]
    if not (folder / _STATE).is_file():
        raise RecipeError(
            f"{folder} is a folder without {_STATE} or {_SPLITS}, as `save_to_disk` of `datasets` writes "
            f"them; name the files, such as {folder / '*.arrow'}"
        )
    if split is not None:
        raise RecipeError(f"{folder} holds one data set and no splits; leave out `split`")
    return _of_one(folder)


def chosen(what: str, wanted: Sequence[str] | str | None, names: Sequence[str], where: Path) -> list[str]:
    """Which of `names` are wanted, in the order of `names`. Raises RecipeError where one is missing, or none
    is named and there are several."""
    if wanted is None and len(names) == 1:
        return list(names)
    if wanted is None or not names:
        there = ", ".join(names) or "none"
        raise RecipeError(
            f"{where}: choose a {what} with `{what}: NAME`, or several in a list; there are: {there}"
        )
    asked = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in asked:
        if name not in names:
            raise RecipeError(f"{where}: no {what} is called {name!r}; there are: {', '.join(names)}")
    return [name for name in names if name in asked]


def _of_one(folder: Path) -> list[Path]:
    state = _read(folder / _STATE)
    if state.get("_indices_files"):
        raise RecipeError(
            f"{folder}: its rows are chosen by a file of indices, which is not read; save it again after "
            "`flatten_indices()`"
        )
    named = state.get("_data_files")
    names = [one.get("filename") for one in named if isinstance(one, dict)] if isinstance(named, list) else []
    files = []
    for name in names:
        if not (isinstance(name, str) and _is_name(name)):
            raise RecipeError(f"{folder / _STATE} names {name!r}, no file beside it; save the data set again")
        if not (folder / name).is_file():
            raise RecipeError(f"{folder / name} is missing, and {_STATE} names it; copy the folder again")
        files.append(folder / name)
    if not files:
        raise RecipeError(f"{folder / _STATE} names no files; save the data set again")
    return files


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name not in ("", ".", "..") and not set("/\\\0") & set(name)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"{path} cannot be read ({error}); copy the folder again") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} holds no mapping; copy the folder again")
    return content
