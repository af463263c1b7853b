"""Exports to object storage: written to a folder of this machine, sent, and named in a last object.

`export.json` lists every object with its bytes and SHA-256, and comes when all are there: an export without
it is not whole. Nothing is overwritten.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.storage.objects.current import settings_in_use, store_of
from corpusmill.pipelines.storage.objects.faults import NoObjectError
from corpusmill.pipelines.storage.objects.urls import ObjectUrl, is_url, local_pattern, parse_url
from corpusmill.pipelines.storage.remote.mirrors import allow
from corpusmill.pipelines.storage.sealed import json_bytes, sha256_file

WHOLE = "export.json"
POINTER = "current.json"  # of a run


@contextmanager
def written_to(out: str) -> Iterator[Path]:
    """A path to write to, a file or a folder, which goes to `out` at the end where that is a URL.

    Raises UserError where something lies at the URL, and ObjectError.
    """
    out = local_pattern(out)
    if not is_url(out):
        yield Path(out)
        return
    allow(out)
    place = parse_url(out.rstrip("/"))
    _refuse_within_run(place)
    if store_of(place).list_below(place.key):
        raise UserError(f"{place}: holds objects already; remove them or name another place")
    cache = settings_in_use().cache_folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="export-", dir=cache) as folder:
        made = Path(folder) / place.key.rsplit("/", 1)[-1]
        yield made
        _send(place, made)


def _refuse_within_run(place: ObjectUrl) -> None:
    """Raise UserError where a place lies in a run: a HEAD request for each folder of its key."""
    store, parts = store_of(place), place.key.split("/")
    for depth in range(len(parts), 0, -1):
        run = replace(place, key="/".join(parts[:depth]))
        try:
            store.head(f"{run.key}/{POINTER}")
        except NoObjectError:
            continue
        raise UserError(f"{place}: lies in the run {run}; name a place outside of runs")


def _send(place: ObjectUrl, made: Path) -> None:
    """Send a file, or what is in a folder and then `WHOLE`."""
    store = store_of(place)
    if made.is_file():
        store.upload(place.key, made)
        return
    held = {}
    for path in sorted(path for path in made.rglob("*") if path.is_file()):
        name = path.relative_to(made).as_posix()
        store.upload(f"{place.key}/{name}", path)
        held[name] = {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
    if not store.put_new(f"{place.key}/{WHOLE}", json_bytes({"files": held})):
        whole = replace(place, key=f"{place.key}/{WHOLE}")
        raise UserError(f"{whole}: somebody else has written it meanwhile; name another place")
