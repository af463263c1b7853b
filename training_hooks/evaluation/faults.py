"""Shards that look broken, found before any training: cheap, one pass over the tokens.

What is looked for in every shard, and how it is named:

- `damaged`: it does not open (cut short, no shard), or the digest of its tokens is not the one it was
  written with;
- `wrong vocabulary`: ids its vocabulary does not have; another tokenizer than the other shards, or than the
  recipe's; texts of another size than its tokens spell; tokens spread unlike those of the other shards;
- `misplaced ends`: the token that ends documents stands elsewhere, or another one in its place;
- `all padding`: a row without a token, which packing never makes; `padding inside`: the padding id where a
  document is said to be;
- `constant tokens`: more than 1% of the rows repeat one token;
- `repeated rows`: more than 1% of the rows are the same as another and are not copies of one document in
  different epochs, which begin alike;
- `shuffled tokens`: neighbouring tokens know nothing of one another (`order`);
- what `source_checks` finds in one source of a shard: `shuffled tokens`, `shuffled words`, `undecodable
  text`, `other encoding`, `constant tokens`, `empty documents`, `repeated documents`.

What nothing here can tell: ids exchanged one for one in all shards alike, the ends of documents left, where
no tokenizer.json is at hand (it is the same text under other names); whole documents or lines in another
order; text that was damaged before its tokenizer was trained and still reads like some language.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.contract.randomness import generator
from corpusmill.tokenizer.shards.reader import Shard, open_shard
from corpusmill.training_hooks.evaluation.ends import misplaced_ends
from corpusmill.training_hooks.evaluation.order import order_information
from corpusmill.training_hooks.evaluation.source_checks import check_sources
from corpusmill.training_hooks.evaluation.spelling import Spelling, spelling

I64 = npt.NDArray[np.int64]

ROWS = 1024  # read at a time
FEW = 0.01  # of a shard's rows may be constant or repeated
SHORT = 16  # real tokens; shorter rows may well be constant or alike
ORDER_TOKENS, ORDER_LEAST = 2**18, 2**11  # of a shard looked at for order; fewer tell nothing
ORDER_NATS = 0.1  # of text of any kind at least half a nat, of shuffled tokens 0.01
SPREAD_LEAST = 2**13  # tokens; the spread of fewer tells nothing
# Jensen-Shannon divergence from the other shards, of at most ln 2. Sound shards of a run: 0.31 where they
# hold few tokens, 0.03 from a million on; under another vocabulary of that size, of the same text: 0.19.
SPREAD_NATS = 0.35
SPREAD_LARGE, SPREAD_LARGE_NATS = 2**18, 0.12


@dataclass(frozen=True)
class Fault:
    """What is wrong with one shard."""

    shard: Path
    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.shard.name}: {self.kind}: {self.detail}"


@dataclass
class _Figures:
    """Of one shard: counts of ids int64[V]; digests and first pieces of rows."""

    path: Path
    counts: I64
    digests: list[int] = field(default_factory=list)
    firsts: list[tuple[bytes, int, int]] = field(default_factory=list)


def check_shards(shards: Sequence[Path], tokenizer: Path | None = None) -> list[Fault]:
    """Faults of `shards`, in their order; none is empty.

    `tokenizer`: the recipe's tokenizer.json. With it, the tokens of byte-level vocabularies are also held
    against the bytes of the documents they stand for, exactly. Memory: about 200 bytes a row, and 8 bytes
    an id a shard.
    """
    expected = hashlib.sha256(tokenizer.read_bytes()).hexdigest() if tokenizer is not None else None
    spelled = spelling(tokenizer) if tokenizer is not None else None
    faults: list[Fault] = []
    opened: list[Shard] = []
    for path in shards:
        try:
            opened.append(open_shard(path))
        except IntegrityError as error:
            faults.append(Fault(path, "damaged", str(error)))
    faults += _strangers(opened, expected)
    figures = []
    for shard in opened:
        try:
            one, found = _read(shard, spelled if shard.metadata["tokenizer"] == expected else None)
        except IntegrityError as error:
            faults.append(Fault(shard.path, "damaged", str(error)))
            continue
        faults += found
        figures.append(one)
    faults += _repeats(figures)
    faults += _spreads(figures)
    place = {path: at for at, path in enumerate(shards)}
    return sorted(faults, key=lambda fault: place[fault.shard])


def _strangers(shards: Sequence[Shard], expected: str | None) -> list[Fault]:
    """Shards of another tokenizer than the recipe's, or than most."""
    if not shards:
        return []
    named = Counter(str(shard.metadata["tokenizer"]) for shard in shards)
    usual = expected or max(named, key=lambda name: (named[name], name == shards[0].metadata["tokenizer"]))
    whose = "the recipe's" if expected else "most shards'"
    return [
        Fault(
            shard.path,
            "wrong vocabulary",
            f"encoded by tokenizer {str(shard.metadata['tokenizer'])[:16]}, {whose} is {usual[:16]}: "
            "encode the documents again",
        )
        for shard in shards
        if shard.metadata["tokenizer"] != usual
    ]


