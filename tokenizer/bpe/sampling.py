"""The artefact `tokenizer_sample`: the documents a tokenizer is trained on, by a threshold a stratum."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc as ipc

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import IntegrityError, UserError
from corpusmill.pipelines.contract.held_out import HeldOut
from corpusmill.tokenizer.boundary.document_draws import document_draws
from corpusmill.tokenizer.bpe.sample_budget import allotted
from corpusmill.tokenizer.bpe.sample_histogram import (
    HELD_OUT_BIN,
    SAMPLED,
    beginnings,
    largest_draw,
    strata_of,
)

FILE = "sample.json"
TEXTS_FILE = "verification.arrow"
_ALL = 2**64 - 1


@dataclass(frozen=True)
class StratumSample:
    """One source and language. `documents` and `bytes` are offered: not held out, bytes of their beginnings.

    `threshold`: documents of at most this draw are chosen, 16 hex digits; null chooses none.
    """

    source: str
    lang: str
    documents: int
    bytes: int
    held_out_documents: int
    held_out_bytes: int
    budget_bytes: int
    chosen_documents: int
    chosen_bytes: int
    threshold: str | None


@dataclass(frozen=True)
class Sample:
    """What sample.json says but for its verification texts. `TokenizerSample` says what the options mean;
    `apart` is what is held out."""

    seed: int
    sample_bytes: int
    max_document_bytes: int
    held_out: float
    apart: HeldOut
    strata: tuple[StratumSample, ...]

    @property
    def documents(self) -> int:
        """Documents chosen."""
        return sum(each.chosen_documents for each in self.strata)

    @property
    def bytes(self) -> int:
        """Bytes of their beginnings."""
        return sum(each.chosen_bytes for each in self.strata)

    def choose(self, docs: Documents) -> npt.NDArray[np.bool_]:
        """Which documents are chosen, bool[n].

        Raises IntegrityError for one of a stratum that was not there when the sample was drawn.
        """
        if len(docs) == 0:
            return np.zeros(0, np.bool_)
        source, lang = (
            strata_of(docs).column(name).combine_chunks().dictionary_encode() for name in ("source", "lang")
        )
        codes = np.asarray(source.indices, np.int64) * len(lang.dictionary) + np.asarray(lang.indices)
        present, codes = np.unique(codes, return_inverse=True)
        by_name = {(each.source, each.lang): each.threshold for each in self.strata}
        some, limits = np.zeros(len(present), np.bool_), np.zeros(len(present), np.uint64)
        for number, code in enumerate(present.tolist()):
            first, second = divmod(code, len(lang.dictionary))
            stratum = source.dictionary[first].as_py(), lang.dictionary[second].as_py()
            if stratum not in by_name:
                raise IntegrityError(
                    f"documents of {'/'.join(stratum)} were not there when the tokenizer's sample was drawn; "
                    "remove the folder of the step tokenizer_sample and run again"
                )
            threshold = by_name[stratum]
            if threshold is not None:
                some[number], limits[number] = True, int(threshold, 16)
        ids = docs.column("id")
        chosen: npt.NDArray[np.bool_] = some[codes] & (
            document_draws(ids, self.seed, SAMPLED) <= limits[codes]
        )
        chosen &= ~self.apart.held(docs, "tokenizer")
        return chosen

    def stops(self, texts: pa.Array) -> npt.NDArray[np.int64]:
        """How many bytes of each text count, int64[n]."""
        return beginnings(texts, self.max_document_bytes)


def draw_sample(
    histogram: pa.Table,
    *,
    seed: int,
    sample_bytes: int,
    budgets: Mapping[str, int],
    max_document_bytes: int,
    held_out: float,
    apart: HeldOut,
    exponent: float,
) -> Sample:
    """The sample that the histogram (bin rows of `sample_histogram.PARTIAL`) and these options determine.

    Raises UserError where there is nothing to choose from, or `budgets` names what is not there.
    """
    bins: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    held_out_totals: dict[tuple[str, str], tuple[int, int]] = {}
    rows = histogram.sort_by([(name, "ascending") for name in ("source", "lang", "bin")]).to_pylist()
    for row in rows:
        stratum = row["source"], row["lang"]
        offered = bins.setdefault(stratum, [])
        if row["bin"] == HELD_OUT_BIN:
            held_out_totals[stratum] = row["documents"], row["bytes"]
        else:
            offered.append((row["bin"], row["documents"], row["bytes"]))
    sizes = {stratum: sum(size for _, _, size in offered) for stratum, offered in bins.items()}
    if not rows:
        raise UserError("no documents to train a tokenizer on: every source is empty after its steps")
    if not sum(sizes.values()):
        raise UserError(
            "no text to train a tokenizer on: every document is empty or held out; lower held_out, "
            "or add documents"
        )
    given = allotted(sizes, sample_bytes, budgets, exponent)
    strata = tuple(
        _stratum(stratum, bins[stratum], held_out_totals.get(stratum, (0, 0)), given[stratum])
        for stratum in sorted(bins)
    )
    sample = Sample(seed, sample_bytes, max_document_bytes, held_out, apart, strata)
    if sample.bytes == 0:
        raise UserError(
            "no text to train a tokenizer on: the budgets leave none; raise sample_bytes or budgets"
        )
    return sample


def _stratum(
    stratum: tuple[str, str], bins: list[tuple[int, int, int]], held_out_totals: tuple[int, int], budget: int
) -> StratumSample:
    documents, size = sum(row[1] for row in bins), sum(row[2] for row in bins)
    chosen = chosen_documents = chosen_bytes = 0
    if budget or not size:
        for _, more, more_bytes in bins:
            if chosen and chosen_bytes + more_bytes > budget:
                break
            chosen, chosen_documents = chosen + 1, chosen_documents + more
            chosen_bytes += more_bytes
    threshold = _ALL if chosen == len(bins) else largest_draw(bins[chosen - 1][0])
    return StratumSample(
        *stratum,
        documents=documents,
        bytes=size,
        held_out_documents=held_out_totals[0],
        held_out_bytes=held_out_totals[1],
        budget_bytes=budget,
        chosen_documents=chosen_documents,
        chosen_bytes=chosen_bytes,
        threshold=f"{threshold:016x}" if chosen else None,
    )


def write_sample(folder: Path, sample: Sample, texts: pa.Array) -> dict[str, object]:
    """Write sample.json and the verification texts (large_string[n]); returns what sample.json says."""
    facts: dict[str, object] = {
        **asdict(sample),
        "documents": sample.documents,
        "bytes": sample.bytes,
        "verification": {"documents": len(texts), "bytes": int(beginnings(texts, 2**62).sum())},
    }
    facts["apart"] = sample.apart.as_json()
    facts["strata"] = [asdict(each) for each in sample.strata]
    (folder / FILE).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    table = pa.table({"text": texts})
    options = ipc.IpcWriteOptions(compression="zstd")
    with ipc.new_file(folder / TEXTS_FILE, table.schema, options=options) as file:
        file.write_table(table)
    return facts


def read_sample(path: Path) -> Sample:
    """The sample that the sample.json at `path` tells of."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    return Sample(
        facts["seed"],
        facts["sample_bytes"],
        facts["max_document_bytes"],
        facts["held_out"],
        HeldOut.from_json(facts["apart"]),
        tuple(StratumSample(**each) for each in facts["strata"]),
    )


def read_verification(path: Path) -> pa.Array:
    """The texts, large_string[n], of the verification.arrow at `path`."""
    with pa.memory_map(str(path)) as source:
        texts = ipc.open_file(source).read_all().column("text")
    return texts.combine_chunks() if texts.num_chunks else pa.array([], pa.large_string())
