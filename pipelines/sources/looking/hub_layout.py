"""The data files of a folder in the layout of the Hugging Face Hub.

`README.md` begins with YAML between two lines of `---`; its `configs` name the files of each configuration
and split by patterns (https://huggingface.co/docs/hub/datasets-manual-configuration). Without them there is
one configuration, `default`, of all data files, and the name of a file tells its split:
`train-00000-of-00002.parquet`, or one of the words below in its path, else `train`. Nothing is fetched:
patterns that leave the folder are refused.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.sources.looking.saved_datasets import chosen
from corpusmill.pipelines.system.patterns import matches

README = "README.md"
SUFFIXES = (".parquet", ".arrow", ".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_PACKED = (".gz", ".zst", ".bz2", ".xz")
_MAX_BYTES = 2**20
_NUMBERED = re.compile(r"([^/]+)-[0-9]{5}-of-[0-9]{5}[^/]*\Z")
_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
Splits = dict[str, list[Path]]
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring = 2, 200


def dataset_files(folder: Path, config: str | None, split: Sequence[str] | str | None) -> list[Path]:
    """The files of one configuration, and of one or several splits. Raises RecipeError, which names those
    there are, for what is not there, and where there are several and none is chosen."""
    configs = _configs(folder)
    name = chosen("config", config or _default(configs), list(configs), folder)[0]
    splits = configs[name]
    names = chosen("split", split, list(splits), folder)
    return list(dict.fromkeys(file for one in names for file in splits[one]))


def is_hub_layout(folder: Path, names: Collection[str]) -> bool:
    """Whether a folder with these entries is a data set of the Hub: its README.md begins with YAML, and there
    is data beside or below it."""
    if README not in names:
        return False
    with (folder / README).open("rb") as file:
        if file.read(6).removeprefix(b"\xef\xbb\xbf")[:3] != b"---":
            return False
    return next(iter(data_files(folder)), None) is not None


def splits_of(folder: Path) -> dict[str, list[str]]:
    """The configs of a data set and the splits of each, the default config first and under that name alone.

    Raises RecipeError.
    """
    found: dict[str, Splits] = {}
    for name, splits in sorted(_configs(folder).items(), key=lambda one: one[0] != "default"):
        if splits not in found.values():
            found[name] = splits
    return {name: list(splits) for name, splits in found.items()}


def _default(configs: dict[str, Splits]) -> str | None:
    return "default" if "default" in configs else None


def _configs(folder: Path) -> dict[str, Splits]:
    head = _head(folder / README)
    listed = head.get("configs")
    if not listed:
        splits: Splits = {}
        for file in data_files(folder):
            splits.setdefault(split_of(file.relative_to(folder).as_posix()), []).append(file)
        if not splits:
            raise RecipeError(f"{folder} holds no data files ({', '.join(SUFFIXES)}); name another folder")
        return {"default": splits}
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise RecipeError(f"{folder / README}: `configs` is no list of mappings; correct it")
    found: dict[str, Splits] = {}
    for one in sorted(listed, key=lambda one: one.get("default") is not True):  # the default one first
        name = one.get("config_name", "default")
        if not isinstance(name, str) or name in found:
            raise RecipeError(
                f"{folder / README}: the config {shown(name)} is no name, or stands twice; correct it"
            )
        found[name] = _splits(folder, name, one)
    if "default" not in found and listed and any(one.get("default") is True for one in listed):
        first = next(iter(found))
        return {"default": found[first], **found}
    return found


def _splits(folder: Path, name: str, config: dict[str, Any]) -> Splits:
    root = folder
    if (inner := config.get("data_dir")) is not None:
        _within(folder, name, inner)
        root = folder / inner
    files = config.get("data_files")
    if files is None:
        splits: Splits = {}
        for file in data_files(root):
            splits.setdefault(split_of(file.relative_to(root).as_posix()), []).append(file)
        if not splits:
            raise RecipeError(
                f"{folder / README}: the config {shown(name)} has no data files in {root}; copy the folder "
                "whole"
            )
        return splits
    found: Splits = {}
    for split, patterns in _patterns(folder, name, files):
        for pattern in patterns:
            _within(folder, name, pattern)
            matched = [file for file in matches(root, pattern)[1] if file.is_file()]
            if not matched:
                raise RecipeError(
                    f"{folder / README}: no file matches {pattern!r} of the config {name!r}; copy the folder "
                    "whole"
                )
            found.setdefault(split, []).extend(matched)
    return found


def _patterns(folder: Path, name: str, files: Any) -> Iterator[tuple[str, list[str]]]:
    """`data_files` in any of its forms as splits and their patterns."""
    if isinstance(files, dict):
        files = [{"split": split, "path": path} for split, path in files.items()]
    if isinstance(files, str) or (isinstance(files, list) and all(isinstance(one, str) for one in files)):
        files = [{"split": "train", "path": files}]
    for one in files if isinstance(files, list) else [None]:
        split = one.get("split", "train") if isinstance(one, dict) else None
        path = one.get("path") if isinstance(one, dict) else None
        paths = [path] if isinstance(path, str) else path
        if (
            not isinstance(split, str)
            or not isinstance(paths, list)
            or not all(isinstance(p, str) for p in paths)
        ):
            raise RecipeError(
                f"{folder / README}: `data_files` of the config {shown(name)} cannot be read; correct it"
            )
        yield split, paths


def shown(value: Any) -> str:
    """A value of a README's YAML in a message, in which aliases can make it hold anything many times."""
    return _REPR.repr(value)


def _within(folder: Path, name: str, pattern: Any) -> None:
    parts = pattern.split("/") if isinstance(pattern, str) else [".."]
    if ".." in parts or "" in parts[:1] or "\0" in pattern or "://" in pattern:
        raise RecipeError(
            f"{folder / README}: {shown(pattern)} of the config {shown(name)} leaves the folder; fetch the "
            "files there"
        )


def split_of(name: str) -> str:
    """The split of a file by its path in the folder."""
    numbered = _NUMBERED.search(name)
    if numbered is not None:
        return numbered[1]
    words = re.split(r"[^a-z0-9]+", name.lower())
    return next((_WORDS[word] for word in words if word in _WORDS), "train")


def is_data(name: str) -> bool:
    """Whether a file of this name holds data."""
    lower = name.lower()
    for suffix in _PACKED:
        lower = lower.removesuffix(suffix)
    return lower.endswith(SUFFIXES) and lower not in ("dataset_infos.json", "dataset_info.json", "state.json")


def data_files(folder: Path) -> list[Path]:
    """Data files below a folder, in path order; links to files are such, as in the Hub's cache."""
    return sorted(
        file
        for file in folder.rglob("*")
        if is_data(file.name)
        and not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
        and file.is_file()
    )


def _head(path: Path) -> dict[str, Any]:
    """The YAML that a README begins with; empty where it begins with none."""
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        text = file.read(_MAX_BYTES).decode("utf-8", "replace").removeprefix("\ufeff")
    lines = text.splitlines()
    if not lines or lines[0].strip() != "---":
        return {}
    end = next((place for place, line in enumerate(lines[1:], 1) if line.strip() == "---"), None)
    if end is None:
        raise RecipeError(f"{path}: its YAML has no end, a line of `---`; correct it")
    try:
        front_matter = yaml.safe_load("\n".join(lines[1:end]))
    except (yaml.YAMLError, RecursionError) as error:
        words = str(error).splitlines()[0]
        raise RecipeError(f"{path}: its YAML cannot be read ({words}); correct it") from error
    return front_matter if isinstance(front_matter, dict) else {}
