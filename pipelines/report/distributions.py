"""Languages, lengths and tokens of the surviving documents, by source.

Taken from the encoded dataset once there is one: its language, byte and offset columns are read, never the
tokens. Before that, from the datasets with their masks applied, where lengths need the text, so fewer
units are looked at. Of a source of many units, an even spread is measured; the figures say how much.
Memory: one record batch, or one row group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.given import ENCODED
from corpusmill.pipelines.inspection.identities import arrow_batches
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord, StepRecord
from corpusmill.pipelines.storage.datasets import DatasetView
from corpusmill.pipelines.storage.not_kept import not_kept

ENCODED_UNITS = 64  # of each source
TEXT_UNITS = 4
UNKNOWN = "(unknown)"
_LANGUAGES = 24  # shown; the rest is added up
_POWERS = 48

Batch = tuple[pa.Array, npt.NDArray[np.int64], npt.NDArray[np.int64] | None]  # lang, bytes, tokens


@dataclass(frozen=True)
class LengthBar:
    """Documents of lengths from n, a power of two, to 2n-1; those of the first bar may also be empty."""

    from_: int
    documents: int


@dataclass(frozen=True)
class Distribution:
    """Languages and lengths of a source's documents, measured in `units` of `of_units`. Tokens (and those
    by language) are None before documents are encoded; a mean of nothing is None."""

    documents: int
    units: int
    of_units: int
    languages: Mapping[str, int]
    unknown_language: int
    mean_bytes: float | None
    bytes: tuple[LengthBar, ...]
    mean_tokens: float | None
    tokens: tuple[LengthBar, ...] | None
    bytes_per_token: float | None
    language_tokens: Mapping[str, int] | None = None


def distributions(record: RunRecord) -> dict[str, Distribution]:
    """Languages and lengths by source; none where the run did not keep what they are measured of."""
    encode = record.complete_giving(ENCODED)
    if encode is not None and not_kept(encode.data.path) is not None:
        return {}
    view, starts = (record.view(), starts_of(record)) if encode is None else (DatasetView([], []), {})
    found: dict[str, Distribution] = {}
    for source in record.sources:
        if not source.whole:
            continue
        if encode is not None:
            units = [n for n, unit in enumerate(encode.units) if source.name in unit.sources]
            chosen = spread(units, ENCODED_UNITS)
            found[source.name] = _measure(_encoded(encode, source, chosen), len(chosen), len(units))
        else:
            count = len(source.last.units)
            chosen = spread(range(count), TEXT_UNITS)
            texts = _texts(view, [starts[source.name] + number for number in chosen])
            found[source.name] = _measure(texts, len(chosen), count)
    return found


def spread(units: Sequence[int], most: int) -> list[int]:
    """At most `most` of `units`, evenly spread."""
    if len(units) <= most:
        return list(units)
    return [units[k * len(units) // most] for k in range(most)]


def _encoded(encode: StepRecord, source: SourceRecord, units: list[int]) -> Iterator[Batch]:
    for number in units:
        path = encode.data.file(f"{encode.units[number].name}.arrow")
        for batch in arrow_batches(path, ["source", "lang", "bytes", "tokens"]):
            mine = pc.equal(batch.column("source"), source.name)
            tokens = pc.list_value_length(batch.column("tokens")).filter(mine).to_numpy(zero_copy_only=False)
            size = batch.column("bytes").filter(mine).to_numpy(zero_copy_only=False)
            yield batch.column("lang").filter(mine), size.astype(np.int64), tokens.astype(np.int64)


def _texts(view: DatasetView, units: list[int]) -> Iterator[Batch]:
    for number in units:
        for docs, _ in view.batches(number, ["lang", "text"]):
            yield docs.column("lang"), docs.sizes(), None


def starts_of(record: RunRecord) -> dict[str, int]:
    """First unit of each whole source in the view; one without masks lists sources by name."""
    whole = [source for source in record.sources if source.whole]
    if record.masks:
        return {source.name: record.first_units.get(source.name, 0) for source in whole}
    found, total = {}, 0
    for source in sorted(whole, key=lambda source: source.name):
        found[source.name] = total
        total += len(source.last.units)
    return found


def _measure(batches: Iterator[Batch], units: int, of_units: int) -> Distribution:
    languages: Counter[str] = Counter()
    by_language: Counter[str] = Counter()
    sizes, lengths = np.zeros(_POWERS, np.int64), np.zeros(_POWERS, np.int64)
    documents = total_bytes = total_tokens = 0
    counted = False
    for lang, size, tokens in batches:
        documents += len(size)
        counts = pc.value_counts(lang.cast(pa.string()))
        names, times = counts.field("values").to_pylist(), counts.field("counts").to_pylist()
        for name, count in zip(names, times, strict=True):
            languages[name if name is not None else UNKNOWN] += count
        sizes += _powers(size)
        total_bytes += int(size.sum())
        if tokens is not None:
            counted = True
            lengths += _powers(tokens)
            total_tokens += int(tokens.sum())
            by_language.update(_tokens_by_language(lang, tokens))
    return Distribution(
        documents=documents,
        units=units,
        of_units=of_units,
        languages=_common(languages),
        unknown_language=languages[UNKNOWN],
        mean_bytes=total_bytes / documents if documents else None,
        bytes=_bars(sizes),
        mean_tokens=total_tokens / documents if documents and counted else None,
        tokens=_bars(lengths) if counted else None,
        bytes_per_token=total_bytes / total_tokens if total_tokens else None,
        language_tokens=_common(by_language) if counted else None,
    )


def _tokens_by_language(lang: pa.Array, tokens: npt.NDArray[np.int64]) -> dict[str, int]:
    coded = pc.fill_null(lang.cast(pa.string()), UNKNOWN).dictionary_encode()
    sums = np.zeros(len(coded.dictionary), np.int64)
    np.add.at(sums, coded.indices.to_numpy(zero_copy_only=False), tokens)
    return dict(zip(coded.dictionary.to_pylist(), sums.tolist(), strict=True))


def _powers(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Counts by floor(log2(value)), int64[48]; frexp is exact where a logarithm may round up."""
    exponents = np.frexp(np.maximum(values, 1).astype(np.float64))[1] - 1
    return np.bincount(np.minimum(exponents, _POWERS - 1), minlength=_POWERS).astype(np.int64)


def _bars(counts: npt.NDArray[np.int64]) -> tuple[LengthBar, ...]:
    """Bars from the first to the last that holds any."""
    filled = np.flatnonzero(counts)
    if not len(filled):
        return ()
    powers = range(int(filled[0]), int(filled[-1]) + 1)
    return tuple(LengthBar(2**power, int(counts[power])) for power in powers)


def _common(languages: Counter[str]) -> dict[str, int]:
    ordered = sorted(languages.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(n for _, n in ordered[_LANGUAGES:])
    return {**dict(ordered[:_LANGUAGES]), **({"(others)": rest} if rest else {})}
