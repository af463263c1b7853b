"""The rooms and the stages in them: the file name is the registration.

A stage `foo_bar` of a room is the class `FooBar` in `<room>/foo_bar.py`; sub-packages hold what is not a
stage. For the room `pipelines` the folder is `pipelines/sources`: readers and `extract`. Names are listed
without importing anything.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import corpusmill
from corpusmill.pipelines.contract.errors import CorpusmillError

ROOMS = ("pipelines", "filters", "dedup", "mixtures", "tokenizer", "training_hooks")

ROOT = Path(corpusmill.__file__).parent
_STAGE_FOLDER = {"pipelines": "pipelines/sources"}
_CONTRACTS = {"pipelines/sources": {"reader"}}  # abstract bases that stand among the stages


def class_name(stage: str) -> str:
    """`fineweb_quality` -> `FinewebQuality`: the inverse of `stage.snake_case`."""
    return "".join(part.capitalize() for part in stage.split("_"))


def stage_folder(room: str) -> str:
    if room not in ROOMS:
        raise CorpusmillError(f"no room {room!r}; there are {', '.join(ROOMS)}")
    return _STAGE_FOLDER.get(room, room)


@cache
def stage_files(room: str) -> dict[str, Path]:
    folder = stage_folder(room)
    hidden = _CONTRACTS.get(folder, set())
    return {
        path.stem: path
        for path in sorted((ROOT / folder).glob("*.py"))
        if not path.stem.startswith("_") and path.stem not in hidden
    }


@cache
def _names(room: str) -> tuple[str, ...]:
    return tuple(
        name
        for name, path in stage_files(room).items()
        if re.search(rf"^class {class_name(name)}\b", path.read_text("utf-8"), re.MULTILINE)
    )


def names(room: str) -> list[str]:
    """Names of the stages of a room, sorted; nothing is imported.

    A module counts when its text defines the class its name promises. Raises CorpusmillError for a room
    that does not exist.
    """
    return list(_names(room))
