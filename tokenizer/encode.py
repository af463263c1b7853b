"""`encode`: documents become tokens, with fill-in-the-middle applied before encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from corpusmill.pipelines.stage import Context, Edit, Outcome
from corpusmill.tokenizer.fim.options import Fim

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.documents import Documents

VERIFIED_DOCUMENT_BYTES = 2**16  # a longer document is not encoded a second time: the reference is slow
STRINGS = ("id", "source", "domain", "lang", "path", "repo", "group")


class Encode(Edit):
    """Encode each document with the recipe's tokenizer; the same rows in the same order, without text.

    A document is `[bos] text [eos]`, or framed as `Fim` says; control tokens are added by id, and a text
    that spells one (`<｜end▁of▁sentence｜>`) is encoded as the ordinary characters it is. Columns of the
    result: id, source, domain, lang, path, repo, group and group_rank (null unless `repository_order` gave
    them), fim (bool: framed), bytes (int64, UTF-8 bytes of the text), tokens (large_list of uint16 where
    every id fits, else uint32; checked, never wrapped).

    The encoder is `gigatoken` where the tokenizer artefact's encoder.json says that it agreed with
    `tokenizers` on every document compared, else `tokenizers`; `encoder: tokenizers` forces the latter.
    While gigatoken is used, documents of up to 64 KiB are chosen with probability `verify_rate` (by their
    ids) and encoded with both; a difference stops the run with CorpusmillError. A null text is quarantined
    as `no_text`; an empty one is kept. Raises UserError where the tokenizer lacks a token that is needed.
    """

    libraries: ClassVar[tuple[str, ...]] = ("gigatoken", "tokenizers", "numba")
    consumes: ClassVar[tuple[str, ...]] = ("text",)
    produces: ClassVar[tuple[str, ...]] = ("tokens",)
    artefacts: ClassVar[tuple[str, ...]] = ("tokenizer",)

    fim: Fim = Field(default_factory=Fim)
    add_bos: bool = False
    add_eos: bool = True
    encoder: Literal["verified", "tokenizers"] = "verified"
    verify_rate: float = Field(default=0.001, ge=0.0, le=1.0)

    _ready: Any = PrivateAttr(default=None)

    def prepare(self, context: Context) -> Self:
        ready = self.model_copy()
        ready._ready = _Ready(self, context)
        return ready

    def warm(self) -> None:
        import pyarrow as pa

        ids = pa.array(["0" * 32, "1" * 32])
        texts = pa.array(["a", "b"], pa.large_string())
        if self._ready is not None:
            self._ready.encode(ids, pa.array(["", ""]), texts)

    def edit(self, docs: Documents) -> Outcome:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        from corpusmill.pipelines.documents import Documents, nothing

        if self._ready is None:
            raise RuntimeError(
                "encode must be prepared with the tokenizer artefact before it edits documents"
            )
        texts = docs.text
        missing = texts.is_null()
        sizes = np.diff(docs.utf8("text")[0])
        chosen, offsets, tokens = self._ready.encode(docs.column("id"), docs.column("domain"), texts)
        names = docs.table.column_names
        columns: dict[str, pa.Array] = {
            name: docs.column(name).cast(pa.string()) if name in names else nothing(len(docs))
            for name in STRINGS
        }
        rank = docs.column("group_rank") if "group_rank" in names else pa.nulls(len(docs), pa.int32())
        columns["group_rank"] = rank.cast(pa.int32())
        columns["fim"] = pa.array(chosen)
        columns["bytes"] = pa.array(sizes, pa.int64())
        columns["tokens"] = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(tokens))
        faults = pc.if_else(missing, pa.scalar("no_text", pa.string()), pa.scalar(None, pa.string()))
        return Outcome(Documents(pa.table(columns)), nothing(len(docs)), faults)


class _Ready:
    """What `Encode` opens once: encoders, ids of control tokens, the seed."""

    def __init__(self, options: Encode, context: Context) -> None:
        import numpy as np

        from corpusmill.tokenizer.bpe import encoders

        vocabulary = encoders.read_vocabulary(context.artefact("tokenizer", "encoder.json"))
        definition = encoders.read_definition(context.artefact("tokenizer", "tokenizer.json"), vocabulary)
        framing = options.fim.rate > 0
        roles = ["fim_begin", "fim_hole", "fim_end"]
        self._options, self._seed, self._vocabulary = options, context.seed, vocabulary
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

    def encode(
        self, ids: pa.Array, domains: pa.Array, texts: pa.Array
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64], npt.NDArray[Any]]:
        """Framed (bool[n]), offsets (int64[n + 1]) and tokens of n documents."""
        import numpy as np
        import pyarrow as pa

        from corpusmill.pipelines.documents import buffers
        from corpusmill.tokenizer.fim.split_points import chosen_for_fim, split_parts
        from corpusmill.tokenizer.kernels.frame_tokens import frame_tokens

        chosen = chosen_for_fim(ids, domains, self._options.fim, self._seed)
        offsets, data = buffers(texts)
        bounds = split_parts(offsets, data, ids, chosen, self._seed)
        parts = pa.LargeStringArray.from_buffers(len(bounds) - 1, pa.py_buffer(bounds), pa.py_buffer(data))
        ends, tokens = (self._fast or self._reference).encode(parts)
        if self._fast is not None:
            self._verify(ids, offsets, chosen, parts, ends, tokens)
        if len(tokens) and int(tokens.max()) >= self._vocabulary.size:
            raise AssertionError(f"token {tokens.max()} in a vocabulary of {self._vocabulary.size}")
        extra = int((self._controls[:2] >= 0).sum()) * len(ids) + 3 * int(chosen.sum())
        out = np.empty(len(tokens) + extra, self._vocabulary.dtype)
        spm = self._options.fim.mode == "spm"
        framed = frame_tokens(ends, tokens, chosen, self._controls, spm, out)
        if framed[-1] != len(out):
            raise AssertionError(f"framed {framed[-1]} tokens, expected {len(out)}")
        return chosen, framed, out

    def _verify(
        self,
        ids: pa.Array,
        offsets: npt.NDArray[np.int64],
        chosen: npt.NDArray[np.bool_],
        parts: pa.Array,
        ends: npt.NDArray[np.int64],
        tokens: npt.NDArray[np.uint32],
    ) -> None:
        import numpy as np

        from corpusmill.pipelines.errors import CorpusmillError
        from corpusmill.pipelines.randomness import draws

        rate = self._options.verify_rate
        if rate == 0.0:
            return
        checked = np.diff(offsets) <= VERIFIED_DOCUMENT_BYTES
        if rate < 1.0:
            checked &= draws(ids, self._seed, "encode.verify") < np.uint64(rate * 2.0**64)
        counts = np.where(chosen, 3, 1)
        firsts = np.cumsum(counts) - counts
        for doc in np.flatnonzero(checked):
            first, count = int(firsts[doc]), int(counts[doc])
            expected = self._reference.encode(parts.slice(first, count))[1]
            if not np.array_equal(expected, tokens[ends[first] : ends[first + count]]):
                raise CorpusmillError(
                    f"gigatoken and tokenizers encode document {ids[int(doc)]} differently; "
                    "set `encoder: tokenizers` under `pack` and report the document to gigatoken"
                )
