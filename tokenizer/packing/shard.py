"""One partition of drawn documents becomes a token shard, and another of the documents held out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.contract.given_tables import PIECE
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.records.mixture_plan import FILE, read_plan
from corpusmill.tokenizer.bpe.artefact import Vocabulary, read_vocabulary
from corpusmill.tokenizer.packing.cut import Cut, Frame, cut_documents
from corpusmill.tokenizer.packing.rows import PackedRows, pack_rows
from corpusmill.tokenizer.shards.format import HELD_OUT, TRAIN, shard_name, write_shard
from corpusmill.tokenizer.shards.framing import Framing

if TYPE_CHECKING:
    from corpusmill.tokenizer.pack import Pack

Ints = npt.NDArray[np.int64]


def write_partition(
    table: pa.Table, partition: int, folder: Path, options: Pack, context: Context
) -> dict[str, Any]:
    """Pack `table` (rows of `draw`) and write its shards into `folder`.

    Returns the counts of the training shard, with those of the other one, where it was asked for, under
    `held_out`.
    """
    if options.held_out == 0.0:
        return _write(table, partition, folder, options, context, TRAIN)
    parts = {TRAIN: table, HELD_OUT: table}
    if table.num_rows:
        is_held_out = table.column("held_out")
        parts = {TRAIN: table.filter(pc.invert(is_held_out)), HELD_OUT: table.filter(is_held_out)}
    counts = {
        split: _write(part, partition, folder, options, context, split) for split, part in parts.items()
    }
    return {**counts[TRAIN], "held_out": counts[HELD_OUT]}


def _write(
    table: pa.Table, partition: int, folder: Path, options: Pack, context: Context, split: str
) -> dict[str, Any]:
    """Pack documents and write the shard; returns its counts."""
    vocabulary = read_vocabulary(context.artefact("tokenizer", "encoder.json"))
    docs, first_k = _chains(table, concat=options.method == "concat")
    definition = context.artefact("tokenizer", "tokenizer.json")
    cut = cut_documents(docs, *_tokens(docs, vocabulary), _frame(vocabulary, options), definition)
    length_d, fim_d = cut.length_d, cut.framed_d
    phase, length = _phase(table, partition, options, context)
    pad, in_order = vocabulary.special("pad"), options.method == "greedy"
    packed = pack_rows(
        *(cut.start_d, length_d, first_k, cut.values, length, pad, context.seed, partition), in_order=in_order
    )
    sources = _sources(docs, context)
    codes = {source: code for code, source in enumerate(sources)}
    code_d = np.array([codes[source] for source in _strings(docs, "source")], np.uint16)
    counts = {
        **_counts(packed, length_d, code_d, fim_d, sources),
        "combined_tokens": int(cut.counts["combined"].sum()),
        "split_tokens": int(cut.counts["split"].sum()),
        "bytes_by_source": _bytes(cut.counts["bytes"], code_d, sources),
    }
    if counts["tokens"] != int(length_d.sum()) or counts["tokens"] + counts["padding"] != packed.tokens.size:
        raise IntegrityError(f"partition {partition}: {length_d.sum()} tokens came in, {counts} were packed")
    if split == HELD_OUT and counts["fim_documents"]:
        raise IntegrityError(f"partition {partition}: a document held out is framed for filling in")
    metadata = {
        "vocab_size": vocabulary.size,
        "model_vocab_size": vocabulary.model_size,
        "special_tokens": vocabulary.specials,
        **{f"{role}_id": vocabulary.specials.get(role) for role in ("bos", "eos", "pad")},
        "tokenizer": vocabulary.sha256,
        "seed": context.seed,
        "partition": partition,
        "split": split,
        "phase": phase,
        "add_bos": options.add_bos,
        "add_eos": options.add_eos,
        "method": options.method,
        "encoder": "tokenizers" if options.encoder == "tokenizers" else vocabulary.encoder,
        "sources": sources,
        "cut": cut.cuts,
        "counts": counts,
    }
    _require_framing(docs, cut, Framing.of(metadata))
    pieces = _pieces(packed.pieces, docs, code_d, fim_d, cut.from_d)
    write_shard(folder / shard_name(partition, split), packed.tokens, pieces, packed.ends(), metadata)
    return counts


def _frame(vocabulary: Vocabulary, options: Pack) -> Frame:
    """How `encode` framed the documents."""
    hole, end = (vocabulary.specials.get(f"fim_{part}") for part in ("hole", "end"))
    return Frame(hole, end, options.add_bos, options.add_eos)


def _phase(table: pa.Table, partition: int, options: Pack, context: Context) -> tuple[dict[str, Any], int]:
    """The phase of the mixture that drew the rows, number 0 and no name where it has none, and the tokens of
    its rows. One shard holds one phase."""
    found = pc.unique(table.column("phase")).to_pylist() if "phase" in table.column_names else []
    if "mixture" not in context.artefacts:
        expected, name, length = (found or [0])[0], None, options.sequence_length
    else:
        plan = read_plan(context.artefact("mixture", FILE))
        expected = plan.phase_of(partition, options.shard_tokens)
        phase = plan.phases[expected]
        name, length = phase.name or None, phase.sequence_length or options.sequence_length
    if any(one != expected for one in found):
        raise IntegrityError(
            f"partition {partition} holds documents of the phases {sorted(found)}, it is of {expected}"
        )
    return {"number": int(expected), "name": name}, length


def _require_framing(docs: Documents, cut: Cut, framing: Framing) -> None:
    """Raise IntegrityError naming a document that does not begin or end as the options say."""
    filled_d = np.flatnonzero(cut.length_d > 0)
    ended_d = np.setdiff1d(filled_d, cut.cut_d, assume_unique=True)
    filled_d = filled_d[cut.from_d[filled_d] == 0]
    first_n = cut.values[cut.start_d[filled_d]]
    last_n = cut.values[cut.start_d[ended_d] + cut.length_d[ended_d] - 1]
    said = framing.wrong(first_n, last_n)
    if said is not None:
        place, text = said
        document = docs.column("id")[int((filled_d if place.begins else ended_d)[place.number])].as_py()
        raise IntegrityError(
            f"document {document} {text}: the documents were not encoded with the options that they are "
            "packed with"
        )


def _strings(docs: Documents, name: str) -> list[Any]:
    return docs.column(name).to_pylist() if len(docs) else []


def _chains(table: pa.Table, *, concat: bool) -> tuple[Documents, Ints]:
    """The documents in packing order, and where chains begin (int64[chains + 1])."""
    docs = Documents(table)
    n = len(docs)
    if n == 0:
        return docs, np.zeros(1, np.int64)
    key, epoch = docs.column("key").to_numpy(), docs.column("epoch").to_numpy()
    groups: list[str | None] = [None] * n
    rank = np.zeros(n, np.int32)
    if "group" in table.column_names:
        groups = docs.column("group").to_pylist()
        rank = docs.column("group_rank").fill_null(0).to_numpy()
    codes: dict[tuple[str, str], int] = {}
    named = zip(docs.column("source").to_pylist(), groups, strict=True)
    code = np.array([-1 if g is None else codes.setdefault((s, g), len(codes)) for s, g in named], np.int64)
    order = np.lexsort((rank, code, epoch, key))
    if (order != np.arange(n)).any():
        docs = Documents(table.take(pa.array(order)))
    if concat:
        return docs, np.array([0, n], np.int64)
    key, epoch, code = key[order], epoch[order], code[order]
    same = (key[1:] == key[:-1]) & (epoch[1:] == epoch[:-1]) & (code[1:] == code[:-1]) & (code[1:] >= 0)
    return docs, np.concatenate([[0], np.flatnonzero(~same) + 1, [n]]).astype(np.int64)


def _tokens(
    docs: Documents, vocabulary: Vocabulary
) -> tuple[Ints, Ints, npt.NDArray[np.unsignedinteger[Any]]]:
    """Where each document's tokens begin, how many they are, and the tokens of all."""
    if len(docs) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, vocabulary.dtype)
    column = docs.column("tokens")
    ends = np.asarray(column.offsets.to_numpy(), np.int64)
    values: npt.NDArray[np.unsignedinteger[Any]] = column.values.to_numpy(zero_copy_only=True)
    if values.dtype != vocabulary.dtype:
        raise IntegrityError(f"tokens are {values.dtype}, the tokenizer asks for {vocabulary.dtype.__name__}")
    return ends[:-1], np.diff(ends), values


