"""How limits for a language are chosen on documents of it.

1. Options that count words, characters or characters of words (`LimitsByLanguage.scaled`) are multiplied by
   how many the language needs for one of English (the same text in both, given as `parallel`); lengths of
   n-grams only where that is at least 1.25, as in scripts cut into characters.
2. Stop words are the tokens that hold a letter, and end in a letter or mark, and stand in the largest share
   of documents of every corpus.
3. Every other limit is the quantile of its score over half of the documents that are long enough: `quantile`
   of them score less (more, for an upper limit), rounded outward to two digits. A limit is never stricter
   than the filter's own: a trusted corpus is narrower than the web.

The other half tells what the choice keeps. The whole corpus is in memory: some thousand documents of
a language are enough.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.filters.calibration.corpus import Part
from corpusmill.filters.rules.limits import LimitsByLanguage
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.contract.rules import Rule, floats

WORDS_FROM = 1_000  # documents of each corpus that stop words are chosen on
COMMON = 0.15  # the least share of documents of each corpus that a stop word stands in
SMALL = 20  # documents; a smaller corpus does not speak on stop words
LONGER = 1.25
LONGEST = 32  # words of an n-gram


@dataclass
class _Seen:
    """What was read of one language."""

    parts: list[Part] = field(default_factory=list)
    documents: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Chosen:
    """Limits that differ from a filter's own, and the shares of documents that it keeps with its own limits
    and with these, of those that are long enough in the half that nothing was chosen on.
    """

    limits: dict[str, Any]
    corpora: dict[str, int]
    """Documents of each corpus."""
    bytes: int
    scale: dict[str, float]
    kept_by_own: float
    kept: float


def choose(
    stage: LimitsByLanguage,
    parts: Iterable[Part],
    *,
    quantile: float,
    least: int,
    stop_words: int,
    scales: Mapping[str, Mapping[str, float]],
) -> tuple[dict[str, Chosen], dict[str, int]]:
    """By language the limits chosen, and the documents long enough where those are under `least`."""
    seen: dict[str, _Seen] = {}
    for part in parts:
        of_language = seen.setdefault(part.language, _Seen())
        of_language.parts.append(part)
        of_language.documents += len(part.documents)
        of_language.bytes += int(part.documents.sizes().sum())
    found: dict[str, Chosen] = {}
    few: dict[str, int] = {}
    for language, of_language in sorted(seen.items()):
        chosen = _of_language(
            stage, language, of_language, quantile, least, stop_words, scales.get(language, {})
        )
        if isinstance(chosen, int):
            few[language] = chosen
        else:
            found[language] = chosen
    return found, few


def _of_language(
    stage: LimitsByLanguage,
    language: str,
    seen: _Seen,
    quantile: float,
    least: int,
    stop_words: int,
    scale: Mapping[str, float],
) -> Chosen | int:
    limits: dict[str, Any] = {}
    for option, unit in stage.scaled.items():
        scaled = _scaled(getattr(stage, option), scale.get(unit, 1.0), option, unit)
        if scaled != getattr(stage, option):
            limits[option] = scaled
    if "stop_words" in type(stage).model_fields:
        limits["stop_words"] = common_words(seen.parts, stop_words)
    measured = _with(stage, language, limits)
    rules = [rule for rule in measured.listed_rules() if rule.limit is not None]
    scores, fitted = _scores(measured, language, seen.parts, rules)
    counted = {rule.score for rule in rules if stage.scaled.get(rule.limit or "") in ("tokens", "characters")}
    entry = measured.model_dump()["by_language"][language]
    long_enough = np.ones(len(fitted), np.bool_)
    for rule in rules:
        if rule.score in counted and rule.side == "under" and rule.limit is not None:
            value = entry[rule.limit]
            long_enough &= ~(scores[rule.score] < (np.nan if value is None else value))
    if int(long_enough.sum()) < least:
        return int(long_enough.sum())
    for rule in rules:
        if rule.score not in counted:
            _fit(rule, scores[rule.score][fitted & long_enough], quantile, entry, limits)
    other = long_enough & ~fitted
    kept = _kept(_with(stage, language, limits), language, seen.parts)[other]
    own = _kept(type(stage).model_validate({**stage.model_dump(), "by_language": {}}), language, seen.parts)
    corpora: Counter[str] = Counter()
    for part in seen.parts:
        corpora[part.corpus] += len(part.documents)
    return Chosen(
        limits,
        dict(sorted(corpora.items())),
        seen.bytes,
        dict(scale),
        float(own[other].mean()),
        float(kept.mean()),
    )


def _scaled(value: Any, factor: float, option: str, unit: str) -> Any:
    """An option that counts words or characters, for a language that needs `factor` times as many."""
    if value is None or factor == 1.0:
        return value
    if isinstance(value, dict):
        if factor < LONGER:
            return value
        factor = min(factor, LONGEST / max(value, default=1))
        lengths = {n: round(n * factor) for n in value}
        distinct = len(set(lengths.values())) == len(value)
        return {lengths[n]: share for n, share in value.items()} if distinct else value
    if unit == "word_length" or option.startswith("max_"):
        # Words that are longer or shorter loosen a limit, and never make it stricter.
        factor = max(factor, 1.0) if option.startswith("max_") else min(factor, 1.0)
    scaled = float(f"{value * factor:.2g}")
    return int(scaled) if isinstance(value, int) else scaled


def _with(stage: LimitsByLanguage, language: str, limits: Mapping[str, Any]) -> LimitsByLanguage:
    return type(stage).model_validate({**stage.model_dump(), "by_language": {language: dict(limits)}})


def _as(language: str, docs: Documents) -> Documents:
    import pyarrow as pa

    return docs.with_columns({"lang": pa.array([language] * len(docs), pa.string())})


def _half(docs: Documents) -> npt.NDArray[np.bool_]:
    """bool[n]: the half that limits are chosen on, by the documents' ids."""
    return np.asarray(draws(docs.column("id"), 0, "calibrate") % 2 == 0)


