"""The first documents of every source, encoded by every encoder at hand and decoded again, before packing.

A tokenizer is judged when it is made or loaded, on probe texts and on documents of a sample. What a source
holds may be unlike both, and a library may differ from another on that alone. So the first documents of each
source that a worker meets go through all encoders: equal ids are asked of them, and the very text back (in
the tokenizer's Unicode form, where the recipe applies one),
decoded by `tokenizers` and by the vocabulary as it stands in tokenizer.json.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.text.encoders import Encoder, TokenizersEncoder
from corpusmill.pipelines.text.token_bytes import spellings

DOCUMENTS = 8  # of each source
LONGEST = 2**16  # bytes of a text; a longer one leaves its place to the next: the reference is slow


class FirstDocuments:
    """Compares the first `DOCUMENTS` documents of each source that it is shown.

    `encoders`: those beside the reference, by name. Costs some ten milliseconds a source, once a worker.
    """

    def __init__(
        self, definition: dict[str, Any], reference: TokenizersEncoder, encoders: dict[str, Encoder]
    ) -> None:
        self._reference, self._encoders = reference, encoders
        self._spelled = spellings(definition)
        self._seen: Counter[str] = Counter()

    def check(self, ids: pa.Array, sources: pa.Array, texts: pa.Array) -> None:
        """Show it documents: ids and names of sources string[n], texts large_string[n] (null: no text).

        Raises CorpusmillError naming the first document on which encoders differ or whose text does not come
        back.
        """
        for source in pc.unique(sources).to_pylist():
            if self._seen[source] >= DOCUMENTS:
                continue
            mine = pc.fill_null(pc.equal(sources, source), False)
            short = pc.fill_null(pc.less_equal(pc.binary_length(texts), LONGEST), False)
            rows = pc.indices_nonzero(pc.and_(mine, short)).to_pylist()[: DOCUMENTS - self._seen[source]]
            for row in rows:
                self._check(ids[row].as_py(), source, texts[row].as_py())
            self._seen[source] += len(rows)

    def _check(self, identity: str, source: str, text: str) -> None:
        alone = pa.array([text], pa.large_string())
        tokens = self._reference.encode(alone)[1]
        for name, encoder in self._encoders.items():
            found = encoder.encode(alone)[1]
            if not np.array_equal(found, tokens):
                at = _first_difference(found, tokens)
                raise CorpusmillError(
                    f"{name} and tokenizers encode document {identity} of source {source} differently, from "
                    f"token {at} on; set `encoder: tokenizers` under `pack` and report the document to {name}"
                )
        expected = self._reference.normalized(text).encode()
        for reader, back in self._decoded(tokens):
            if back != expected:
                one, other = (np.frombuffer(data, np.uint8) for data in (back, expected))
                raise CorpusmillError(
                    f"document {identity} of source {source} does not come back from its tokens as it was, "
                    f"read by {reader}: byte {_first_difference(one, other)} differs; the tokenizer changes "
                    "texts, give one that does not"
                )

    def _decoded(self, tokens: Any) -> list[tuple[str, bytes]]:
        found = [("tokenizers", self._reference.decode(tokens).encode())]
        if self._spelled is not None:
            spelled = b"".join(self._spelled.get(token, b"") for token in tokens.tolist())
            found.append(("its own vocabulary", spelled))
        return found


def _first_difference(one: Any, other: Any) -> int:
    """The first place at which two arrays differ, one being longer included."""
    shared = min(len(one), len(other))
    unequal = np.flatnonzero(one[:shared] != other[:shared])
    return int(unequal[0]) if len(unequal) else shared
