"""Which copy of source code is worth keeping: by licence, place, stars, then the order of all survivors."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

# SPDX identifiers of widely used licences that ask for no more than notices; our own selection.
PERMISSIVE = (
    *("0BSD", "AFL-3.0", "Apache-2.0", "Artistic-2.0", "BSD-2-Clause", "BSD-2-Clause-Patent", "BSD-3-Clause"),
    *("BSD-3-Clause-Clear", "BSL-1.0", "BlueOak-1.0.0", "CC0-1.0", "ECL-2.0", "ISC", "MIT", "MIT-0", "NCSA"),
    *("MulanPSL-2.0", "PostgreSQL", "PSF-2.0", "Python-2.0", "Ruby", "Unicode-3.0", "Unlicense", "UPL-1.0"),
    *("W3C", "WTFPL", "X11", "Zlib", "ZPL-2.1"),
)
IS_PERMISSIVE, IS_OTHER, IS_UNKNOWN = range(3)
_UNKNOWN = ("", "NOASSERTION", "NONE")
_IDENTIFIER = re.compile(r"[A-Za-z0-9.+-]+")
_VENDORED = re.compile(
    r"(?:^|/)(?:_?vendors?|_?vendored|(?:3rd|third)[-_]?party|node_modules|bower_components|externals?|extern|deps"
    r"|godeps|site-packages|subprojects)/",
    re.IGNORECASE,
)


def licence_class(licence: str | None, permissive: frozenset[str]) -> int:
    """0 permissive, 1 another, 2 unknown, of an SPDX expression: with `OR` the best part counts.

    `permissive`: identifiers in small letters. A part is permissive if every identifier in it is; what
    follows `WITH`, an exception, allows more and does not count.
    """
    if licence is None or licence.strip().upper() in _UNKNOWN:
        return IS_UNKNOWN
    for part in re.split(r"\bOR\b", licence):
        names = _IDENTIFIER.findall(re.sub(r"\bWITH\s+[\w.+-]+|\bAND\b", " ", part))
        if names and all(name.lower() in permissive for name in names):
            return IS_PERMISSIVE
    return IS_OTHER


def stars_of(meta: str, fields: Sequence[str]) -> int:
    """The first of `fields` in a document's metadata that is a number, at least 0; 0 without one."""
    if not any(field in meta for field in fields):
        return 0
    known = json.loads(meta)
    for field in fields:
        value = known.get(field)
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
            return int(min(max(value, 0), 2**62))
    return 0


def is_vendored(path: str | None) -> bool:
    """Whether a folder of the path is one for other people's code."""
    return path is not None and _VENDORED.search(path) is not None


def worth_ranks(facts: pa.Table, priority: Sequence[str]) -> npt.NDArray[np.int64]:
    """Rank of each row, int64[n]; 0 is most worth keeping.

    `facts`: the columns `survivors.FACTS`, and `licence` (class), `vendored` (0 or 1) and `stars`. First the
    source's place in `priority`, then the licence, then what is not vendored, then more stars, then the
    order of `survivors`.
    """
    import numpy as np

    from corpusmill.pipelines.contract.known import places
    from corpusmill.pipelines.contract.survivors import ranks

    source = facts.column("source").combine_chunks().dictionary_encode()
    place = places(source.dictionary.to_pylist() or [""], priority)[source.indices.to_numpy()]
    keys = [facts.column(name).to_numpy() for name in ("licence", "vendored")]
    stars = facts.column("stars").to_numpy()
    order = np.lexsort((ranks(facts, priority), -stars, *reversed(keys), place))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank
