"""Arrow columns of any type as Python values that JSON can hold.

Arrow's own `to_pylist` raises where Python has no such value (a nanosecond, the year 10,000, an unknown time
zone) and depends on which libraries are installed. Here every type has a form of its own:

- times, dates and timestamps: ISO 8601, with nine digits where there are nanoseconds, timestamps of a zone in
  its offset (UTC for a zone unknown here); where Python has no such date, the raw number as a string;
- durations: seconds; intervals: [months, days, nanoseconds]; decimals: strings; bytes: base64;
- lists: lists; maps: lists of [key, value]; structs: objects; dictionaries, run-end encodings, unions and
extension types: as the values they stand for.
"""

from __future__ import annotations

import base64
import datetime
import re
import zoneinfo
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH = datetime.datetime(1970, 1, 1)
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)


def plain_values(column: pa.Array) -> list[Any]:
    """One value a row of `column`, null as None. Never raises for what a value is."""
    if isinstance(column, pa.ChunkedArray):
        return [value for chunk in column.chunks for value in plain_values(chunk)]
    for applies, convert in _CONVERTERS:
        if applies(column.type):
            return convert(column)
    return [None if not scalar.is_valid else str(scalar) for scalar in column]


def distinct_names(names: Sequence[str]) -> list[str]:
    """`names` with `.2`, `.3`, ... after those that stood before, so that no column hides another."""
    taken = set(names)
    seen: set[str] = set()
    distinct: list[str] = []
    for name in names:
        number = 2
        own = name
        while own in seen or (own != name and own in taken):
            own, number = f"{name}.{number}", number + 1
        seen.add(own)
        distinct.append(own)
    return distinct


def _is_plain(type_: pa.DataType) -> bool:
    half = pa.types.is_float16(type_)
    number = pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_)
    return bool((number or pa.types.is_null(type_)) and not half)


def _is_string(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_)
    )


def _is_binary(type_: pa.DataType) -> bool:
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(kind(type_) for kind in kinds) or pa.types.is_fixed_size_binary(type_)


def _is_list(type_: pa.DataType) -> bool:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(kind(type_) for kind in (*kinds, pa.types.is_list_view, pa.types.is_large_list_view))


def _as_they_are(column: pa.Array) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values


def _halves(column: pa.Array) -> list[Any]:
    return _as_they_are(column.cast(pa.float32()))


def _strings(column: pa.Array) -> list[Any]:
    try:
        return _as_they_are(column)
    except UnicodeDecodeError:
        raw = column.cast(pa.large_binary()).to_pylist()
        return [None if value is None else value.decode("utf-8", "backslashreplace") for value in raw]


def _bytes(column: pa.Array) -> list[Any]:
    return [None if value is None else base64.b64encode(value).decode() for value in column.to_pylist()]


def _decimals(column: pa.Array) -> list[Any]:
    return [None if value is None else str(value) for value in column.to_pylist()]


def _integers(column: pa.Array) -> list[int | None]:
    width = pa.int32() if column.type.bit_width == 32 else pa.int64()
    values: list[int | None] = column.view(width).to_pylist()
    return values


@lru_cache(maxsize=256)
def _zone(name: str) -> datetime.tzinfo:
    fixed = _OFFSET.fullmatch(name)
    if fixed:
        away = datetime.timedelta(hours=int(fixed[2]), minutes=int(fixed[3]))
        if away < datetime.timedelta(days=1):
            return datetime.timezone(-away if fixed[1] == "-" else away)
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return datetime.UTC


def _with_nanoseconds(text: str, nanoseconds: int) -> str:
    """ISO 8601 `text` without a fraction, or with one of six digits, with one of nine where it has to be."""
    if nanoseconds % 1000 == 0:
        return text
    return f"{text[:19]}.{nanoseconds:09d}{text[26 if text[19:20] == '.' else 19 :]}"


