"""What a pattern of a recipe stands for in a folder, and what to say where that is nothing."""

from __future__ import annotations

import os
from pathlib import Path

from corpusmill.pipelines.contract.closest import closest

_WILD = set("*?[")


def matches(data_folder: Path, pattern: str) -> tuple[Path, list[Path]]:
    """The fixed part of a pattern, and its matches sorted.

    Only the pattern has wildcards, never the folder it is relative to, and a part of it that exists by that
    very name is meant as it stands, whatever letters it holds (`[CC] 2024/*.jsonl`). A match may be a broken
    link.
    """
    whole = data_folder / pattern
    if whole.exists():
        return (whole if whole.is_dir() else whole.parent), [whole]
    base, found, fixed = data_folder, [data_folder], True
    for part in Path(pattern).parts:
        fixed = fixed and _literal(base, part)
        base = base / part if fixed else base
        found = [match for folder in found for match in _step(folder, part)]
        if part == "**":
            found = list(dict.fromkeys(found))  # two of them meet a folder on several ways
    if fixed:
        base = whole.parent
    return base, sorted(set(found))


def _literal(folder: Path, part: str) -> bool:
    return not _WILD & set(part) or os.path.lexists(folder / part)


def _step(folder: Path, part: str) -> list[Path]:
    """What `part` of a pattern stands for in one folder."""
    if not _literal(folder, part):
        return list(folder.glob(part))
    return [folder / part] if os.path.lexists(folder / part) else []


def nothing_matched(folder: Path, pattern: str) -> str | None:
    """Why nothing is read by a pattern: nothing matches it, or broken links do; None where something is."""
    found = matches(folder, pattern)[1]
    if any(match.exists() for match in found):
        return None
    if found:
        return f"{found[0]} is a broken link, to {found[0].readlink()}; mend or remove it"
    return f"nothing matches {pattern!r} in {folder}; {_nearest(folder, pattern)}"


def _nearest(folder: Path, pattern: str) -> str:
    """How far a pattern leads, and what is there: the cure for one that matches nothing."""
    base, part = folder, ""
    for part in Path(pattern).parts:
        if not (base / part).is_dir():
            break
        base /= part
    try:
        entries = sorted(path.name + "/" * path.is_dir() for path in base.iterdir() if path.name[:1] != ".")
    except OSError as error:
        return f"{base} cannot be listed ({error.strerror}); grant access to it"
    if part in entries:
        return f"{base / part} is a file, so nothing lies below it; correct the pattern"
    close = closest(part.removesuffix("/"), (name.rstrip("/") for name in entries))
    if close is not None and close != part and not _WILD & set(part):
        return f"did you mean `{close}` for `{part}`?"
    shown = ", ".join(entries[:6]) + (f" and {len(entries) - 6} more" if len(entries) > 6 else "")
    return f"{base} holds {shown or 'nothing'}; correct the pattern, or make the files first"