def _sources(docs: Documents, context: Context) -> list[str]:
    """Names that the pieces' codes stand for: the mixture plan's, the same in all shards, or those here."""
    if "mixture" in context.artefacts:
        return sorted(read_plan(context.artefact("mixture", FILE)).sources)
    return sorted(set(_strings(docs, "source")))


def _counts(
    packed: PackedRows,
    length_d: Ints,
    code_d: npt.NDArray[np.uint16],
    fim_d: npt.NDArray[np.bool_],
    sources: list[str],
) -> dict[str, Any]:
    document, length = packed.pieces[:, 3], packed.pieces[:, 2]
    tokens_S = np.bincount(code_d[document], weights=length, minlength=len(sources))
    documents_S = np.bincount(code_d, minlength=len(sources))
    fim_S = np.bincount(code_d, weights=fim_d, minlength=len(sources))
    tokens = int(length.sum())
    divided_d = np.bincount(document, minlength=len(length_d)) > 1
    short_d = length_d <= packed.tokens.shape[1]
    return {
        "rows": len(packed.tokens),
        "tokens": tokens,
        "padding": packed.tokens.size - tokens,
        "documents": len(length_d),
        "empty_documents": int((length_d == 0).sum()),
        "fim_documents": int(fim_d.sum()),
        "fim_documents_by_source": {name: int(fim_S[code]) for code, name in enumerate(sources)},
        "divided_documents": int(divided_d.sum()),
        "divided_short_documents": int((divided_d & short_d).sum()),
        "tokens_behind_others": int(length[packed.pieces[:, 1] > 0].sum()),
        "pieces": len(packed.pieces),
        "tokens_by_source": {name: int(tokens_S[code]) for code, name in enumerate(sources)},
        "documents_by_source": {name: int(documents_S[code]) for code, name in enumerate(sources)},
    }


