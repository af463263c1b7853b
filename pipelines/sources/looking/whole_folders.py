"""Folders that one reader reads as a whole: data sets of the Hugging Face Hub or saved, git repositories."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from corpusmill.pipelines.contract.errors import DataError, RecipeError
from corpusmill.pipelines.sources.framing.git_repository import is_git_folder, resolve
from corpusmill.pipelines.sources.looking.hub_layout import is_hub_layout, splits_of
from corpusmill.pipelines.sources.looking.saved_datasets import saved_splits

_SAVED = ({"dataset_dict.json"}, {"state.json", "dataset_info.json"})


def kind_of_folder(folder: Path, names: Collection[str]) -> str | None:
    """The reader of the folder with these entries: `hugging_face`, `git` for a bare repository, or None."""
    if any(wanted <= set(names) for wanted in _SAVED) or is_hub_layout(folder, names):
        return "hugging_face"
    bare = {"HEAD", "objects", "refs"} <= set(names) and is_git_folder(folder)
    return "git" if bare and _has_commit(folder) else None


def is_checkout(folder: Path, names: Collection[str]) -> bool:
    """Whether a folder with these entries is the work tree of a repository that has a commit."""
    own = folder / ".git"
    return ".git" in names and own.is_dir() and is_git_folder(own) and _has_commit(own)


def _has_commit(folder: Path) -> bool:
    try:
        resolve(folder, "HEAD")
    except DataError:
        return False
    return True


def configs(folder: Path) -> dict[str | None, list[str]]:
    """The configs of a data set with the splits of each; None is the config of a saved one, which has none.

    Raises RecipeError for a folder that is damaged.
    """
    saved = any(all((folder / name).is_file() for name in wanted) for wanted in _SAVED)
    return {None: saved_splits(folder)} if saved else dict(splits_of(folder).items())


def options_of(folder: Path) -> list[tuple[dict[str, str], str | None]]:
    """Options of `hugging_face` for each config, with a note on the splits that are not read.

    Of several splits it is `train`, else the first. Raises RecipeError for a folder that is damaged.
    """
    found: list[tuple[dict[str, str], str | None]] = []
    listed = configs(folder)
    for config, splits in listed.items():
        options = {} if config is None or (config == "default" or len(listed) == 1) else {"config": config}
        if len(splits) < 2:
            found.append((options, None))
            continue
        split = "train" if "train" in splits else splits[0]
        others = ", ".join(one for one in splits if one != split)
        found.append(({**options, "split": split}, f"other splits, not read: {others}"))
    if not found:
        raise RecipeError(f"{folder}: names no configs; name its files")
    return found
