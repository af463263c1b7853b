"""Records as JSON and back: frozen dataclasses, checked field by field.

A record is a frozen dataclass. Its JSON is an object of its fields; a field with a default is left out where
it has that value. `decode` gives a record back or raises IntegrityError that names the file, the field and
the cure: a value of another type, a field too many and a field too few are all damage. A record that is a
file of its own has a `RECORD`, what it is, and a `VERSION`, which its file states: a file of another version
is no damage, and the error says what to do.

Fields may be str, int, float, `int | float` (which stays what it is), bool, None, literals, tuples, mappings
with keys of str or int, other records, and unions of records, which say in `kind` which one they are (`KIND`
of the class). A field whose name would be a word of Python ends with `_`, its name in JSON does not. What is
declared `Any` is taken as it is: see `opaque`. Nothing else in the project handles records as JSON.

Cost: about 1.5 us a record and 0.1 us a field to decode; the coders of a class are made once.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, TypeVar

from corpusmill.pipelines.contract.errors import damaged, of_other_version
from corpusmill.pipelines.records.coders import Unfit, coders_of, expected

Json = dict[str, Any]


class Told(Protocol):
    """One of several records, told apart by what it is."""

    KIND: ClassVar[str]


class Filed(Protocol):
    """A record that is a file of its own: what it is, and the version of its fields."""

    RECORD: ClassVar[str]
    VERSION: ClassVar[int]


R = TypeVar("R")
F = TypeVar("F", bound=Filed)


def encode(record: object) -> Json:
    """A record as an object ready for JSON; tuples stand where JSON has lists."""
    made: Json = coders_of(type(record)).encode(record)
    return made


def encode_told(record: Told) -> Json:
    """`encode`, with the `kind` first that tells which of several records it is."""
    return {"kind": record.KIND, **encode(record)}


def decode(kind: type[R], value: object, where: str) -> R:
    """The record of this class in `value`, which `json.loads` gave.

    Raises IntegrityError naming `where` (a file), the field and the cure where it does not fit.
    """
    try:
        made: R = coders_of(kind).decode(value)
    except Unfit as error:
        place = ".".join(error.path)
        raise damaged(
            f"{where}: {place}: {error.problem}" if place else f"{where}: {error.problem}"
        ) from None
    return made


def encode_file(record: Filed) -> Json:
    """`encode` of a record that is a file, with its `record` and `version`."""
    return {"record": record.RECORD, "version": record.VERSION, **encode(record)}


def decode_file(kind: type[F], value: object, where: str) -> F:
    """The record that `encode_file` encoded.

    Raises OtherVersionError where the file is of another version of corpusmill, and otherwise what `decode`
    raises.
    """
    if not isinstance(value, dict):
        raise damaged(f"{where}: {Unfit(expected('an object', value)).problem}")
    fields_given = dict(value)
    found, version = fields_given.pop("record", None), fields_given.pop("version", None)
    if version != kind.VERSION:
        told = "of no version" if version is None else f"of version {version}"
        raise of_other_version(
            f"{where}: a {kind.RECORD} {told}, written by another version of corpusmill; this one reads "
            f"version {kind.VERSION}"
        )
    if found != kind.RECORD:
        raise damaged(f"{where}: holds a {found}, not a {kind.RECORD}")
    return decode(kind, fields_given, where)


def check_fields(kind: type) -> None:
    """Raise TypeError where a class has a field that no record may have: for tests."""
    coders_of(kind)