def _bytes(bytes_d: Ints, code_d: npt.NDArray[np.uint16], sources: list[str]) -> dict[str, int]:
    """UTF-8 bytes of the documents' texts, by source."""
    bytes_S = np.zeros(len(sources), np.int64)
    np.add.at(bytes_S, code_d, bytes_d)
    return dict(zip(sources, bytes_S.tolist(), strict=True))


def _pieces(
    pieces: Ints,
    docs: Documents,
    code_d: npt.NDArray[np.uint16],
    fim_d: npt.NDArray[np.bool_],
    from_d: Ints,
) -> pa.StructArray:
    document = pieces[:, 3]
    ids = "".join(_strings(docs, "id"))
    if len(ids) != 32 * len(docs):
        raise IntegrityError("a document's id is not 32 hex digits")
    names = np.frombuffer(bytes.fromhex(ids), np.uint8).reshape(-1, 16)[document]
    epoch_d = docs.column("epoch").to_numpy() if len(docs) else np.zeros(0, np.int32)
    arrays = [
        pa.array(pieces[:, 1].astype(np.int32)),
        pa.array(pieces[:, 2].astype(np.int32)),
        pa.array(code_d[document]),
        pa.array(fim_d[document]),
        pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(16), len(pieces), [None, pa.py_buffer(names.tobytes())]
        ),
        pa.array((pieces[:, 4] + from_d[document]).astype(np.int32)),
        pa.array(epoch_d[document].astype(np.int32)),
    ]
    return pa.StructArray.from_arrays(arrays, fields=list(PIECE))
