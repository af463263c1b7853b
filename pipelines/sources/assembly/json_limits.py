"""JSON of foreign records within stated limits, checked before anything is parsed.

Python's parser gives up where its own stack ends, so that the same line would be read in one process and
refused in another that calls from deeper down. Here the limits are numbers, found by one linear scan.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

# Nested arrays and objects, the outermost counted. Everything that reads `meta` again goes as deep.
MAX_NESTING = 512
# Arrays, objects and their elements: as Python objects they take up to 40 times their bytes.
MAX_VALUES = 2**20
# Names of fields, of all objects: each is looked up at random in memory, which costs more the more there are.
MAX_NAMES = 2**16
# Digits of one integer: Python's own limit, which an environment variable can move.
MAX_DIGITS = 4300

_DECODE = json.JSONDecoder().decode  # as json.loads, which first looks at its options
_STRING = re.compile(rb'(?s)"(?:[^"\\]++|\\.)*+"?')  # an unclosed one runs to the end: one pass in any case
_STEPS = np.zeros(256, np.int8)
_STEPS[[ord("["), ord("{")]] = 1
_STEPS[[ord("]"), ord("}")]] = -1
_DIGITS = re.compile(rb"[0-9]{%d}" % (MAX_DIGITS + 1))


def load_json(data: bytes) -> Any:
    """The value of UTF-8 JSON. Raises ValueError (UnicodeDecodeError included) for what is none, or is
    beyond `MAX_NESTING`, `MAX_VALUES`, `MAX_NAMES` or `MAX_DIGITS`; NaN and infinities are read as Python's
    json does.
    """
    fault = limit_fault(data)
    if fault is not None:
        data.decode()  # bytes that are no text are told as that
        raise ValueError(fault)
    return _DECODE(data.decode())


def limit_fault(data: bytes) -> str | None:
    """Which limit JSON goes beyond, in words; None within them. Linear in the bytes."""
    opened = data.count(b"[") + data.count(b"{")
    values = opened + data.count(b",")
    names = data.count(b":")
    if opened <= MAX_NESTING and values <= MAX_VALUES and names <= MAX_NAMES and len(data) <= MAX_DIGITS:
        return None
    bare = _STRING.sub(b'""', data)
    if opened > MAX_NESTING:
        depth = int(np.cumsum(_STEPS[np.frombuffer(bare, np.uint8)], dtype=np.int64).max(initial=0))
        if depth > MAX_NESTING:
            return f"nested more than {MAX_NESTING} levels deep"
    if values > MAX_VALUES and sum(map(bare.count, (b"[", b"{", b","))) > MAX_VALUES:
        return f"more than {MAX_VALUES} values"
    if names > MAX_NAMES and bare.count(b":") > MAX_NAMES:
        return f"more than {MAX_NAMES} names of fields"
    if _DIGITS.search(bare):
        return f"a number of more than {MAX_DIGITS} digits"
    return None
