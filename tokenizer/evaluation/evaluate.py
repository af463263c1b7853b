"""Tokenizers side by side on the same texts: one pass over the texts, one batch in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.records.tokenizer_figures import GroupFigures, Growth, TokenizerFigures
from corpusmill.tokenizer.bpe.definition_parts import lossy_parts
from corpusmill.tokenizer.evaluation.composition import composition
from corpusmill.tokenizer.evaluation.encoding import Speller, fitting_encoder
from corpusmill.tokenizer.evaluation.growth import growth
from corpusmill.tokenizer.evaluation.open_tokenizer import Opened
from corpusmill.tokenizer.evaluation.round_trip import round_trip
from corpusmill.tokenizer.evaluation.splitting import digit_grouping, white_space
from corpusmill.tokenizer.evaluation.strata import Strata, Stratum, Texts
from corpusmill.tokenizer.evaluation.suspicious import suspicious
from corpusmill.tokenizer.evaluation.tally import Tally, group_figures, usage

RARE = 10  # occurrences below which an entry counts as under-trained


def evaluate(
    tokenizers: Sequence[Opened],
    batches: Iterable[Texts],
    *,
    weights: Mapping[Stratum, float] | None = None,
    rare: int = RARE,
) -> dict[str, TokenizerFigures]:
    """Every figure of every tokenizer, by name, in the order given.

    `weights` says, by stratum, how many times over the batches' documents stand for all there are, where they
    are a sample; rates and growth are weighted by it, what is told of single entries is not. Without
    any text, only what needs none is told (`groups`, `usage` and `growth` are None). A tokenizer that changes
    texts is measured as it is; its `lossy` parts are named, and so are those `dropped` when it was opened.
    Raises UserError for a tokenizer that cannot be evaluated.
    """
    names = [opened.name for opened in tokenizers]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"two tokenizers are called {twice!r}; name references apart: --reference NAME=FILE")
    waiting = iter(batches)
    first = next(waiting, None)
    text = first.text if first is not None else pa.array([], pa.large_string())
    strata = Strata()
    encoders = {opened.name: fitting_encoder(opened, text) for opened in tokenizers}
    tallies = {opened.name: Tally(opened.vocabulary, encoders[opened.name].use) for opened in tokenizers}
    for batch in chain([] if first is None else [first], waiting):
        numbers, sources = strata.numbers(batch.strata)
        factors = np.array([1.0 if weights is None else weights[stratum] for stratum in batch.strata])
        for tally in tallies.values():
            tally.add(batch, numbers, sources, factors)
    found: dict[str, TokenizerFigures] = {}
    for opened in tokenizers:
        encoder = encoders[opened.name]
        tally, vocabulary = tallies[opened.name], opened.vocabulary
        speller = Speller(encoder.use, vocabulary)
        any_text = first is not None
        found[opened.name] = TokenizerFigures(
            file=opened.path.name,
            encoder=encoder.name,
            dropped=tuple(opened.dropped),
            lossy=tuple(lossy_parts(opened.definition)),
            vocabulary=composition(vocabulary),
            groups=group_figures(tally, strata) if any_text else None,
            usage=usage(tally, rare) if any_text else None,
            round_trip=round_trip(vocabulary, encoder),
            digits=digit_grouping(speller),
            white_space=white_space(speller),
            suspicious=suspicious(vocabulary, speller, tally),
            growth=_growth(tally, strata) if any_text else None,
        )
    return found


def _growth(tally: Tally, strata: Strata) -> Growth:
    """Curves of each source, and of all of them (`*`) where there are several."""
    members: dict[str, list[int]] = {source: [] for source in strata.sources}
    for (source, _, _), number in strata.index.items():
        members[source].append(number)
    sizes = {source: tally.weighted_bytes(held) for source, held in members.items()}
    counts = {source: tally.by_source[number] for source, number in strata.sources.items()}
    if len(counts) > 1:
        sizes["*"], counts["*"] = sum(sizes.values()), tally.by_source.sum(axis=0)
    return growth(tally.vocabulary, counts, sizes)


def compared(found: Mapping[str, TokenizerFigures], name: str) -> tuple[GroupFigures, ...]:
    """The groups of tokenizer `name`, each with its bytes per token over that of every other (`against`)."""
    groups = found[name].groups
    if groups is None:
        return ()
    others = {
        other: {group.group: group.bytes_per_token for group in figures.groups or ()}
        for other, figures in found.items()
        if other != name
    }
    return tuple(
        replace(group, against={other: _ratio(group, theirs) for other, theirs in others.items()})
        for group in groups
    )


def _ratio(group: GroupFigures, theirs: Mapping[str, float | None]) -> float | None:
    ours, other = group.bytes_per_token, theirs[group.group]
    return float(np.float64(ours) / other) if ours and other else None
