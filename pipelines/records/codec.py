"""Records as JSON and back: frozen dataclasses, checked field by field.

A record is a frozen dataclass. Its JSON is an object of its fields; a field with a default is left out where
it has that value. `decode` gives a record back or raises IntegrityError that names the file, the field and
the cure: a value of another type, a field too many and a field too few are all damage. A record that is a
file of its own has a `RECORD`, what it is, and a `VERSION`, which its file states: a file of another version
is no damage, and the error says what to do.

Fields may be str, int, float, bool, None, literals, tuples, mappings with keys of str or int, other records,
and unions of records, which say in `kind` which one they are (`KIND` of the class). What is declared `Any` is
taken as it is: see `opaque`. Nothing else in the project handles records as JSON.

Cost: about 1.5 us a record and 0.1 us a field to decode; the coders of a class are made once.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, Protocol, TypeVar, get_type_hints

from corpusmill.pipelines.contract.errors import damaged, of_other_version

Json = dict[str, Any]
_Coder = Callable[[Any], Any]


class Filed(Protocol):
    """A record that is a file of its own: what it is, and the version of its fields."""

    RECORD: ClassVar[str]
    VERSION: ClassVar[int]


R = TypeVar("R")
F = TypeVar("F", bound=Filed)


class _Unfit(Exception):  # noqa: N818  # becomes an IntegrityError that names the file
    """A value that does not fit its field: the way to it from outside, and what is wrong."""

    def __init__(self, problem: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(problem)
        self.problem, self.path = problem, path

    def within(self, place: str) -> _Unfit:
        return _Unfit(self.problem, (place, *self.path))


def encode(record: object) -> Json:
    """A record as an object ready for JSON; tuples stand where JSON has lists."""
    made: Json = _coders_of(type(record)).encode(record)
    return made


def decode(kind: type[R], value: object, where: str) -> R:
    """The record of this class in `value`, which `json.loads` gave.

    Raises IntegrityError naming `where` (a file), the field and the cure where it does not fit.
    """
    try:
        made: R = _coders_of(kind).decode(value)
    except _Unfit as error:
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
        raise damaged(f"{where}: {_Unfit(_expected('an object', value)).problem}")
    held = dict(value)
    found, version = held.pop("record", None), held.pop("version", None)
    if version != kind.VERSION:
        told = "of no version" if version is None else f"of version {version}"
        raise of_other_version(
            f"{where}: a {kind.RECORD} {told}, written by another version of corpusmill; this one reads "
            f"version {kind.VERSION}"
        )
    if found != kind.RECORD:
        raise damaged(f"{where}: holds a {found}, not a {kind.RECORD}")
    return decode(kind, held, where)


@dataclasses.dataclass(frozen=True)
class _Coders:
    encode: _Coder
    decode: _Coder
    plain: bool = False  # whether values are JSON as they are
    typed: bool = False  # whether a value's type alone says that it fits, and it stays as it is


def _expected(what: str, value: object) -> str:
    shown = repr(value)
    return f"{shown if len(shown) <= 40 else f'{shown[:37]}...'} is not {what}"


def _same(value: Any) -> Any:
    return value


_NAMES: Mapping[type, str] = {str: "a text", int: "a whole number", bool: "true or false", float: "a number"}


def _scalar(kind: type) -> _Coders:
    name = _NAMES[kind]

    def decode_scalar(value: Any) -> Any:
        if type(value) is kind:
            return value
        if kind is float and type(value) is int:
            return float(value)
        raise _Unfit(_expected(name, value))

    return _Coders(_same, decode_scalar, plain=True, typed=kind is not float)


def _literal(choices: tuple[object, ...]) -> _Coders:
    def decode_literal(value: Any) -> Any:
        if value in choices and any(type(value) is type(choice) for choice in choices):
            return value
        raise _Unfit(_expected(f"one of {', '.join(map(str, choices))}", value))

    return _Coders(_same, decode_literal, plain=True)


def _optional(inner: _Coders) -> _Coders:
    encode_inner, decode_inner = inner.encode, inner.decode
    return _Coders(
        lambda value: None if value is None else encode_inner(value),
        lambda value: None if value is None else decode_inner(value),
        inner.plain,
        inner.typed,
    )


def _row(inner: _Coders) -> _Coders:
    """`tuple[T, ...]`."""
    encode_inner, decode_inner = inner.encode, inner.decode

    def decode_row(value: Any) -> Any:
        if type(value) is not list and type(value) is not tuple:
            raise _Unfit(_expected("a list", value))
        try:
            return tuple([decode_inner(item) for item in value])
        except _Unfit:
            for number, item in enumerate(value):
                _at(decode_inner, item, str(number))
            raise

    return _Coders(
        _same if inner.plain else lambda value: [encode_inner(item) for item in value],
        decode_row,
        inner.plain,
    )


def _at(decode_inner: _Coder, value: Any, place: str) -> Any:
    """Decode with the place in the way to what is wrong."""
    try:
        return decode_inner(value)
    except _Unfit as error:
        raise error.within(place) from None


def _fixed(kinds: tuple[Any, ...]) -> _Coders:
    """`tuple[A, B]`."""
    inner = [_coders(kind) for kind in kinds]
    decoders, plain, count = [one.decode for one in inner], all(one.plain for one in inner), len(inner)
    scalars = tuple(kinds) if all(kind in (str, int, bool) for kind in kinds) else None

    def decode_fixed(value: Any) -> Any:
        if (type(value) is not list and type(value) is not tuple) or len(value) != count:
            raise _Unfit(_expected(f"a list of {count}", value))
        if scalars is not None and tuple(map(type, value)) == scalars:
            return tuple(value)
        try:
            return tuple([decode_item(item) for decode_item, item in zip(decoders, value, strict=True)])
        except _Unfit:
            for number, item in enumerate(value):
                _at(decoders[number], item, str(number))
            raise

    def encode_fixed(value: Any) -> Any:
        return [one.encode(item) for one, item in zip(inner, value, strict=True)]

    return _Coders(_same if plain else encode_fixed, decode_fixed, plain)


def _number(key: str) -> int:
    if not key.isascii() or not key.isdigit():
        raise _Unfit(_expected("a whole number", key))
    return int(key)


def _mapping(numbered: bool, inner: _Coders) -> _Coders:
    """`Mapping[str, T]`, or with keys of int, which are texts in JSON."""
    encode_inner, decode_inner = inner.encode, inner.decode

    def decode_mapping(value: Any) -> Any:
        if type(value) is not dict:
            raise _Unfit(_expected("an object", value))
        try:
            if numbered:
                return {_number(key): decode_inner(item) for key, item in value.items()}
            return {key: decode_inner(item) for key, item in value.items()}
        except _Unfit:
            for key, item in value.items():
                _at(decode_inner, item, key)
            raise

    def encode_mapping(value: Any) -> Any:
        return {str(key): encode_inner(item) for key, item in value.items()}

    plain = inner.plain and not numbered
    return _Coders(_same if plain else encode_mapping, decode_mapping, plain)


def _union(kinds: list[type]) -> _Coders:
    """Records told apart by their `KIND`."""
    by_name: dict[str, type] = {getattr(kind, "KIND"): kind for kind in kinds}  # noqa: B009  # of any class

    def decode_union(value: Any) -> Any:
        if type(value) is not dict:
            raise _Unfit(_expected("an object", value))
        kind = by_name.get(str(value.get("kind")))
        if kind is None:
            raise _Unfit(_expected(f"one of {', '.join(by_name)}", value.get("kind")), ("kind",))
        return _coders_of(kind).decode({name: item for name, item in value.items() if name != "kind"})

    def encode_union(value: Any) -> Any:
        return {"kind": value.KIND, **_coders_of(type(value)).encode(value)}

    return _Coders(encode_union, decode_union)


def _coders_of(kind: Any) -> _Coders:
    return _coders(kind)


@cache
def _coders(kind: Any) -> _Coders:
    """The coders of a type. Raises TypeError for what no field of a record may be."""
    if kind is Any:
        return _Coders(_same, _same, plain=True)
    if kind in _NAMES:
        return _scalar(kind)
    if dataclasses.is_dataclass(kind):
        return _record(kind)
    origin, given = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return _literal(given)
    if origin in (typing.Union, types.UnionType):
        some = [one for one in given if one is not type(None)]
        inner = _coders(some[0]) if len(some) == 1 else _union(some)
        return inner if len(some) == len(given) else _optional(inner)
    if origin is tuple:
        if len(given) == 2 and given[1] is Ellipsis:
            return _row(_coders(given[0]))
        return _fixed(given)
    if origin in (Mapping, dict) and given[0] in (str, int):
        if given == (str, Any):
            return _Coders(_same, _opaque, plain=True, typed=True)
        return _mapping(given[0] is int, _coders(given[1]))
    raise TypeError(f"{kind} is no type of a record's field")


def _opaque(value: Any) -> Any:
    if type(value) is not dict:
        raise _Unfit(_expected("an object", value))
    return value


@dataclasses.dataclass
class _Shape:
    """Records with just these fields given: the types of values that are known to
    fit, the fields that have to be decoded because their type alone does not tell, and the rest's
    defaults."""

    others: list[tuple[str, _Coder]]
    defaults: Json
    fit: set[tuple[type, ...]] = dataclasses.field(default_factory=set)


def _record(kind: Any) -> _Coders:
    hints = get_type_hints(kind)
    fields = {field.name: _coders(hints[field.name]) for field in dataclasses.fields(kind)}
    defaults = {field.name: default for field in dataclasses.fields(kind)
                if (default := _default(field)) is not dataclasses.MISSING}  # fmt: skip
    shapes: dict[tuple[str, ...], _Shape] = {}

    def shape_of(value: Any) -> _Shape:
        if type(value) is not dict:
            raise _Unfit(_expected("an object", value))
        for name in value:
            if name not in fields:
                raise _Unfit("this version knows no such field", (str(name),))
        for name in fields:
            if name not in value and name not in defaults:
                raise _Unfit("is missing", (name,))
        others = [(name, fields[name].decode) for name in value if not fields[name].typed]
        absent = {name: default for name, default in defaults.items() if name not in value}
        return shapes.setdefault(tuple(value), _Shape(others, absent))

    def decode_record(value: Any) -> Any:
        shape = shapes.get(tuple(value)) if type(value) is dict else None
        if shape is None:
            shape = shape_of(value)
        types_given = tuple(map(type, value.values()))
        if types_given not in shape.fit:
            for name, item in value.items():
                _at(fields[name].decode, item, name)
            shape.fit.add(types_given)
        held = {**value, **shape.defaults}
        try:
            for name, decode_field in shape.others:
                held[name] = decode_field(value[name])
        except _Unfit:
            for name, decode_field in shape.others:
                _at(decode_field, value[name], name)
            raise
        made = object.__new__(kind)
        object.__setattr__(made, "__dict__", held)  # half the time of decoding would go into `__init__`
        return made

    encoders = [(name, None if coders.plain else coders.encode, defaults.get(name, dataclasses.MISSING))
                for name, coders in fields.items()]  # fmt: skip

    def encode_whole(record: Any) -> Json:
        made: Json = {}
        for name, encode_field, default in encoders:
            value = getattr(record, name)
            if default is dataclasses.MISSING or value != default:
                made[name] = value if encode_field is None else encode_field(value)
        return made

    return _Coders(encode_whole, decode_record)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def check_fields(kind: type) -> None:
    """Raise TypeError where a class has a field that no record may have: for tests."""
    _coders_of(kind)
