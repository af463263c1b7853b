"""TensorBoard's event files, written without its library.

An event file is a row of records (TFRecord): length uint64, its checksum uint32, the bytes, their checksum
uint32, all little-endian. A record's bytes are one `Event` in the encoding of Protocol Buffers, and the first
says `brain.Event:2`. Fields, by their numbers in tensorboard/compat/proto/{event,summary}.proto:

    Event    1 wall_time double, 2 step int64, 3 file_version string, 5 summary Summary
    Summary  1 value, repeated Value
    Value    1 tag string, 2 simple_value float (FP32)

Checksums are CRC-32C (Castagnoli), masked: rotated right by 15, plus 0xa282ead8. Times of the clock are left
out, so that the same curves give the same bytes: `wall_time` is the step. Nothing but scalars is written.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

# TensorBoard reads every file below its folder that has `tfevents` in its name.
NAME = "events.out.tfevents.0.corpusmill"

U32 = npt.NDArray[np.uint32]
_POLYNOMIAL = 0x82F63B78  # of CRC-32C, bits reversed
_MASK = 0xA282EAD8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FEW = 32  # messages: so few are faster one by one
_FP32_MAX = float(np.finfo(np.float32).max)


def event_file(points: Sequence[tuple[int, Mapping[str, float]]]) -> bytes:
    """The file of `points`: a step (from 0, below 2^63) and the values of its curves by tag, in order.

    Values are rounded to FP32, which is all that a scalar has room for; beyond its range they are infinite.
    """
    events = [_double(1, 0.0) + _bytes(3, b"brain.Event:2")]
    for step, values in points:
        summary = b"".join(_bytes(1, _bytes(1, tag.encode()) + _float(2, v)) for tag, v in values.items())
        events.append(_double(1, float(step)) + _key(2, _VARINT) + _varint(step) + _bytes(5, summary))
    lengths = [struct.pack("<Q", len(event)) for event in events]
    sums = zip(masked(crc32c(lengths)).tolist(), masked(crc32c(events)).tolist(), strict=True)
    return b"".join(
        length + struct.pack("<I", of_length) + event + struct.pack("<I", of_event)
        for length, event, (of_length, of_event) in zip(lengths, events, sums, strict=True)
    )


def crc32c(messages: Sequence[bytes]) -> U32:
    """CRC-32C of N messages, uint32[N]: byte after byte, all messages at once while there are many."""
    sizes_N = np.array([len(message) for message in messages], np.int64)
    starts_N = np.cumsum(sizes_N) - sizes_N
    data = np.frombuffer(b"".join(messages), np.uint8)
    table = _table()
    order_N = np.argsort(-sizes_N, kind="stable")  # longest first: those with a byte left stand in front
    sums_N = np.full(len(messages), 0xFFFFFFFF, np.uint32)
    shortest_N = np.sort(sizes_N)
    together = int(shortest_N[-_FEW]) if len(messages) > _FEW else 0  # so many bytes go at once
    for place in range(together):
        left_L = order_N[: len(messages) - int(np.searchsorted(shortest_N, place, side="right"))]
        before_L = sums_N[left_L]
        bytes_L = data[starts_N[left_L] + place]
        sums_N[left_L] = table[(before_L ^ bytes_L) & 0xFF] ^ (before_L >> 8)
    entries = table.tolist()
    for number in order_N[:_FEW].tolist():
        value = int(sums_N[number])
        for byte in messages[number][together:]:
            value = entries[(value ^ byte) & 0xFF] ^ (value >> 8)
        sums_N[number] = value
    return sums_N ^ np.uint32(0xFFFFFFFF)


def masked(sums_N: U32) -> U32:
    """Checksums as the records hold them, uint32[N]."""
    rotated_N = (sums_N >> 15) | (sums_N << 17)
    return (rotated_N + np.uint32(_MASK)).astype(np.uint32)


def _table() -> U32:
    """The remainder of every byte, uint32[256]."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _bytes(field: int, content: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(content)) + content


def _double(field: int, value: float) -> bytes:
    return _key(field, _FIXED64) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    if math.isfinite(value) and abs(value) > _FP32_MAX:
        value = math.copysign(math.inf, value)
    return _key(field, _FIXED32) + struct.pack("<f", value)