def _read(shard: Shard, spelled: Spelling | None) -> tuple[_Figures, list[Fault]]:
    """One pass over a shard. `spelled`: of its own tokenizer."""
    path, facts = shard.path, shard.metadata
    vocabulary, pad = int(facts["vocab_size"]), facts["pad_id"]
    if spelled is not None and len(spelled.length_V) < vocabulary:
        spelled = None
    bytes_S = np.zeros(len(facts["sources"]), np.int64)
    pieces = shard.piece_table()
    row, length, source = (pieces.column(name).to_numpy() for name in ("row", "length", "source"))
    lengths_R = np.bincount(row, weights=length, minlength=shard.rows).astype(np.int64)
    firsts = _firsts(pieces, lengths_R)
    figures = _Figures(path, np.zeros(vocabulary, np.int64), firsts=firsts)
    constant: list[int] = []
    padded: list[int] = []
    beyond: tuple[int, int] | None = None
    for first in range(0, shard.rows, ROWS):
        rows_RL = shard.batch(np.arange(first, min(first + ROWS, shard.rows)))
        length_R = lengths_R[first : first + len(rows_RL)]
        real_RL = np.arange(shard.sequence_length) < length_R[:, None]
        figures.digests += [xxhash.xxh3_64_intdigest(row.tobytes()) for row in rows_RL]
        counts = np.bincount(rows_RL[real_RL])
        if len(counts) > vocabulary and beyond is None:
            row = int((np.where(real_RL, rows_RL, 0) >= vocabulary).any(axis=1).argmax())
            beyond = first + row, int(rows_RL[row].max())
        figures.counts[: len(counts)] += counts[:vocabulary]
        if spelled is not None and beyond is None:
            low, high = np.searchsorted(row, [first, first + len(rows_RL)])
            source_N = np.repeat(source[low:high], length[low:high])
            spelled_N = spelled.length_V[rows_RL[real_RL]]
            bytes_S += np.bincount(source_N, weights=spelled_N, minlength=len(bytes_S)).astype(np.int64)
        same_R = ((rows_RL == rows_RL[:, :1]) | ~real_RL).all(axis=1) & (length_R >= SHORT)
        constant += (first + np.flatnonzero(same_R)).tolist()
        if pad is not None:
            padded += (first + np.flatnonzero(((rows_RL == pad) & real_RL).any(axis=1))).tolist()
    empty = np.flatnonzero(lengths_R == 0).tolist()
    faults = []
    if beyond is not None:
        detail = f"row {beyond[0]} holds id {beyond[1]}, its vocabulary ends at {vocabulary - 1}"
        faults.append(Fault(path, "wrong vocabulary", detail))
    if empty:
        faults.append(Fault(path, "all padding", f"{_rows(empty, shard.rows)} hold no token"))
    solid = [row for row in padded if row not in set(constant)]
    if solid:
        detail = f"{_rows(solid, shard.rows)} hold the padding id {pad} where a document is said to be"
        faults.append(Fault(path, "padding inside", detail))
    if len(constant) > FEW * shard.rows:
        kind = "all padding" if set(constant) <= set(padded) else "constant tokens"
        faults.append(Fault(path, kind, f"{_rows(constant, shard.rows)} repeat one token"))
    elif beyond is None:
        faults += _disorder(shard, lengths_R) or _of_sources(shard, spelled)
    ends = misplaced_ends(shard, pieces, lengths_R, figures.counts)
    if ends is not None:
        faults.append(Fault(path, "misplaced ends", ends))
    if spelled is not None and beyond is None:
        faults += _misspelt(shard, bytes_S)
    return figures, faults


def _firsts(pieces: pa.Table, lengths_R: I64) -> list[tuple[bytes, int, int]]:
    """What the first piece of each row is: (document, offset, epoch)."""
    heads = np.searchsorted(pieces.column("row").to_numpy(), np.arange(len(lengths_R)))
    columns = [
        pieces.column(name).take(heads[lengths_R > 0]).to_pylist() for name in ("document", "offset", "epoch")
    ]
    filled = iter(zip(*columns, strict=True))
    return [next(filled) if length else (b"", 0, 0) for length in lengths_R.tolist()]


