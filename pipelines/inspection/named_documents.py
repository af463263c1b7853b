"""Finding documents by the address or path that they were read under: of each dataset the columns of ids,
addresses and paths are read, never a text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from corpusmill.pipelines.contract.errors import NotKeptError, UserError
from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.identities import Place, arrow_batches, has_removed, removed_path
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord
from corpusmill.pipelines.inspection.trails import origin
from corpusmill.pipelines.storage.datasets import read_unit

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ("url", "path", "repo")
_SHOWN = 8


def looks_like_id(identity: str) -> bool:
    """Whether this may be an id or the beginning of one."""
    return bool(identity) and len(identity) <= 32 and not set(identity.lower()) - set("0123456789abcdef")


def id_of_named(record: RunRecord, name: str) -> str:
    """The id of the one document whose `url` or `path` is `name`, kept or removed; or whose path, with its
    repository before it, `name` ends in (of those removed, where their file is known).

    Raises UserError where there is none among those that were read, or several.
    """
    import pyarrow.compute as pc

    found: dict[str, str] = {}
    longer: dict[int, dict[str, str]] = {}  # by the length of what `name` ends in
    lost: NotKeptError | None = None
    for source in (*record.sources, *record.beside):
        for place, position in _removed(source, name):
            if position == name:
                found[place.id] = source.name
            elif (file := _file_of(record, source, place)) is not None and f"/{name}".endswith(f"/{file}"):
                longer.setdefault(len(file), {})[place.id] = source.name
        try:
            for unit in source.last.units:
                for table in read_unit(source.last.data, unit.unit, ["id", *_COLUMNS]):
                    for column in ("url", "path"):
                        hits = table.filter(pc.equal(table.column(column), name)).column("id")
                        found.update(dict.fromkeys(hits.to_pylist(), source.name))
                    for identity, full in _in_repositories(table, name):
                        longer.setdefault(len(full), {})[identity] = source.name
        except NotKeptError as error:
            lost = error
    if not found and longer:
        found = longer[max(longer)]
    shown = text.printable(name, 120)
    if not found and lost is not None:
        raise lost
    if not found:
        raise UserError(
            f"{shown!r} is not a document id (up to 32 hexadecimal digits), nor the URL or path of a document"
            " (a path from the source's folder); the tables `documents` and `removed`"
            " of `corpusmill query RUN` list ids, URLs and paths"
        )
    if len(found) > 1:
        listed = ", ".join(f"{identity} ({source})" for identity, source in sorted(found.items())[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise UserError(f"{shown} names {len(found)} documents: {listed}{more}; give an id")
    return next(iter(found))


def _in_repositories(table: pa.Table, name: str) -> Iterator[tuple[str, str]]:
    """Ids and full paths, `repo/path`, of documents whose full path `name` is, or ends in behind a slash."""
    import pyarrow as pa
    import pyarrow.compute as pc

    full = pc.binary_join_element_wise(table.column("repo"), table.column("path"), "/").cast(pa.string())
    hits = pc.is_in(full, pa.array(_ends(name)[:-1], pa.string()))
    yield from zip(table.filter(hits).column("id").to_pylist(), full.filter(hits).to_pylist(), strict=True)


def _ends(name: str) -> list[str]:
    """What `name` ends in behind a slash, itself first."""
    parts = name.split("/")
    return ["/".join(parts[at:]) for at in range(len(parts))]


def _removed(source: SourceRecord, name: str) -> Iterator[tuple[Place, str]]:
    """Documents that a source's steps removed, whose address or path `name` is, or ends in; with that."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ends = pa.array(_ends(name), pa.string())
    for step in (*source.steps, *source.scatters):
        for unit in (unit for unit in step.units if has_removed(unit)):
            first = 0
            for batch in arrow_batches(removed_path(step.data, unit.unit), ["id", "position"]):
                for row in pc.indices_nonzero(pc.is_in(batch.column("position"), ends)).to_pylist():
                    if identity := batch.column("id")[row].as_py():
                        place = Place(step.name, unit.unit, first + row, identity, removed=True)
                        yield place, batch.column("position")[row].as_py()
                first += batch.num_rows


def _file_of(record: RunRecord, source: SourceRecord, place: Place) -> str | None:
    """The file that a removed document is from, which has the folder of its repository; None if not known."""
    inputs = origin(record, source, place).inputs
    return inputs[0].file if inputs is not None and len(inputs) == 1 else None
