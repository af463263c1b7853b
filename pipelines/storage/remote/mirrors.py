"""The runs on object storage that this process works with, by the folders in which their files appear.

Whatever has the path of a run's folder, of a step's or of a file's, asks here whether a store stands behind
it. There is none in most processes, and asking costs nothing then.
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import partial
from pathlib import Path, PurePosixPath

from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.storage.objects.current import settings_in_use, use_storage
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.objects.urls import WEB, Scheme, is_url, local_pattern, parse_url
from corpusmill.pipelines.storage.remote.run_store import RunStore

_RUNS = "runs"  # beside the objects of the cache
_STEPS = "/steps/"

_stores: dict[Path, RunStore] = {}
_named: set[Scheme] = set()  # by the command line


def store_of_run(run: Path) -> RunStore | None:
    """The store behind a run's folder; None where the folder is all there is."""
    return _stores.get(run) if _stores else None


def store_of_step(step: Path) -> RunStore | None:
    """The store behind a step's folder, `<run>/steps/<step>/<version>`."""
    return _stores.get(step.parent.parent.parent) if _stores else None


def release_files() -> None:
    """Let mirrors remove files that this process was given: the unit that read them is done."""
    for store in _stores.values():
        store.room.release()


def run_problem(url: str) -> str | None:
    """Why a run cannot lie at a URL; None where it can. Whether it may be reached is another matter."""
    try:
        place = parse_url(url.rstrip("/"))
    except RecipeError as error:
        return str(error)
    return f"{place}: nothing is written to web servers; use s3, gs or az" if place.scheme in WEB else None


def mirror_of(url: str, settings: ObjectStorage) -> Path:
    """The folder of this machine for the run at `url`, within the cache; nothing is fetched yet.

    Raises RecipeError where no run can lie there.
    """
    problem = run_problem(url)
    if problem is not None:
        raise RecipeError(problem)
    place = parse_url(url.rstrip("/"))
    server = settings.server_of(place.scheme) or ""
    digest = hashlib.sha256(f"{server}\n{place}".encode()).hexdigest()[:32]
    mirror = (settings.cache_folder / _RUNS / digest).resolve()
    if mirror not in _stores:
        _stores[mirror] = RunStore(place, mirror)
    return mirror


def path_of(location: str) -> Path:
    """The path of a run's folder, or of something in it, that is given by a path or a URL.

    URLs are reached with the settings in use.
    """
    location = local_pattern(location)
    if not is_url(location):
        return Path(location)
    run, steps, below = location.partition(_STEPS)
    mirror = mirror_of(run, settings_in_use())
    return mirror / steps.strip("/") / below if steps else mirror


def location_of(path: Path) -> str:
    """The URL of a run's folder, or of something in it, where a store stands behind it; else its path."""
    if _stores:
        for run in (path, *path.parents):
            if run in _stores:
                below = path.relative_to(run).as_posix()
                return _stores[run].url if below == "." else f"{_stores[run].url}/{below}"
    return str(path)


def with_urls(message: str) -> str:
    """A message about what runs hold, with the URLs of objects in place of paths of their mirrors."""
    for mirror, store in _stores.items():
        path = re.compile(re.escape(str(mirror)) + r"((?:/[^/\s:;,']+)*)")
        message = path.sub(partial(_url_in, store), message)
    return message


def _url_in(store: RunStore, found: re.Match[str]) -> str:
    return store.url_of(PurePosixPath(found[1].lstrip("/")))


def asked_for(location: str) -> Path:
    """The path of what a command line names by a path or a URL. Naming a URL there allows to reach it.

    The server is the one that the environment names (`SERVERS`), or the cloud's own; credentials are those of
    the environment.
    """
    location = local_pattern(location)
    if is_url(location):
        allow(location)
    return path_of(location)


def allow(url: str) -> None:
    """Let this process reach the store of a URL that a command line names, beside those it names already.

    Raises RecipeError where nothing can be written there.
    """
    problem = run_problem(url)
    if problem is not None:
        raise RecipeError(problem)
    _named.add(parse_url(url).scheme)
    endpoint = os.environ.get("AWS_ENDPOINT_URL") if "s3" in _named else None
    use_storage(ObjectStorage(schemes=sorted(_named), endpoint=endpoint or None))
