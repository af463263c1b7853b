"""Near-duplicates by MinHash, banding, and measured similarity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from corpusmill.pipelines.contract.addresses import ASCENDING
from corpusmill.pipelines.contract.resolution import Resolution
from corpusmill.pipelines.contract.stage import Deduplicate, Emitted, Found, WithSides
from corpusmill.pipelines.contract.windows import InWindows, OfSeveral

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.dedup.matching.rules import Rules
    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.contract.recall import SampledPairs
    from corpusmill.pipelines.contract.stage import Round

Unit = Literal["word", "char"]
Normalize = Literal["fold", "numbers", "none"]
Short = Literal["exact", "keep"]
Bits = Literal["own", "peer"]
Preset = Literal[
    "verified",
    "contained",
    "fineweb",
    "curator",
    "marin",
    "datasketch",
    "slimpajama",
    "redpajama",
    "text_dedup",
]
Measure = Literal["jaccard", "containment"]


class Settings(NamedTuple):
    """A preset, or a preset with the recipe's own options laid over it."""

    shingle: Unit
    width: int
    bands: int
    rows: int
    normalize: Normalize
    short: Short
    verify: bool
    threshold: float
    bits: Bits
    functions: int
    seed: int
    measure: Measure = "jaccard"


PRESETS: dict[Preset, Settings] = {
    "verified": Settings("word", 5, 20, 6, "fold", "exact", True, 0.8, "own", 120, 1),
    "contained": Settings("word", 5, 64, 3, "fold", "exact", True, 0.9, "own", 192, 1, "containment"),
    "fineweb": Settings("word", 5, 14, 8, "numbers", "keep", False, 0.0, "peer", 112, 1),
    "curator": Settings("char", 24, 20, 13, "none", "exact", False, 0.0, "own", 260, 1),
    "marin": Settings("char", 5, 26, 11, "fold", "exact", False, 0.0, "own", 286, 1),
    "datasketch": Settings("word", 5, 5, 25, "none", "keep", False, 0.0, "peer", 128, 1),
    "slimpajama": Settings("char", 13, 9, 13, "fold", "keep", False, 0.0, "peer", 128, 1),
    "redpajama": Settings("word", 13, 14, 9, "fold", "keep", False, 0.0, "peer", 128, 42),
    "text_dedup": Settings("word", 5, 25, 10, "fold", "keep", False, 0.0, "peer", 250, 42),
}