def _disorder(shard: Shard, lengths_R: I64) -> list[Fault]:
    """A shard whose tokens have no order."""
    usable = np.flatnonzero(lengths_R > 1)
    if lengths_R[usable].sum() < ORDER_LEAST:
        return []
    wanted = max(1, -(-ORDER_TOKENS // shard.sequence_length))
    chosen = usable[np.unique(np.linspace(0, len(usable) - 1, min(wanted, len(usable))).astype(np.int64))]
    rows = [shard.tokens(row)[: lengths_R[row]].astype(np.int64) for row in chosen.tolist()]
    told = order_information(rows, generator(0, "order"))
    if told >= ORDER_NATS:
        return []
    detail = f"a token tells {max(told, 0.0):.3f} nats about the next; text tells half a nat or more"
    return [Fault(shard.path, "shuffled tokens", detail)]


def _of_sources(shard: Shard, spelled: Spelling | None) -> list[Fault]:
    """What is wrong with sources, those of one kind together."""
    by_kind: dict[str, list[str]] = {}
    for finding in check_sources(shard, spelled):
        by_kind.setdefault(finding.kind, []).append(f"of {finding.source}, {finding.detail}")
    return [Fault(shard.path, kind, "; ".join(details)) for kind, details in by_kind.items()]


def _misspelt(shard: Shard, bytes_S: I64) -> list[Fault]:
    """A shard whose tokens spell more or fewer bytes than its documents have."""
    sizes: dict[str, int] | None = shard.metadata.get("counts", {}).get("bytes_by_source")
    if sizes is None:
        return []
    pairs = zip(shard.metadata["sources"], bytes_S.tolist(), strict=True)
    wrong = {name: found for name, found in pairs if found != sizes.get(name, 0)}
    if not wrong:
        return []
    found, stated = sum(wrong.values()), sum(sizes.get(name, 0) for name in wrong)
    detail = f"tokens of {', '.join(wrong)} spell {found:,} bytes, the documents have {stated:,}"
    return [Fault(shard.path, "wrong vocabulary", detail)]


def _repeats(shards: Sequence[_Figures]) -> list[Fault]:
    """Rows that are the same as an earlier one of any shard, copies of a document aside."""
    seen: dict[int, tuple[str, int, dict[tuple[bytes, int], set[int]]]] = {}
    faults = []
    for one in shards:
        again: list[int] = []
        example = ""
        for row, (digest, (document, offset, epoch)) in enumerate(zip(one.digests, one.firsts, strict=True)):
            if not document:
                continue
            if digest not in seen:
                seen[digest] = one.path.name, row, {(document, offset): {epoch}}
                continue
            where, first, begins = seen[digest]
            epochs = begins.get((document, offset))
            if epochs is not None and epoch not in epochs:
                epochs.add(epoch)
                continue
            again.append(row)
            example = example or f"row {row} is row {first} of {where}"
        if len(again) > FEW * len(one.digests):
            detail = f"{_rows(again, len(one.digests))} were there before, such as: {example}"
            faults.append(Fault(one.path, "repeated rows", detail))
    return faults


def _spreads(shards: Sequence[_Figures]) -> list[Fault]:
    """Shards whose tokens are spread unlike those of the others together, the worst first: what is found odd
    no longer counts among the others."""
    left = [one for one in shards if one.counts.sum() >= SPREAD_LEAST]
    if len({len(one.counts) for one in left}) != 1:
        return []
    whole_V = np.sum([one.counts for one in left], axis=0)
    faults = []
    while len(left) > 1:
        apart = [_divergence(one.counts, whole_V - one.counts) for one in left]
        most = [
            SPREAD_LARGE_NATS
            if min(one.counts.sum(), whole_V.sum() - one.counts.sum()) >= SPREAD_LARGE
            else SPREAD_NATS
            for one in left
        ]
        worst = int(np.argmax(np.array(apart) - most))
        if apart[worst] <= most[worst]:
            break
        odd = left.pop(worst)
        whole_V = whole_V - odd.counts
        detail = f"its tokens are spread unlike the others' ({apart[worst]:.2f} nats apart, of at most 0.69)"
        faults.append(Fault(odd.path, "wrong vocabulary", detail))
    return faults


def _divergence(left_V: I64, right_V: I64) -> float:
    """Jensen-Shannon divergence of two distributions given by counts, in nats."""
    p, q = left_V / left_V.sum(), right_V / right_V.sum()
    middle = (p + q) / 2
    parts = [float((x[x > 0] * np.log(x[x > 0] / middle[x > 0])).sum()) for x in (p, q)]
    return sum(parts) / 2


def _rows(rows: Sequence[int], whole: int) -> str:
    shown = ", ".join(map(str, rows[:3])) + (", ..." if len(rows) > 3 else "")
    return f"{len(rows):,} of {whole:,} rows ({shown})"


def as_json(faults: Sequence[Fault]) -> list[dict[str, Any]]:
    """Faults for evaluation.json."""
    return [{"shard": f.shard.name, "kind": f.kind, "detail": f.detail} for f in faults]
