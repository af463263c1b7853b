"""Files of a complete step that the recipe does not keep (`keep`): removed once no later step needs them.

What is left of the step are its manifest, its receipts with the ledger, and the lists of removed documents.
`not_kept.json` beside the manifest names what is not kept. It is written before the first file is removed, so
that no such file is ever taken for one that was lost; where a run is killed in between, the next one removes
the rest. To have the files again the step is done again, from nothing. Of a run on object storage the note is
an object beside the manifest's, and an object that another version of the step needs as well stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from corpusmill.pipelines.contract.errors import NotKeptError
from corpusmill.pipelines.records.manifest import NotKept
from corpusmill.pipelines.records.receipt import FileEntry
from corpusmill.pipelines.storage.remote.mirrors import location_of, store_of_step
from corpusmill.pipelines.storage.sealed import read_sealed, sealed_bytes, write_sealed
from corpusmill.pipelines.system.faultpoints import faultpoint

NAME = "not_kept.json"
_PLACE = "not kept"
_STAYS = "removed.arrow"  # what left the run is told by this alone


def goes(name: str) -> bool:
    """Whether a file of this name goes where a step's files are not kept."""
    return not name.endswith(f".{_STAYS}")


def there(step: Path, files: Iterable[FileEntry]) -> Iterator[FileEntry]:
    """Those of the files of a complete step that should be there."""
    lacking = not_kept(step) is not None
    return (file for file in files if not (lacking and goes(file.name)))


def not_kept(step: Path) -> NotKept | None:
    """What says that files of the complete step in this folder were not kept; None where they are there.

    Raises IntegrityError where it is damaged.
    """
    path = step / NAME
    if (store := store_of_step(step)) is not None:
        store.sync_not_kept(step, path)
    return read_sealed(NotKept, path, _PLACE) if path.exists() else None


def remove_files(
    step: Path, keep: str, files: Iterable[FileEntry], others: Callable[[], Iterable[FileEntry]]
) -> None:
    """Remove the files of a complete step, as the recipe's `keep` says. `others`: files of other versions of
    the step, asked for of a run on object storage alone, where versions share objects.

    Memory: of such a run, grows with the number of files.
    """
    found = not_kept(step)
    if found is not None and found.removed:
        return
    _note(step, NotKept(keep))
    faultpoint("not-kept-before-files")
    if (store := store_of_step(step)) is not None:
        files = list(files)
        staying = [file for file in files if not goes(file.name)]
        store.remove_data(step, filter(_goes, files), [*staying, *others()])
    for file in filter(_goes, files):
        (step / "data" / file.name).unlink(missing_ok=True)
        faultpoint("not-kept-between-files")
    _note(step, NotKept(keep, removed=True))


def _goes(file: FileEntry) -> bool:
    return goes(file.name)


def _note(step: Path, what: NotKept) -> None:
    if (store := store_of_step(step)) is not None:
        store.put_not_kept(step, sealed_bytes(what, _PLACE))
    write_sealed(step / NAME, what, _PLACE)


def has_again(step: Path) -> None:
    """Note that a step is done again: all of its files will be there."""
    path = step / NAME
    if (store := store_of_step(step)) is not None:
        store.sync_not_kept(step, path)
        if path.exists():
            store.remove_not_kept(step)
    path.unlink(missing_ok=True)


def missing_by_choice(step: Path, name: str) -> NotKeptError | None:
    """The error for a file that was not kept; None where it should be there."""
    found = not_kept(step) if goes(name) else None
    if found is None:
        return None
    place = location_of(step / "data" / name)
    return NotKeptError(
        f"{place}: was removed after use, since the recipe says `keep: {found.keep}`; "
        "`corpusmill run RECIPE --set keep=all` makes it again"
    )
