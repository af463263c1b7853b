"""`encode`: documents become tokens, with fill-in-the-middle applied before encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.stage import Context, Edit, Outcome
from corpusmill.pipelines.text.grammars import LIBRARIES, file_kinds
from corpusmill.tokenizer.boundary.options import SplitBoundary
from corpusmill.tokenizer.fim.options import Fim
from corpusmill.tokenizer.fim.views import View

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.context import Marks
    from corpusmill.pipelines.contract.documents import Documents

    Bools = npt.NDArray[np.bool_]

VERIFIED_DOCUMENT_BYTES = 2**14  # a longer document is not encoded a second time: the reference is slow
STRINGS = ("id", "source", "domain", "lang", "path", "repo", "group")


class Encode(Edit):
    """Encode each document with the recipe's tokenizer; the same rows in the same order, without text.

    A document is `[bos] text [eos]`, or framed as `Fim` says; some of its tokens of punctuation and line
    breaks are split as `SplitBoundary` says. Documents held out (`contract.held_out`), on which models are
    judged, are never framed or split. Control tokens are added by id, and a text that
    spells one (`<｜end▁of▁sentence｜>`) is encoded as the ordinary characters it is.

    Columns of the result: id, source, domain, lang, path, repo, group, group_rank and group_bytes (null
    unless `repository_order` gave them), fim (bool: framed), held_out (bool), combined and split (int32:
    tokens of punctuation and line breaks, and how many of them were split), bytes (int64, UTF-8 of the text),
    tokens (large_list of uint16 where every id of the model vocabulary, padding included, fits, else uint32;
    checked, never wrapped). With other `views` than `fim`, views: a list of one entry a view
    (`contract.encoded_views`), null where framing gives the same tokens.

    The encoder is `gigatoken` where the tokenizer artefact's encoder.json says that it agreed with
    `tokenizers` on every document compared, else `tokenizers`; `encoder: tokenizers` forces the latter.
    While gigatoken is used, documents of up to 16 KiB are chosen with probability `verify_rate` (by their
    ids) and encoded with both; a difference stops the run with CorpusmillError. The first documents of each
    source go through both whatever the rate, and must come back from their tokens (`first_documents`).
    A null text is quarantined as `no_text`; an empty one is kept. Raises UserError where the tokenizer lacks
    a token that is needed.
    """

    libraries: ClassVar[tuple[str, ...]] = ("gigatoken", "tokenizers", "numba", *LIBRARIES)
    consumes: ClassVar[tuple[str, ...]] = ("text",)
    produces: ClassVar[tuple[str, ...]] = ("tokens",)
    artefacts: ClassVar[tuple[str, ...]] = ("tokenizer",)

    fim: Fim = Field(default_factory=Fim, description="Fill-in-the-middle, on characters before encoding.")
    views: list[View] = Field(
        default_factory=list, description="Further ways to frame documents; set by phases and epochs."
    )
    split_boundary: SplitBoundary = Field(
        default_factory=SplitBoundary,
        description="Random splitting of tokens that combine punctuation and line breaks.",
    )
    add_bos: bool = Field(False, description="Put the token bos before each document.")
    add_eos: bool = Field(True, description="Put the token eos after each document.")
    encoder: Literal["verified", "tokenizers"] = Field(
        "verified", description="Encode with gigatoken where it agreed with `tokenizers`, or with the latter."
    )
    verify_rate: float = Field(
        0.001, ge=0.0, le=1.0, description="Share of documents up to 16 KiB that both encoders encode."
    )
    held_out: float = Field(
        0.0, ge=0.0, le=0.5, description="Share of documents that no model is trained on; set it in `pack`."
    )
    carried: dict[str, Literal["text", "number"]] = Field(
        default_factory=dict, description="Further columns that documents keep; set by what `mixture` names."
    )

    _ready: Any = PrivateAttr(default=None)

    def prepare(self, context: Context) -> Self:
        ready = self.model_copy()
        ready._ready = _Ready(self, context)
        return ready

    def marks(self) -> Marks:
        from corpusmill.pipelines.contract.held_out import marks_for

        return marks_for("model")

    def warm(self) -> None:
        import numpy as np
        import pyarrow as pa

        ids = pa.array(["0" * 32, "1" * 32])
        texts = pa.array(["a", "b"], pa.large_string())
        if self._ready is not None:
            self._ready.encode(ids, pa.array(["", ""]), pa.array(["", ""]), texts, np.zeros(2, np.bool_))

    def edit(self, docs: Documents) -> Outcome:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        from corpusmill.pipelines.contract.carried import carried_column
        from corpusmill.pipelines.contract.documents import Documents, nothing
        from corpusmill.pipelines.contract.encoded_views import VIEWS

        if self._ready is None:
            raise RuntimeError(
                "encode must be prepared with the tokenizer artefact before it edits documents"
            )
        texts = docs.text
        missing = texts.is_null()
        sizes = np.diff(docs.utf8("text")[0])
        held_D = self._ready.apart.held(docs, "model")
        about = [docs.column(name) for name in ("id", "source", "domain")]
        files = file_kinds(docs) if self._ready.by_syntax else None
        encoded, *others = self._ready.encode(*about, texts, held_D, files)
        names = docs.table.column_names
        columns: dict[str, pa.Array] = {
            name: docs.column(name).cast(pa.string()) if name in names else nothing(len(docs))
            for name in STRINGS
        }
        rank = docs.column("group_rank") if "group_rank" in names else pa.nulls(len(docs), pa.int32())
        columns["group_rank"] = rank.cast(pa.int32())
        before = docs.column("group_bytes") if "group_bytes" in names else pa.nulls(len(docs), pa.int64())
        columns["group_bytes"] = before.cast(pa.int64())
        columns["fim"] = pa.array(encoded.framed)
        columns["held_out"] = pa.array(held_D)
        columns["combined"] = pa.array(encoded.combined)
        columns["split"] = pa.array(encoded.split)
        columns["bytes"] = pa.array(sizes, pa.int64())
        columns |= {name: carried_column(docs, name, kind) for name, kind in self.carried.items()}
        columns["tokens"] = encoded.lists()
        if others:
            columns[VIEWS] = _in_one_column(others, len(docs))
        faults = pc.if_else(missing, pa.scalar("no_text", pa.string()), pa.scalar(None, pa.string()))
        return Outcome(Documents(pa.table(columns)), nothing(len(docs)), faults)


@dataclass(frozen=True)
class _Encoded:
    """n documents in a view: framed bool[n], combined and split int32[n], offsets int64[n + 1] into tokens;
    rows int64[n] of the batch that they are."""

    framed: Bools
    combined: npt.NDArray[np.int32]
    split: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    tokens: npt.NDArray[Any]
    rows: npt.NDArray[np.int64]

    def lists(self) -> pa.Array:
        """The tokens as large_list[n]."""
        import pyarrow as pa

        return pa.LargeListArray.from_arrays(pa.array(self.offsets, pa.int64()), pa.array(self.tokens))


def _in_one_column(views: list[_Encoded], n: int) -> pa.Array:
    """The column `views` of n documents, from the documents of each view that differ from view 0."""
    import numpy as np
    import pyarrow as pa

    from corpusmill.pipelines.contract.encoded_views import COLUMNS, views_type

    of_view = [
        pa.StructArray.from_arrays(
            [pa.array(one.framed), pa.array(one.combined), pa.array(one.split), one.lists()],
            names=list(COLUMNS),
        )
        for one in views
    ]
    taken = np.full((n, len(views)), -1, np.int64)
    first = 0
    for number, one in enumerate(views):
        taken[one.rows, number] = first + np.arange(len(one.rows))
        first += len(one.rows)
    index = taken.ravel()
    entries = pa.concat_arrays(of_view).take(pa.array(index, mask=index < 0))
    ends = pa.array(np.arange(n + 1, dtype=np.int32) * len(views))
    return pa.ListArray.from_arrays(ends, entries).cast(views_type(entries.type.field("tokens").type))


class _Ready:
    """What `Encode` opens once: encoders, ids of control tokens, the table of combined ones, the seed."""

    def __init__(self, options: Encode, context: Context) -> None:
        import numpy as np

        from corpusmill.pipelines.contract.held_out import HeldOut
        from corpusmill.pipelines.text import encoders
        from corpusmill.pipelines.text.tokenizer_json import documents_only
        from corpusmill.tokenizer.boundary.combined import token_table
        from corpusmill.tokenizer.bpe import artefact
        from corpusmill.tokenizer.bpe.first_documents import FirstDocuments

        vocabulary = artefact.read_vocabulary(context.artefact("tokenizer", "encoder.json"))
        definition = artefact.read_definition(context.artefact("tokenizer", "tokenizer.json"), vocabulary)
        roles = ["fim_begin", "fim_hole", "fim_end"]
        there = all(role in vocabulary.specials for role in roles)
        views = [View(fim=options.fim), *options.views]
        self._views = [view.model_copy(update={"fim": view.fim.with_tokens(there)}) for view in views]
        framing = any(view.fim.frames() for view in self._views)
        self.by_syntax = any(view.fim.splits_by("syntax") for view in self._views)
        self._options, self._seed, self._dtype = options, context.seed, vocabulary.dtype
        self.apart = HeldOut.of(context, "model", options.held_out)
        used = {"bos": options.add_bos, "eos": options.add_eos, **dict.fromkeys(roles, framing)}
        vocabulary.need([role for role, wanted in used.items() if wanted])
        self._controls = np.array(
            [
                vocabulary.special("bos") if options.add_bos else -1,
                vocabulary.special("eos") if options.add_eos else -1,
                *(vocabulary.special(role) if framing else -1 for role in roles),
            ],
            np.int64,
        )
        self._reference = encoders.TokenizersEncoder(definition)
        fast = options.encoder == "verified" and vocabulary.encoder == "gigatoken"
        self._fast = encoders.GigatokenEncoder(definition) if fast else None
        others: dict[str, encoders.Encoder] = {} if self._fast is None else {"gigatoken": self._fast}
        self._first_documents = FirstDocuments(definition, self._reference, others)
        self._table = token_table(documents_only(definition), vocabulary.size, self._reference.encode_symbols)

    def encode(
        self,
        ids: pa.Array,
        sources: pa.Array,
        domains: pa.Array,
        texts: pa.Array,
        held_D: Bools,
        files: list[str | None] | None = None,
    ) -> list[_Encoded]:
        """Encode, verify, split and frame n documents: all of them in view 0, and in each other view those
        that differ there; held_D bool[n] are neither split nor framed. `files`: languages of the
        documents, for splits at syntax nodes."""
        import numpy as np
        import pyarrow as pa

        from corpusmill.tokenizer.fim.split_points import chosen_for_fim, framed_alike

        self._first_documents.check(ids, sources, texts)
        found: list[_Encoded] = []
        first, first_framed = self._views[0], np.zeros(0, np.bool_)
        for view in self._views:
            framed_D = chosen_for_fim(ids, sources, domains, view, self._seed) & ~held_D
            if not found:
                first_framed = framed_D
                whole = np.arange(len(ids))
                found.append(self._in_view(view, ids, sources, texts, framed_D, held_D, whole, files))
                continue
            differs = first_framed | framed_D if not framed_alike(first, view) else first_framed != framed_D
            rows = np.flatnonzero(differs)
            some = pa.array(rows)
            names = ids.take(some), sources.take(some)
            part = *names, texts.take(some), framed_D[rows], held_D[rows]
            found.append(self._in_view(view, *part, rows, files and [files[row] for row in rows]))
        return found

    def _in_view(
        self,
        view: View,
        ids: pa.Array,
        sources: pa.Array,
        texts: pa.Array,
        framed_D: Bools,
        held_D: Bools,
        rows: npt.NDArray[np.int64],
        files: list[str | None] | None,
    ) -> _Encoded:
        """Encode the documents in one view; `rows` are those of the batch."""
        import numpy as np
        import pyarrow as pa

        from corpusmill.pipelines.contract.documents import buffers
        from corpusmill.tokenizer.fim.split_points import split_kinds, split_parts

        starts, data = buffers(texts)
        kinds = split_kinds(sources, view.fim, files)
        bounds = split_parts(starts, data, ids, framed_D, self._seed, view.draw, kinds, files or ())
        parts = pa.LargeStringArray.from_buffers(len(bounds) - 1, pa.py_buffer(bounds), pa.py_buffer(data))
        ends, tokens = (self._fast or self._reference).encode(parts)
        first_D = np.concatenate([[0], np.cumsum(np.where(framed_D, 3, 1))])
        if self._fast is not None:
            self._verify(ids, np.diff(starts), first_D, parts, ends, tokens)
        return self._write(ids, framed_D, held_D, ends, tokens, view.fim.mode == "spm", rows)

    def _write(
        self,
        ids: pa.Array,
        framed_D: Bools,
        held_D: Bools,
        ends: npt.NDArray[np.int64],
        tokens: npt.NDArray[np.uint32],
        spm: bool,
        rows: npt.NDArray[np.int64],
    ) -> _Encoded:
        """Split and frame the tokens of the parts."""
        import numpy as np

        from corpusmill.pipelines.contract.errors import CorpusmillError
        from corpusmill.tokenizer.boundary.document_draws import document_draws
        from corpusmill.tokenizer.kernels.frame_tokens import frame_tokens
        from corpusmill.tokenizer.kernels.split_boundary_tokens import NO_ROOM, REFUSED

        table = self._table
        splitting = (
            document_draws(ids, self._seed, "encode.split_boundary"),
            np.where(held_D, 0, round(self._options.split_boundary.rate * 2**53)),
            *(table.marked, table.rows, table.starts, table.parts),
        )
        # Pages of `out` that are never written take no memory, so there may be room for many splits.
        room = len(tokens) + len(tokens) // 8 + 5 * len(ids) + 64
        while True:
            out = np.empty(room, self._dtype)
            offsets, counts, end = frame_tokens(ends, tokens, framed_D, *splitting, self._controls, spm, out)
            if end != NO_ROOM:
                break
            room *= 2
        if end == REFUSED:
            raise CorpusmillError(
                "the text of a document gave a control token, or an id beyond the vocabulary, which no text "
                "may; set `encoder: tokenizers` under `pack` and report the tokenizer if that does not help"
            )
        combined, split = np.ascontiguousarray(counts.T)
        return _Encoded(framed_D, combined, split, offsets, out[:end], rows)

    def _verify(
        self,
        ids: pa.Array,
        sizes: npt.NDArray[np.int64],
        first_D: npt.NDArray[np.int64],
        parts: pa.Array,
        ends: npt.NDArray[np.int64],
        tokens: npt.NDArray[np.uint32],
    ) -> None:
        """Encode some documents again; document d has the parts first_D[d] to first_D[d + 1] - 1."""
        import numpy as np

        from corpusmill.pipelines.contract.errors import CorpusmillError
        from corpusmill.tokenizer.boundary.document_draws import document_draws

        rate = self._options.verify_rate
        if rate == 0.0:
            return
        checked = sizes <= VERIFIED_DOCUMENT_BYTES
        if rate < 1.0:
            checked &= document_draws(ids, self._seed, "encode.verify") < np.uint64(rate * 2.0**64)
        for doc in np.flatnonzero(checked):
            first, last = int(first_D[doc]), int(first_D[doc + 1])
            expected = self._reference.encode(parts.slice(first, last - first))[1]
            if not np.array_equal(expected, tokens[ends[first] : ends[last]]):
                raise CorpusmillError(
                    f"gigatoken and tokenizers encode document {ids[int(doc)]} differently; "
                    "set `encoder: tokenizers` under `pack` and report the document to gigatoken"
                )
