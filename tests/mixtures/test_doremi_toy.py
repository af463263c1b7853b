"""DoReMi's example without a tradeoff (Xie et al. 2023, arXiv 2305.10429, appendix D): three domains of three
tokens, 500 training tokens, and published weights that are better than equal ones on every domain.

The weights come from weighing domains by excess loss while a model trains, which `mixture fit` does not do.
Its regression cannot find them, and the last test tells why: the third domain is learned best from no token
at all, but worse from a few than from many, and both forms only rise or only fall along a share.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from corpusmill.mixtures.fit.run_table import Floats, RunTable
from corpusmill.mixtures.fit.surrogate import FORMS, fit

TRUTH = np.array([[1.0, 0.0, 0.0], [0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3]])
EQUAL, PUBLISHED = np.full(3, 1 / 3), np.array([0.39, 0.61, 0.0])
TOKENS, JUDGED, RATE = 500, 30, 0.5


def estimated(counts: Floats) -> Floats:
    """Probabilities by domain: the posterior's mean under one third of a token of each kind seen before."""
    seen: Floats = (counts + 1 / 3) / (counts.sum(axis=-1, keepdims=True) + 1)
    return seen


def losses(weights: Sequence[float] | Floats, times: int = 4000) -> Floats:
    """Mean log-perplexity of each domain over models trained on `times` drawn sets of tokens."""
    chance = np.random.default_rng(7)
    counts = [chance.multinomial(n, TRUTH) for n in chance.multinomial(TOKENS, weights, times)]
    found: Floats = -(TRUTH * np.log(estimated(np.array(counts)))).sum(axis=2).mean(axis=0)
    return found


def error(domain: int, tokens: float) -> float:
    """Squared error of a domain's probabilities by the paper's first lemma, on so many tokens."""
    spread = float((TRUTH[domain] * (1 - TRUTH[domain])).sum())
    off = float(((TRUTH[domain] - 1 / 3) ** 2).sum())
    return (tokens * spread + off) / (tokens + 1) ** 2


def reweighed(seed: int) -> Floats:
    """Weights by the paper's second step: they grow with the loss in excess of a reference model's, while a
    model counts each token as much as its domain weighs; their mean over the steps."""
    chance = np.random.default_rng(seed)
    tokens = np.stack([chance.multinomial(n, p) for n, p in zip(_even(chance), TRUTH, strict=True)])
    reference = estimated(tokens.astype(np.float64))
    order = chance.permutation(np.repeat(np.arange(9), tokens.ravel()))
    judged = np.stack([chance.multinomial(JUDGED // 3, p) for p in TRUTH]) / (JUDGED // 3)
    weights, counts, total = EQUAL.copy(), np.zeros((3, 3)), np.zeros(3)
    for token in order:
        excess = np.maximum(np.log(reference) - np.log(estimated(counts)), 0)
        weights = weights * np.exp(RATE * (judged * excess).sum(axis=1))
        weights /= weights.sum()
        total += weights
        domain, kind = divmod(int(token), 3)
        counts[domain, kind] += weights[domain]
    found: Floats = total / len(order)
    return found


def _even(chance: np.random.Generator) -> Sequence[int]:
    return [int(n) for n in chance.multinomial(TOKENS, EQUAL)]


def test_figures_of_the_lemma() -> None:
    assert (TRUTH[1] * (1 - TRUTH[1])).sum() == pytest.approx(0.46)
    assert ((TRUTH[1] - 1 / 3) ** 2).sum() == pytest.approx(0.207, abs=5e-4)
    assert error(2, 0) == 0 < error(2, TOKENS) < error(2, 1)
    for domain in (0, 1):
        assert error(domain, 200) < error(domain, 100)


def test_published_weights_are_better_on_every_domain() -> None:
    assert (losses(PUBLISHED) < losses(EQUAL)).all()


def test_excess_loss_takes_weight_from_the_noisy_domain() -> None:
    found = np.stack([reweighed(seed) for seed in range(60)])
    middle = np.median(found, axis=0)
    assert middle[2] < middle[0] < middle[1]
    assert (np.abs(found - PUBLISHED).max(axis=1) < 0.1).any()  # one draw of many, as the published one is


def test_a_regression_cannot_find_them() -> None:
    mixtures = np.random.default_rng(1).dirichlet(np.full(3, 15), 20)
    names = ("sure", "mixed", "noisy")
    table = RunTable(
        tuple(map(str, range(20))), names, names, mixtures, np.stack([losses(w) for w in mixtures])
    )
    for form in FORMS:
        noisy = fit(table, form, 1e-6).predict(np.stack([EQUAL, PUBLISHED]))[:, 2]
        assert noisy[1] > noisy[0]
