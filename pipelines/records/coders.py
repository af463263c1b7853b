"""How values of each type of field become JSON and are read back: one pair of functions a type, made once.

See `codec`, which alone uses them.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, get_type_hints

_Object = dict[str, Any]
_Coder = Callable[[Any], Any]


class Unfit(Exception):  # noqa: N818  # becomes an IntegrityError that names the file
    """A value that does not fit its field: the way to it from outside, and what is wrong."""

    def __init__(self, problem: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(problem)
        self.problem, self.path = problem, path

    def within(self, place: str) -> Unfit:
        return Unfit(self.problem, (place, *self.path))


@dataclasses.dataclass(frozen=True)
class Coders:
    encode: _Coder
    decode: _Coder
    plain: bool = False  # whether values are JSON as they are
    typed: bool = False  # whether a value's type alone says that it fits, and it stays as it is


def expected(what: str, value: object) -> str:
    shown = repr(value)
    return f"{shown if len(shown) <= 40 else f'{shown[:37]}...'} is not {what}"


def _same(value: Any) -> Any:
    return value


_NAMES: Mapping[type, str] = {str: "a text", int: "a whole number", bool: "true or false", float: "a number"}


def _scalar(kind: type) -> Coders:
    name = _NAMES[kind]

    def decode_scalar(value: Any) -> Any:
        if type(value) is kind:
            return value
        if kind is float and type(value) is int:
            return float(value)
        raise Unfit(expected(name, value))

    return Coders(_same, decode_scalar, plain=True, typed=kind is not float)


def _decode_number(value: Any) -> Any:
    if type(value) is int or type(value) is float:
        return value
    raise Unfit(expected("a number", value))


_NUMBER = Coders(_same, _decode_number, plain=True)  # of `int | float`


def _literal(choices: tuple[object, ...]) -> Coders:
    def decode_literal(value: Any) -> Any:
        if value in choices and any(type(value) is type(choice) for choice in choices):
            return value
        raise Unfit(expected(f"one of {', '.join(map(str, choices))}", value))

    return Coders(_same, decode_literal, plain=True)


def _optional(inner: Coders) -> Coders:
    encode_inner, decode_inner = inner.encode, inner.decode
    return Coders(
        lambda value: None if value is None else encode_inner(value),
        lambda value: None if value is None else decode_inner(value),
        inner.plain,
        inner.typed,
    )


def _row(inner: Coders) -> Coders:
    """`tuple[T, ...]`."""
    encode_inner, decode_inner = inner.encode, inner.decode

    def decode_row(value: Any) -> Any:
        if type(value) is not list and type(value) is not tuple:
            raise Unfit(expected("a list", value))
        try:
            return tuple([decode_inner(item) for item in value])
        except Unfit:
            for number, item in enumerate(value):
                _at(decode_inner, item, str(number))
            raise

    return Coders(
        _same if inner.plain else lambda value: [encode_inner(item) for item in value],
        decode_row,
        inner.plain,
    )


def _at(decode_inner: _Coder, value: Any, place: str) -> Any:
    """Decode with the place in the way to what is wrong."""
    try:
        return decode_inner(value)
    except Unfit as error:
        raise error.within(place) from None


def _fixed(kinds: tuple[Any, ...]) -> Coders:
    """`tuple[A, B]`."""
    inner = [_coders(kind) for kind in kinds]
    decoders, plain, count = [one.decode for one in inner], all(one.plain for one in inner), len(inner)
    scalars = tuple(kinds) if all(kind in (str, int, bool) for kind in kinds) else None

    def decode_fixed(value: Any) -> Any:
        if (type(value) is not list and type(value) is not tuple) or len(value) != count:
            raise Unfit(expected(f"a list of {count}", value))
        if scalars is not None and tuple(map(type, value)) == scalars:
            return tuple(value)
        try:
            return tuple([decode_item(item) for decode_item, item in zip(decoders, value, strict=True)])
        except Unfit:
            for number, item in enumerate(value):
                _at(decoders[number], item, str(number))
            raise

    def encode_fixed(value: Any) -> Any:
        return [one.encode(item) for one, item in zip(inner, value, strict=True)]

    return Coders(_same if plain else encode_fixed, decode_fixed, plain)


def _number(key: str) -> int:
    if not key.isascii() or not key.isdigit():
        raise Unfit(expected("a whole number", key))
    return int(key)


def _mapping(numbered: bool, inner: Coders) -> Coders:
    """`Mapping[str, T]`, or with keys of int, which are texts in JSON."""
    encode_inner, decode_inner = inner.encode, inner.decode

    def decode_mapping(value: Any) -> Any:
        if type(value) is not dict:
            raise Unfit(expected("an object", value))
        try:
            if numbered:
                return {_number(key): decode_inner(item) for key, item in value.items()}
            return {key: decode_inner(item) for key, item in value.items()}
        except Unfit:
            for key, item in value.items():
                _at(decode_inner, item, key)
            raise

    def encode_mapping(value: Any) -> Any:
        return {str(key): encode_inner(item) for key, item in value.items()}

    plain = inner.plain and not numbered
    return Coders(_same if plain else encode_mapping, decode_mapping, plain)


def _union(kinds: list[type]) -> Coders:
    """Records told apart by their `KIND`."""
    by_name: dict[str, type] = {getattr(kind, "KIND"): kind for kind in kinds}  # noqa: B009  # of any class

    def decode_union(value: Any) -> Any:
        if type(value) is not dict:
            raise Unfit(expected("an object", value))
        kind = by_name.get(str(value.get("kind")))
        if kind is None:
            raise Unfit(expected(f"one of {', '.join(by_name)}", value.get("kind")), ("kind",))
        return coders_of(kind).decode({name: item for name, item in value.items() if name != "kind"})

    def encode_union(value: Any) -> Any:
        return {"kind": value.KIND, **coders_of(type(value)).encode(value)}

    return Coders(encode_union, decode_union)


def coders_of(kind: Any) -> Coders:
    return _coders(kind)


@cache
def _coders(kind: Any) -> Coders:
    """The coders of a type. Raises TypeError for what no field of a record may be."""
    if kind is Any:
        return Coders(_same, _same, plain=True)
    if kind in _NAMES:
        return _scalar(kind)
    if dataclasses.is_dataclass(kind):
        return _record(kind)
    origin, given = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return _literal(given)
    if origin in (typing.Union, types.UnionType):
        some = [one for one in given if one is not type(None)]
        if set(some) == {int, float}:
            inner = _NUMBER
        else:
            inner = _coders(some[0]) if len(some) == 1 else _union(some)
        return inner if len(some) == len(given) else _optional(inner)
    if origin is tuple:
        if len(given) == 2 and given[1] is Ellipsis:
            return _row(_coders(given[0]))
        return _fixed(given)
    if origin in (Mapping, dict) and given[0] in (str, int):
        if given == (str, Any):
            return Coders(_same, _opaque, plain=True, typed=True)
        return _mapping(given[0] is int, _coders(given[1]))
    raise TypeError(f"{kind} is no type of a record's field")


def _opaque(value: Any) -> Any:
    if type(value) is not dict:
        raise Unfit(expected("an object", value))
    return value


@dataclasses.dataclass
class _Shape:
    """Records with just these fields given: the types of values that are known to
    fit, the fields that have to be decoded because their type alone does not tell, and the rest's
    defaults."""

    others: list[tuple[str, _Coder]]
    defaults: _Object
    fit: set[tuple[type, ...]] = dataclasses.field(default_factory=set)


def _record(kind: Any) -> Coders:
    names = {field.name: field.name.removesuffix("_") for field in dataclasses.fields(kind)}
    coders = _record_by_attributes(kind)
    if all(name == attribute for attribute, name in names.items()):
        return coders
    attributes = {name: attribute for attribute, name in names.items()}

    def encode_named(record: Any) -> _Object:
        return {names[attribute]: value for attribute, value in coders.encode(record).items()}

    def decode_named(value: Any) -> Any:
        if type(value) is not dict:
            raise Unfit(expected("an object", value))
        try:
            return coders.decode({attributes.get(name, name): item for name, item in value.items()})
        except Unfit as error:
            first, *rest = error.path or ("",)
            raise Unfit(error.problem, (names.get(first, first), *rest)) from None

    return Coders(encode_named, decode_named)


def _record_by_attributes(kind: Any) -> Coders:
    hints = get_type_hints(kind)
    fields = {field.name: _coders(hints[field.name]) for field in dataclasses.fields(kind)}
    defaults = {field.name: default for field in dataclasses.fields(kind)
                if (default := _default(field)) is not dataclasses.MISSING}  # fmt: skip
    shapes: dict[tuple[str, ...], _Shape] = {}

    def shape_of(value: Any) -> _Shape:
        if type(value) is not dict:
            raise Unfit(expected("an object", value))
        for name in value:
            if name not in fields:
                raise Unfit("this version knows no such field", (str(name),))
        for name in fields:
            if name not in value and name not in defaults:
                raise Unfit("is missing", (name,))
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
        values = {**value, **shape.defaults}
        try:
            for name, decode_field in shape.others:
                values[name] = decode_field(value[name])
        except Unfit:
            for name, decode_field in shape.others:
                _at(decode_field, value[name], name)
            raise
        made = object.__new__(kind)
        object.__setattr__(made, "__dict__", values)  # half the time of decoding would go into `__init__`
        return made

    encoders = [(name, None if coders.plain else coders.encode, defaults.get(name, dataclasses.MISSING))
                for name, coders in fields.items()]  # fmt: skip

    def encode_whole(record: Any) -> _Object:
        made: _Object = {}
        for name, encode_field, default in encoders:
            value = getattr(record, name)
            if default is dataclasses.MISSING or value != default:
                made[name] = value if encode_field is None else encode_field(value)
        return made

    return Coders(encode_whole, decode_record)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