def _scores(
    stage: LimitsByLanguage, language: str, parts: Sequence[Part], rules: Sequence[Rule]
) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.bool_]]:
    columns: dict[str, list[npt.NDArray[np.float64]]] = {rule.score: [] for rule in rules}
    halves: list[npt.NDArray[np.bool_]] = []
    for part in parts:
        found = stage.score(_as(language, part.documents))
        for name in columns:
            columns[name].append(floats(found[name]))
        halves.append(_half(part.documents))
    return {name: np.concatenate(arrays) for name, arrays in columns.items()}, np.concatenate(halves)


def _fit(
    rule: Rule,
    scores: npt.NDArray[np.float64],
    quantile: float,
    entry: Mapping[str, Any],
    limits: dict[str, Any],
) -> None:
    """Put the limit of `rule` into `limits` where that of `entry` removes more than `quantile`."""
    option, _, item = (rule.limit or "").partition(".")
    own = entry[option].get(int(item)) if item else entry[option]
    scores = scores[~np.isnan(scores)]
    if own is None or len(scores) == 0:
        return
    low = rule.side == "under"
    value = _outward(float(np.quantile(scores, quantile if low else 1 - quantile)), down=low)
    had = limits.get(option)
    if had is not None and not item:  # two scores have one limit
        own = had
    if value >= own if low else value <= own:
        return
    if item:
        limits.setdefault(option, dict(entry[option]))[int(item)] = value
    else:
        limits[option] = int(value) if isinstance(own, int) else value


def _outward(value: float, *, down: bool) -> float:
    """`value` to two significant digits, rounded down or up."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    steps = value / unit
    return float(f"{(math.floor(steps) if down else math.ceil(steps - 1e-9)) * unit:.2g}")


def _kept(stage: LimitsByLanguage, language: str, parts: Sequence[Part]) -> npt.NDArray[np.bool_]:
    """bool[n]: the documents that `stage` keeps."""
    reasons = [stage.apply(_as(language, part.documents)).reasons for part in parts]
    return np.concatenate([each.is_null().to_numpy(zero_copy_only=False) for each in reasons])


def common_words(parts: Sequence[Part], many: int) -> tuple[str, ...]:
    """Tokens that stand in the largest share of documents of every corpus, at most `many`, in that order."""
    from corpusmill.pipelines.text.kernels.words import HAS_LETTER, split_words

    counts: dict[str, Counter[str]] = {}
    read: Counter[str] = Counter()
    for part in parts:
        for text in part.documents.text.to_pylist():
            if read[part.corpus] >= WORDS_FROM or not text:
                continue
            read[part.corpus] += 1
            data, stops = text.encode(), 0
            tokens = split_words(data)
            words = set()
            for stop, flags in zip(tokens.stops.tolist(), tokens.flags.tolist(), strict=True):
                if flags & HAS_LETTER:
                    words.add(data[stops:stop].decode("utf-8", "replace").strip())
                stops = stop
            counts.setdefault(part.corpus, Counter()).update(words)
    counts = {corpus: counter for corpus, counter in counts.items() if read[corpus] >= SMALL} or counts
    shares: dict[str, float] = {}
    for word in set.intersection(*(set(counter) for counter in counts.values())) if counts else ():
        share = min(counter[word] / read[corpus] for corpus, counter in counts.items())
        # A word that keeps the full stop after it is common only at ends of sentences.
        ends_in_letter = unicodedata.category(word[-1])[0] in "LM"
        if share >= COMMON and ends_in_letter and len(split_words(word.encode()).hashes) == 1:
            shares[word] = share
    return tuple(sorted(shares, key=lambda word: (-shares[word], word))[:many])


def scales_of(texts: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Of one text by language: tokens, characters and characters a token to those of `en`, two digits."""
    from corpusmill.pipelines.text.kernels.words import split_words

    tokens = {code: len(split_words(text.encode()).hashes) for code, text in texts.items()}
    return {
        code: {
            "tokens": float(f"{tokens[code] / tokens['en']:.2g}"),
            "characters": float(f"{len(texts[code]) / len(texts['en']):.2g}"),
            "word_length": float(
                f"{len(texts[code]) / tokens[code] / (len(texts['en']) / tokens['en']):.2g}"
            ),
        }
        for code in texts
        if code != "en"
    }