class Minhash(Deduplicate):
    """Remove near-duplicates: documents whose sets of shingles have a similarity of at least `threshold`.

    It is the Jaccard index, or (`measure: containment`) the share of the worse document's shingles that the
    better one has. A document is the set of its shingles: all runs of `width` words or characters of its
    normalised text. `bands` x `rows` hashes of the set are minimised (Broder 1997; banding after Leskovec,
    Rajaraman and Ullman, ch. 3); documents that agree on all rows of some band are candidates. With `verify`
    every candidate pair is measured on the stored sets, and pairs under `threshold` are forgotten: no removal
    rests on an estimate. Then, from best document to worst, one is removed if and only if a better one it was
    *directly* measured against is kept. "Better": earlier source in `priority` (others after, equal), more
    bytes, smaller id, smaller address. Without `verify` candidates are duplicates whatever their similarity,
    and all but the best document of a transitive cluster are removed.

    Candidates are found by the Jaccard index, whatever is measured: of a document inside a much longer one it
    is small. Presets, containment, short documents, large buckets: docs/deduplication.md.

    Three rounds: which documents share a bucket; their sets brought to these (`matching.candidates`); pairs
    (`matching.buckets`). Memory: one partition of rows, with the sets of documents that are measured in it;
    of a bucket of very many a window, and the sets of twice `max_bucket` and 256 (`matching.crowds`);
    resolving holds 262,144 pairs, about 700 bytes each. Copies of a set make one pair each, not n^2.
    Disk: 3 bytes a distinct shingle (half of the text for English words), 24 bytes a band; of documents
    that share a bucket their sets again, as often as they have partners, but once a band at most.
    Reason `near_duplicate`.
    """

    name: ClassVar[str] = "minhash"
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy")
    address_only: ClassVar[bool] = True
    remembers: ClassVar[int | None] = 2

    preset: Preset = Field(
        "verified",
        description="Tool whose parameters hold where an option is null; verified and contained: our own.",
    )
    bits: Bits | None = Field(
        None,
        description="Text form and hash functions: of the preset's tool, bit for bit (peer), or our own; "
        "null: as in the preset.",
    )
    functions: int | None = Field(
        None,
        ge=1,
        le=16_384,
        description="Hash functions drawn with `bits: peer`, of which bands x rows are used; null: as in the "
        "preset, or bands x rows if more.",
    )
    shingle: Unit | None = Field(None, description="What shingles consist of; null: as in the preset.")
    width: int | None = Field(
        None, ge=1, le=1000, description="Words or characters of a shingle; null: as in the preset."
    )
    bands: int | None = Field(
        None, ge=1, le=256, description="Bands; one that agrees makes a candidate; null: as in the preset."
    )
    rows: int | None = Field(None, ge=1, le=64, description="Hashes of a band; null: as in the preset.")
    normalize: Normalize | None = Field(
        None, description="Fold case, marks and punctuation, numbers too, or nothing; null: as in the preset."
    )
    short: Short | None = Field(
        None,
        description="Compare texts of under `width` words as a whole, or keep them; null: as in the preset.",
    )
    verify: bool | None = Field(
        None, description="Measure the similarity of every candidate pair; null: as in the preset."
    )
    measure: Measure | None = Field(
        None,
        description="Jaccard index, or the share of the worse document's shingles that the better one has; "
        "null: as in the preset.",
    )
    threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Least similarity of duplicates with `verify`; null: as in the preset, or 0.8.",
    )
    max_bucket: int = Field(
        128, ge=2, le=10_000, description="Documents of a bucket that each one is measured against, at most."
    )
    priority: list[str] = Field(
        [], description="Sources, the one most worth keeping first; others come after these."
    )
    seed: int | None = Field(
        None,
        ge=0,
        lt=2**63,
        description="Seed of the hash functions, apart from the recipe's seed; null: as in the preset.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        s, peer = self.settings(), PRESETS[self.preset].bits == "peer"
        if s.bits == "peer" and not peer:
            tools = ", ".join(name for name, preset in PRESETS.items() if preset.bits == "peer")
            raise ValueError(f"bits: peer needs the preset of a tool whose bits are known: {tools}")
        if s.bits == "peer" and not {self.normalize, self.short} <= {None, "keep"}:
            raise ValueError(
                f"normalize and short are of our own text form; `preset: {self.preset}` takes the tool's: "
                "leave them out, or add `bits: own`"
            )
        if s.bits == "peer" and s.seed >= 2**32:
            raise ValueError("seed: with `bits: peer` it is one of numpy's RandomState, under 2^32")
        if s.bits == "own" and self.functions is not None:
            raise ValueError(
                "functions: our own hash functions do not depend on how many are drawn; leave it out"
            )
        if s.bits == "peer" and self.functions is not None and self.functions < s.bands * s.rows:
            raise ValueError(f"functions: bands x rows = {s.bands * s.rows} are needed; draw as many or more")
        if s.measure == "containment" and not s.verify:
            asked = "measure: containment" if self.measure else f"preset: {self.preset}"
            rest = "`measure`" if self.measure else "`verify`"
            raise ValueError(
                f"`{asked}` measures pairs, and without `verify` none is; add `verify: true`, "
                f"or leave out {rest}"
            )
        if self.threshold is not None and not s.verify:
            raise ValueError(
                f"threshold: {self.threshold:g} has no effect, as without `verify` no pair is measured; add "
                "`verify: true`, or leave it out"
            )
        return self

    def settings(self) -> Settings:
        """The preset with the options given laid over it. `verify` without any threshold means 0.8."""
        base = PRESETS[self.preset]
        given = {field: value for field in Settings._fields if (value := getattr(self, field)) is not None}
        merged = base._replace(**given)
        if merged.bits == "own":
            merged = merged._replace(functions=merged.bands * merged.rows)
        elif self.functions is None:
            merged = merged._replace(functions=max(merged.functions, merged.bands * merged.rows))
        return merged._replace(threshold=0.8) if merged.verify and not merged.threshold else merged

    def effective(self) -> dict[str, Any]:
        """Options with the preset's values in place of null. The preset's name counts for its bits alone."""
        merged = {**super().effective(), **self.settings()._asdict()}
        return merged if merged["bits"] == "peer" else {k: v for k, v in merged.items() if k != "preset"}

    def warm(self) -> None:
        """Compile the kernels on two documents."""
        import numpy as np
        import pyarrow as pa

        from corpusmill.dedup.matching.candidates import bring, candidates
        from corpusmill.pipelines.contract.documents import SCHEMA, Documents

        columns = {field.name: "" for field in SCHEMA} | {"text": "a text " * self.settings().width}
        docs = Documents(pa.Table.from_pylist([columns] * 2, SCHEMA))
        emitted = self.emit(docs, 0, np.arange(2, dtype=np.uint32))
        shared = candidates(emitted.rows.sort_by("key"), self.rules())
        by_document = [("unit", "ascending"), ("row", "ascending")]
        brought = bring(shared.sort_by(by_document).combine_chunks(), emitted.side)
        self.reduce(brought.sort_by("key").combine_chunks())
        self.pairs_among(docs)

    def sketch(
        self, offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """Shingle sets (ends, values), band keys [N, B] and digests of N texts: see `signatures.sketch`."""
        from corpusmill.dedup.kernels.signatures import multipliers, sketch
        from corpusmill.dedup.matching.normal_forms import normal_forms

        s = self.settings()
        if s.bits == "peer":
            return self.peer_signatures(offsets, data)[:4]
        a_H = multipliers(s.bands * s.rows, s.seed)
        return sketch(
            offsets,
            data,
            normal_forms(s.normalize != "none"),
            s.normalize == "numbers",
            s.shingle == "word",
            s.width,
            s.short == "exact",
            a_H,
            s.bands,
        )

    def peer_signatures(
        self, offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
    ) -> tuple[
        npt.NDArray[np.int64],
        npt.NDArray[np.uint32],
        npt.NDArray[np.uint64],
        npt.NDArray[np.uint64],
        npt.NDArray[np.uint64],
    ]:
        """`sketch` with the tool's bits, and the tool's signatures, uint64[N, bands x rows]."""
        from corpusmill.dedup.matching.peers import PEERS, sketch

        s = self.settings()
        peer, by_word = PEERS[self.preset], s.shingle == "word"
        return sketch(peer, offsets, data, by_word, s.width, s.bands, s.rows, s.functions, s.seed)

    def row_bytes(self, documents: int, size: int) -> int:
        """24 bytes a band."""
        return 24 * self.settings().bands * documents

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        """One row a band: key, address, set size, and in `first`, of the first band, facts and digest. Side:
        these, band keys and set of each document."""
        import numpy as np
        import pyarrow as pa

        ends, values, keys, digest = self.sketch(*docs.utf8())
        bands = keys.shape[1]
        size = np.diff(ends)
        some = np.flatnonzero(size)
        sets = pa.LargeListArray.from_arrays(pa.array(ends), pa.array(values))
        side = pa.table(
            {
                "id": docs.column("id"),
                "source": docs.column("source"),
                "bytes": docs.sizes(),
                "digest": digest,
                "bands": pa.FixedSizeListArray.from_arrays(pa.array(keys.reshape(-1)), bands),
            }
        ).append_column(pa.field("shingles", sets.type, metadata={ASCENDING: b""}), sets)
        facts = side.select(["id", "source", "bytes", "digest"]).take(pa.array(some))
        facts = facts.combine_chunks().to_struct_array().combine_chunks()
        first = -(-np.arange(len(some) * bands + 1, dtype=np.int32) // bands)
        emitted = pa.table(
            {
                "key": keys[some].reshape(-1),
                "unit": np.full(len(some) * bands, unit, np.uint32),
                "row": np.repeat(rows[some].astype(np.uint32), bands),
                "size": np.repeat(size[some].astype(np.uint32), bands),
                "first": pa.ListArray.from_arrays(pa.array(first), facts),
            }
        )
        return Emitted(emitted, side)

    def rules(self) -> Rules:
        """The options by which pairs are found and measured."""
        from corpusmill.dedup.matching.rules import Rules

        s = self.settings()
        threshold = s.threshold if s.verify else 0.0
        contained = s.measure == "containment"
        return Rules(s.verify, contained, threshold, self.max_bucket, tuple(self.priority), "near_duplicate")

    def rounds(self) -> Sequence[Round | WithSides]:
        """Documents that share a bucket; their sets brought to it; all pairs."""
        return (
            OfSeveral(self._candidates),
            WithSides(_bring, packed=True),
            self._measuring(),
        )

    def _measuring(self) -> InWindows:
        from corpusmill.dedup.matching import crowds

        rules = self.rules()
        return InWindows(
            lambda rows: Found(removals=self.reduce(rows)),
            lambda known, rows: crowds.learn(known, rows, rules),
            lambda known, rows: Found(removals=crowds.pairs(known, rows, rules)),
            lambda known: crowds.again(known, rules),
        )

    def _candidates(self, rows: pa.Table) -> pa.Table:
        from corpusmill.dedup.matching.candidates import candidates

        return candidates(rows, self.rules())

    def reduce(self, rows: pa.Table) -> pa.Table:
        """All pairs of one partition, as `DUPLICATES`: worse document first, better as its survivor."""
        from corpusmill.dedup.matching.buckets import find_pairs

        return find_pairs(rows, self.rules())

    def pairs_among(self, docs: Documents) -> SampledPairs:
        """All pairs of a Jaccard index of 0.5 (or `threshold`, if less) or, measured so, a containment of it,
        of the smaller set in the larger; and whether they share a band."""
        import numpy as np

        from corpusmill.dedup.matching.exact_pairs import Sets, sampled_pairs
        from corpusmill.pipelines.contract.survivors import ranks

        facts = docs.table.select(["id", "source"]).append_column("bytes", [docs.sizes()])
        for name, numbers in (("unit", np.zeros(len(docs), np.uint32)), ("row", np.arange(len(docs)))):
            facts = facts.append_column(name, [numbers])
        sets = Sets(*self.sketch(*docs.utf8()))
        return sampled_pairs(sets, self.settings().rows, ranks(facts, self.priority), self.rules())

    def likeness(self, one: pa.Table, side: pa.Table) -> npt.NDArray[np.float64] | None:
        """Jaccard index of the stored sets, or (`measure: containment`) the share of the smaller in the
        larger; None of a document without shingles."""
        import numpy as np

        mine, theirs = (table.column("shingles").combine_chunks() for table in (one, side))
        values, ends = mine.values.to_numpy(), theirs.offsets.to_numpy().astype(np.int64)
        if not len(values):
            return None
        ends -= ends[0]
        shared = np.isin(theirs.flatten().to_numpy(), values)
        common = np.diff(np.concatenate([[0], np.cumsum(shared)])[ends])
        size = np.diff(ends)
        contained = self.settings().measure == "containment"
        whole = np.minimum(size, len(values)) if contained else size + len(values) - common
        return np.asarray(common / np.maximum(whole, 1), np.float64)

    def resolution(self) -> Resolution:
        """Measured pairs are removed by what each was compared with, unmeasured ones by whole clusters."""
        rule: Literal["direct", "connected"] = "direct" if self.settings().verify else "connected"
        return Resolution(rule, "near_duplicate", tuple(self.priority))


def _bring(rows: pa.Table, side: pa.Table) -> pa.Table:
    from corpusmill.dedup.matching.candidates import bring

    return bring(rows, side)