def _timestamps(column: pa.Array) -> list[Any]:
    per_second, name = _PER_SECOND[column.type.unit], column.type.tz
    zone = None if name is None else _zone(name)
    values: list[Any] = []
    for raw in _integers(column):
        if raw is None:
            values.append(None)
            continue
        seconds, fraction = divmod(raw, per_second)
        nanoseconds = fraction * (10**9 // per_second)
        try:
            when = _EPOCH + datetime.timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
            if zone is not None:
                when = when.replace(tzinfo=datetime.UTC).astimezone(zone)
            values.append(_with_nanoseconds(when.isoformat(), nanoseconds))
        except (OverflowError, ValueError):
            values.append(str(raw))
    return values


def _dates(column: pa.Array) -> list[Any]:
    per_day = 1 if pa.types.is_date32(column.type) else 86_400_000
    values: list[Any] = []
    for raw in _integers(column):
        try:
            day = None if raw is None else _EPOCH.date() + datetime.timedelta(days=raw // per_day)
            values.append(None if day is None else day.isoformat())
        except OverflowError:
            values.append(str(raw))
    return values


def _times(column: pa.Array) -> list[Any]:
    per_second = _PER_SECOND[column.type.unit]
    values: list[Any] = []
    for raw in _integers(column):
        if raw is None or not 0 <= raw < 86_400 * per_second:
            values.append(None if raw is None else str(raw))
            continue
        nanoseconds = raw % per_second * (10**9 // per_second)
        seconds = datetime.timedelta(seconds=raw // per_second, microseconds=nanoseconds // 1000)
        text = (_EPOCH + seconds).isoformat()
        values.append(_with_nanoseconds(text, nanoseconds)[11:])
    return values


def _durations(column: pa.Array) -> list[Any]:
    per_second = _PER_SECOND[column.type.unit]
    return [None if raw is None else raw / per_second for raw in _integers(column)]


def _intervals(column: pa.Array) -> list[Any]:
    return [None if value is None else list(value) for value in column.to_pylist()]


def _lists(column: pa.Array) -> list[Any]:
    lengths = pc.list_value_length(column).to_pylist()
    items = plain_values(column.flatten())
    values: list[Any] = []
    at = 0
    for length in lengths:
        values.append(None if length is None else items[at : at + length])
        at += length or 0
    return values


def _maps(column: pa.Array) -> list[Any]:
    bounds = column.offsets.to_pylist()
    first, last = bounds[0], bounds[-1]
    keys, items = (plain_values(child.slice(first, last - first)) for child in (column.keys, column.items))
    known = column.is_valid().to_pylist()
    return [
        [[keys[at], items[at]] for at in range(start - first, end - first)] if valid else None
        for start, end, valid in zip(bounds[:-1], bounds[1:], known, strict=True)
    ]


def _structs(column: pa.Array) -> list[Any]:
    names = distinct_names([field.name for field in column.type])
    fields = [plain_values(child) for child in column.flatten()]
    known = column.is_valid().to_pylist()
    return [
        {name: field[row] for name, field in zip(names, fields, strict=True)} if valid else None
        for row, valid in enumerate(known)
    ]


def _dictionaries(column: pa.Array) -> list[Any]:
    words = plain_values(column.dictionary)
    return [None if index is None else words[index] for index in column.indices.to_pylist()]


def _runs(column: pa.Array) -> list[Any]:
    return plain_values(pc.run_end_decode(column))


def _unions(column: pa.Array) -> list[Any]:
    codes = column.type_codes.to_pylist()
    dense = column.type.mode == "dense"
    places = column.offsets.to_pylist() if dense else range(len(column))
    children = {
        code: plain_values(column.field(number)) for number, code in enumerate(column.type.type_codes)
    }
    return [children[code][place] for code, place in zip(codes, places, strict=True)]


def _extensions(column: pa.Array) -> list[Any]:
    if column.type.extension_name == "arrow.uuid":
        return [None if value is None else str(value) for value in column.to_pylist()]
    if column.type.extension_name == "arrow.bool8":
        return [None if value is None else value != 0 for value in column.storage.to_pylist()]
    return plain_values(column.storage)


_CONVERTERS: list[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], list[Any]]]] = [
    (lambda type_: isinstance(type_, pa.BaseExtensionType), _extensions),
    (_is_plain, _as_they_are),
    (_is_string, _strings),
    (_is_binary, _bytes),
    (pa.types.is_float16, _halves),
    (pa.types.is_timestamp, _timestamps),
    (pa.types.is_date, _dates),
    (pa.types.is_time, _times),
    (pa.types.is_duration, _durations),
    (pa.types.is_interval, _intervals),
    (pa.types.is_decimal, _decimals),
    (pa.types.is_dictionary, _dictionaries),
    (pa.types.is_run_end_encoded, _runs),
    (pa.types.is_union, _unions),
    (pa.types.is_map, _maps),
    (_is_list, _lists),
    (pa.types.is_struct, _structs),
]
