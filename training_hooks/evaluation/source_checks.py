"""Whether the documents of one source in a shard look like text that a tokenizer encoded.

A shard may be whole, its ids valid and most of its sources sound, and one source noise all the same. So every
source is looked at by itself, on `SAMPLE` tokens in windows spread evenly over the first copies of its
documents in the shard. What the thresholds rest on was measured on web pages, news, Chinese and English
articles, manuals, code and mathematics, with vocabularies of 8, 16 and 200 thousand:

- `shuffled tokens`: a token tells less than `FAR_NATS` of the next but one. Sound sources: 0.22 to 1.5 nats
  from 2**14 tokens on, 0.19 from 2**12. Tokens, characters or bytes shuffled: at most 0.06. (Of the very
  next token even shuffled characters tell 0.2 nats: a pair that the tokenizer would have merged never comes.)
- `shuffled characters`: a character of the text that the tokens spell tells less than `CHARACTER_NATS` of the
  next, which needs no tokens of several characters to show. Sound: 0.56 and more; shuffled: at most 0.01.
- `shuffled words`: the end of a word tells less than `WORD_NATS` of the beginning of the next. Sound: 0.27 to
  1.3 from `WORD_PAIRS` pairs on; words shuffled between their white space: at most 0.03.
- `undecodable text`: over `UNDECODABLE` of the characters are no UTF-8 or came from what was none, as bytes
  shuffled in text that is not ASCII.
- `other encoding`: the tokenizer, given the text that the tokens spell, cuts it elsewhere: less than
  `AGREEMENT` of the boundaries of either are those of both. Sound: 0.99 and more; tokens reversed or
  shuffled: at most 0.9; every id off by one: at most 0.61.
- `constant tokens`: a token costs less than `CONSTANT_NATS` without any context. Sound: 4.8 and more; 3.1
  where every token is a byte of English.
- `empty documents`, `repeated documents`: over half of at least `DOCUMENTS` documents hold nothing but their
  end, or begin with the same row of tokens, of at least `SHORT`, as another document.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from corpusmill.pipelines.contract.randomness import generator
from corpusmill.tokenizer.shards.reader import Shard
from corpusmill.training_hooks.evaluation.order import order_information, word_order_information
from corpusmill.training_hooks.evaluation.spelling import Spelling

I64 = npt.NDArray[np.int64]

SAMPLE, SAMPLE_LEAST = 2**16, 2**12  # tokens of a source in a shard; fewer tell nothing
WINDOW = 256
FAR, FAR_NATS = 2, 0.1
CHARACTER_NATS = 0.1
WORD_PAIRS, WORD_NATS = 2**12, 0.1
READ_WINDOWS = 32  # of the sample: read and encoded again
UNDECODABLE = 0.1
AGREEMENT = 0.95
CONSTANT_NATS, CONSTANT_LEAST = 1.0, 2**8
DOCUMENTS, SHORT = 8, 16


class Finding(NamedTuple):
    kind: str
    source: str
    detail: str


def check_sources(shard: Shard, spelling: Spelling | None) -> Iterator[Finding]:
    """What is wrong with sources of a shard whose ids are all valid. `spelling`: of its own tokenizer."""
    pieces = shard.piece_table()
    source = pieces.column("source").to_numpy()
    for code, name in enumerate(shard.metadata["sources"]):
        chosen = pieces.filter(pa.array(source == code))
        without = _empty(shard, name, chosen) or _repeated(shard, chosen)
        if without is not None:
            yield Finding(*without[:1], name, *without[1:])
            continue
        # Copies of a document know of one another, whatever they hold.
        windows = _windows(shard, chosen.filter(pa.array(chosen.column("epoch").to_numpy() == 0)))
        tokens = sum(map(len, windows))
        if tokens >= CONSTANT_LEAST and (detail := _constant(windows)) is not None:
            yield Finding("constant tokens", name, detail)
            continue
        if tokens < SAMPLE_LEAST:
            continue
        for kind, detail in _of_sample(windows, spelling):
            yield Finding(kind, name, detail)


def _constant(windows: list[I64]) -> str | None:
    share = np.unique(np.concatenate(windows), return_counts=True)[1] / sum(map(len, windows))
    alone = float(-(share * np.log(share)).sum())
    if alone >= CONSTANT_NATS:
        return None
    return f"a token costs {alone:.2f} nats without context; text costs 3 or more"


def _of_sample(windows: list[I64], spelling: Spelling | None) -> Iterator[tuple[str, str]]:
    """Kinds and details of what a sample of a source shows."""
    draw = generator(0, "order")
    told = order_information(windows, draw, FAR)
    if told < FAR_NATS:
        detail = f"a token tells {max(told, 0.0):.3f} nats about the next but one; text tells 0.2 or more"
        yield "shuffled tokens", detail
        return
    if spelling is None:
        return
    told, pairs = word_order_information(windows, spelling.starts_word_V, spelling.ends_space_V, draw)
    if pairs >= WORD_PAIRS and told < WORD_NATS:
        detail = f"a word tells {max(told, 0.0):.3f} nats about the next; text tells 0.3 or more"
        yield "shuffled words", detail
    step = max(1, len(windows) // READ_WINDOWS)
    reading = spelling.read(windows[::step])
    if reading.undecodable is not None and reading.undecodable > UNDECODABLE:
        yield "undecodable text", f"{reading.undecodable:.0%} of its characters stand for what is no UTF-8"
        return
    told = order_information(reading.characters, draw)
    if told < CHARACTER_NATS:
        detail = f"a character tells {max(told, 0.0):.3f} nats about the next; text tells 0.3 or more"
        yield "shuffled characters", detail
    elif reading.agreement is not None and reading.agreement < AGREEMENT:
        detail = (
            f"the tokenizer would cut the same text otherwise: {reading.agreement:.1%} of the boundaries "
            "agree; all should"
        )
        yield "other encoding", detail


def _windows(shard: Shard, pieces: pa.Table) -> list[I64]:
    """About `SAMPLE` tokens of some pieces of a shard, in windows of at most `WINDOW` spread evenly."""
    row, start, length = (pieces.column(name).to_numpy() for name in ("row", "start", "length"))
    total = int(length.sum())
    if not total:
        return []
    each = -(-length.astype(np.int64) // WINDOW)
    last = np.cumsum(each)
    wanted = min(int(last[-1]), -(-int(last[-1]) * SAMPLE // total))
    found = []
    for place in np.unique(np.linspace(0, last[-1] - 1, wanted).astype(np.int64)).tolist():
        piece = int(np.searchsorted(last, place, side="right"))
        first = WINDOW * (place - int(last[piece] - each[piece]))
        size = min(WINDOW, int(length[piece]) - first)
        begin = int(start[piece]) + first
        found.append(shard.tokens(int(row[piece]))[begin : begin + size].astype(np.int64))
    return found


def _empty(shard: Shard, source: str, pieces: pa.Table) -> tuple[str, str] | None:
    """Documents that hold nothing but their end; those of no token at all have no piece."""
    documents = int(shard.metadata.get("counts", {}).get("documents_by_source", {}).get(source, 0))
    heads = pieces.filter(pa.array(pieces.column("offset").to_numpy() == 0))
    short = heads.filter(pa.array(heads.column("length").to_numpy() == 1))
    alone = [
        shard.tokens(row)[start]
        for row, start in zip(short.column("row").to_pylist(), short.column("start").to_pylist(), strict=True)
    ]
    empty = documents - heads.num_rows + sum(int(token) == shard.metadata["eos_id"] for token in alone)
    if documents < DOCUMENTS or 2 * empty <= documents:
        return None
    return "empty documents", f"{empty:,} of {documents:,} documents hold no text"


def _repeated(shard: Shard, pieces: pa.Table) -> tuple[str, str] | None:
    """Different documents that begin with the same tokens; copies in later epochs are none of these."""
    first = (pieces.column("offset").to_numpy() == 0) & (pieces.column("epoch").to_numpy() == 0)
    heads = pieces.filter(pa.array(first & (pieces.column("length").to_numpy() >= SHORT)))
    places = (heads.column(name).to_pylist() for name in ("row", "start", "length"))
    digests = [
        xxhash.xxh3_64_intdigest(shard.tokens(row)[start : start + length].tobytes())
        for row, start, length in zip(*places, strict=True)
    ]
    again = len(digests) - len(set(digests))
    if len(digests) < DOCUMENTS or 2 * again <= len(digests):
        return None
    return "repeated documents", f"{again:,} of {len(digests):,} documents are the same as another"
