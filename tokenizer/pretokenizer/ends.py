"""Where the pre-tokens of documents end: by kernel where the pattern has one, else through `tokenizers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer


def pretoken_ends(pre: PreTokenizer, texts: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """As `general.general_ends`, some hundred MB/s for named patterns.

    `texts`: string or large_string, null as empty. Returns (doc_starts int64[n + 1], ends int64[m]).
    """
    import numpy as np
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import buffers
    from corpusmill.tokenizer.kernels import pretokenize
    from corpusmill.tokenizer.pretokenizer.character_classes import class_table
    from corpusmill.tokenizer.pretokenizer.general import general_ends

    code = pre.code()
    if code is None:
        return general_ends(pre, texts)
    texts = texts.cast(pa.large_string()).fill_null("")
    if len(texts) == 0 or texts.buffers()[2] is None:
        return np.zeros(len(texts) + 1, np.int64), np.zeros(0, np.int64)
    offsets_N1, bytes_ = buffers(texts)
    classes = class_table()
    starts_N1 = pretokenize.count_pretokens(code, offsets_N1, bytes_, classes)
    ends = np.empty(starts_N1[-1], np.int64)
    pretokenize.pretoken_ends(code, offsets_N1, bytes_, classes, ends)
    return starts_N1, ends
