"""Input files while a run is on: whether they changed, and the index that was made of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from corpusmill.pipelines.contract.errors import IntegrityError, UserError
from corpusmill.pipelines.recipe.models import Recipe, Source
from corpusmill.pipelines.recipe.places import Stamp, content_hash, local
from corpusmill.pipelines.run.reuse import other_versions
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.sources.reader import IndexedFile, Reader, read_index
from corpusmill.pipelines.storage.objects.current import REQUESTS, object_listed, object_now
from corpusmill.pipelines.storage.objects.faults import NoObjectError
from corpusmill.pipelines.storage.objects.urls import is_url
from corpusmill.pipelines.storage.run_folder import StepFolder


def listing_key(reader: Reader, files: Mapping[str, str]) -> list[tuple[str, str, int, int, str]]:
    """Name, place and stamp of every file: what decides whether to index again."""
    return [(name, place, *_stamp(reader, name, place)) for name, place in files.items()]


def _stamp(reader: Reader, name: str, place: str) -> Stamp:
    if is_url(place):
        info = object_listed(place)
        return info.size, 0, info.version
    return (*stamp_of(place), reader.state(local(place), name))


def stamp_of(path: str) -> tuple[int, int]:
    """Size and modification time of a file of this machine. Raises UserError where there is none any more."""
    try:
        stat = local(path).stat()
    except FileNotFoundError as error:
        raise UserError(f"{path} was removed while the run was on; run the same command again") from error
    return stat.st_size, stat.st_mtime_ns


def check_unchanged(stamps: Mapping[str, Stamp], *, after_reading: bool = False) -> None:
    """Raise UserError where a file is no longer as it was listed. An object is one request; none
    (`after_reading`) where the store gave bytes of it to this unit, on condition that it is the one listed.

    What was read from it belongs to no content hash that the run knows, so it must not be committed.
    """
    for place, stamp in stamps.items():
        if after_reading and is_url(place) and REQUESTS.as_listed(place, stamp[0], stamp[2]):
            continue
        if not (_same_object(place, stamp) if is_url(place) else stamp_of(place) == stamp[:2]):
            raise UserError(f"{place} changed while the run was on; run the same command again")


def _same_object(url: str, stamp: Stamp) -> bool:
    try:
        info = object_now(url)
    except NoObjectError as error:
        raise UserError(f"{url} was removed while the run was on; run the same command again") from error
    return (info.size, info.version) == (stamp[0], stamp[2])


def check_state(reader: Reader, name: str, place: str, stamp: Stamp | None) -> None:
    """Raise UserError where what lies beside a file of this machine is no longer as it was listed."""
    if stamp is not None and not is_url(place) and reader.state(local(place), name) != stamp[2]:
        raise UserError(f"{name} changed while the run was on; run the same command again")


def forget_false_index(step: StepFolder, source: Source, paths: Mapping[str, str]) -> None:
    """Make an index start anew where a file's bytes are not those that it was made of.

    `step` is the version of the index for the files' present sizes and times, `paths` their paths by name.
    Earlier versions that say the same of a file are forgotten too, so that nothing is taken over from them.
    The manifest goes first: killed in between, the index is not complete and is made again.
    """
    hash_of = cache(lambda name: content_hash(source.reader, paths[name]))

    def is_false(entry: IndexedFile) -> bool:
        place = paths.get(entry.name)
        if place is None or _stamp(source.reader, entry.name, place)[0] != entry.bytes:
            return False  # it says nothing of a file that is there
        return hash_of(entry.name) != entry.sha256

    for version in (step, *other_versions(step)):
        try:
            entries = [
                entry
                for name in _indexes(version)
                for entry in read_index(version.at_hand(version.entry(name)))
            ]
        except IntegrityError:
            if version is step:
                raise
            continue  # nothing is taken over from it
        if (version is step and not version.complete_already) or any(map(is_false, entries)):
            version.forget_units()  # of one that was not finished: unproven


def _indexes(version: StepFolder) -> list[str]:
    """Names of the files of a version of an index; none where it is not complete."""
    manifest = version.manifest()
    return [] if manifest is None else [f"{unit.name}.index.json" for unit in manifest.units]


def source_of(recipe: Recipe, name: str) -> Source:
    """The source whose index step is called `name`."""
    sources = [*recipe.sources, *(source for _, source in recipe.sources_beside)]
    return next(source for source in sources if f"{source.name}.index" == name)


def index_of(step: Step) -> str:
    """The step that lists the files which a step indexes or reads."""
    return step.inputs[0] if step.operator.reads == "splits" else step.name
