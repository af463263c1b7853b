"""Generation with the cache, with and without drafts, against the whole context again for every token."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.training_hooks.inference.decode import Decoder, padded
from corpusmill.training_hooks.inference.generation import generate
from corpusmill.training_hooks.inference.latent_cache import FIRST_ROOM
from corpusmill.training_hooks.inference.sampling import GREEDY, Sampling, choose, eligible
from corpusmill.training_hooks.inference.speculative import Drafter, deepest
from corpusmill.training_hooks.model.transformer import Transformer
from tests.oracles.training_inference import (
    CONFIGS,
    VOCABULARY,
    after,
    greedy,
    prompts_of,
    random_model,
    taught_model,
    tokens_of,
)


def texts(model: Transformer, prompts: list[list[int]], new: int, **options: object) -> list[list[int]]:
    found, _ = generate(model, prompts, max_new_tokens=new, **options)  # type: ignore[arg-type]
    return [one.tokens for one in found]


@pytest.mark.parametrize("name", CONFIGS)
def test_greedy_tokens_are_those_of_whole_passes_with_and_without_drafts(name: str) -> None:
    model = random_model(CONFIGS[name])
    prompts = prompts_of(9, 3, 14, 2)
    expected = [greedy(model, prompt, 12) for prompt in prompts]
    assert all(len(set(row)) > 3 for row in expected)
    for draft in range(4):
        assert texts(model, prompts, 12, draft=draft) == expected, draft


def test_drafts_of_a_taught_model_are_accepted_and_change_nothing() -> None:
    model = taught_model()
    prompts = prompts_of(4, 11, 6)
    expected = [greedy(model, prompt, 20) for prompt in prompts]
    follows = [after(a) == b for row in expected for a, b in pairwise(row)]
    assert sum(follows) / len(follows) > 0.9
    for draft in (1, 2, 3):
        found, statistics = generate(model, prompts, max_new_tokens=20, draft=draft)
        assert [one.tokens for one in found] == expected
        assert all(share is not None and share > 0.8 for share in statistics.acceptance)
        assert statistics.tokens_per_pass is not None
        assert statistics.tokens_per_pass > 1 + 0.6 * draft
        assert statistics.new_tokens == 60
    _, plain = generate(model, prompts, max_new_tokens=20)
    assert (plain.tokens_per_pass, plain.acceptance) == (1.0, [])


@torch.no_grad()
def test_drafts_are_what_the_training_pass_predicts() -> None:
    """Over many rounds with refused drafts between, each module must see true tokens and positions."""
    model = random_model(CONFIGS["groups with yarn"])
    rows = prompts_of(5, 8)
    text = tokens_of(2, 40, seed=21).tolist()  # what "the model" goes on to write
    drafter, decoder = Drafter(model, 3, 2, 64), Decoder(model, 2, 64)
    ready = decoder.feed(padded(rows), [5, 8])
    first = [0, 0]
    known = [[*row, text[i].pop(0)] for i, row in enumerate(rows)]
    for accepted in ((0, 0), (3, 1), (0, 2), (1, 0), (2, 3)):
        asked: list[list[int]] = []

        def best(logits: torch.Tensor, places: Sequence[int], asked: list[list[int]] = asked) -> list[int]:
            asked.append(list(places))
            return [int(token) for token in logits.argmax(-1)]

        drafts = drafter.propose(known, ready, first, best)
        # Where each will stand: drawn ones must meet the noise of their own place.
        assert asked == [[len(row) + depth for row in known] for depth in range(3)]
        for row, draft in zip(known, drafts, strict=True):
            whole = torch.tensor([[*row, *draft]])
            hidden = model(whole, torch.ones_like(whole, dtype=torch.bool)).hidden
            at = len(row) - 2
            expected = [int((h[0, at] @ model.lm_head.weight.T).argmax()) for h in hidden[1:]]
            assert draft == expected
        first = [len(row) - 1 for row in known]
        new = [text[i][: a + 1] for i, a in enumerate(accepted)]
        fed = [[row[-1], *n, *[0] * (4 - len(n))][:4] for row, n in zip(known, new, strict=True)]
        ready = decoder.feed(torch.tensor(fed))
        for i, a in enumerate(accepted):
            known[i] += [text[i].pop(0) for _ in range(a + 1)]
        decoder.cached.lengths = [len(row) - 1 for row in known]


def test_a_stop_token_ends_a_row_wherever_a_draft_brings_it() -> None:
    model = taught_model()
    prompts = prompts_of(4, 11, 6)
    whole = [greedy(model, prompt, 12) for prompt in prompts]
    for stop in {whole[0][1], whole[1][6], whole[2][7]}:
        cut = [row[: row.index(stop)] if stop in row else row for row in whole]
        for draft in range(4):
            found, _ = generate(model, prompts, max_new_tokens=12, stop={stop}, draft=draft)
            assert [one.tokens for one in found] == cut
            ended = ["stop" if stop in row else "length" for row in whole]
            assert [one.ended for one in found] == ended


def test_draws_repeat_and_follow_neither_company_nor_drafts() -> None:
    model = random_model(CONFIGS["tiny"])
    prompts = prompts_of(9, 3)
    sampling = Sampling(temperature=0.9, top_k=40, top_p=0.95, seed=4)
    expected = texts(model, prompts, 12, sampling=sampling)
    assert expected == [texts(model, [prompt], 12, sampling=sampling)[0] for prompt in prompts]
    for draft in (1, 3):
        assert texts(model, prompts, 12, sampling=sampling, draft=draft) == expected
    other = Sampling(temperature=0.9, top_k=40, top_p=0.95, seed=5)
    assert texts(model, prompts, 12, sampling=other) != expected
    twice = texts(model, [prompts[0], prompts[0]], 12, sampling=sampling)
    assert twice[0] == expected[0]
    assert twice[1] != expected[0]
    assert texts(model, prompts, 12, sampling=Sampling(temperature=1e-4)) == texts(model, prompts, 12)


def test_draws_have_the_model_s_probabilities() -> None:
    """Each count within five standard deviations of a binomial's."""
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, -30.0])
    sampling = Sampling(temperature=0.7, seed=2)
    share = (logits / 0.7).softmax(-1).tolist()
    n = 4000
    drawn = choose(logits.expand(n, -1), sampling, [9] * n, range(n))
    for token, p in enumerate(share):
        assert abs(drawn.count(token) - n * p) <= 5 * math.sqrt(n * p * (1 - p)) + 1e-6


@pytest.mark.parametrize("temperature", [1e-320, 1e-300, 1e-3])
def test_a_temperature_near_zero_is_greedy(temperature: float) -> None:
    """Also where logits divided by it are beyond what a number can be."""
    logits = torch.tensor([[3.0, 7.0, 8.0, -900.0], [-3.0, -1.0, -2.0, -900.0]])
    for options in ({}, {"top_k": 3}, {"top_p": 0.5}):
        assert choose(logits, Sampling(temperature, seed=1, **options), [1, 2], [5, 5]) == [2, 1]


def test_drafts_do_not_bend_the_distribution() -> None:
    """Pairs of drawn tokens against the model's own probabilities, drafted or not: chi-square, five standard
    deviations of it above its mean."""
    model, n = random_model(CONFIGS["tiny"]), 1000
    sampling = Sampling(temperature=0.5, top_k=4, seed=3)
    prompt = prompts_of(5)[0]

    def share(row: list[int]) -> torch.Tensor:
        return eligible(model.logits(torch.tensor([row]))[0, -1:] / 0.5, sampling).softmax(-1)[0]

    first = share(prompt)
    expected = {
        (one, two): float(first[one] * second[two])
        for one in first.nonzero()[:, 0].tolist()
        for second in [share([*prompt, one])]
        for two in second.nonzero()[:, 0].tolist()
    }
    assert len(expected) == 16
    for draft in (0, 2):
        drawn = Counter(map(tuple, texts(model, [prompt] * n, 2, sampling=sampling, draft=draft)))
        assert set(drawn) <= set(expected)
        square = sum((drawn[pair] - n * p) ** 2 / (n * p) for pair, p in expected.items())
        assert square < 15 + 5 * math.sqrt(30)


def test_room_for_more_tokens_than_there_is_memory_is_not_taken_in_advance() -> None:
    model = taught_model()
    prompt = prompts_of(4)[0]
    whole = greedy(model, prompt, 12)
    stop = whole[-1]
    found, statistics = generate(model, [prompt], max_new_tokens=10**12, stop={stop})
    assert found[0].tokens == whole[: whole.index(stop)]
    assert statistics.cache_tokens == FIRST_ROOM


@given(
    st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=12),
    st.integers(1, 12),
    st.floats(0.01, 1.0),
)
@settings(deadline=None, max_examples=60)
def test_what_is_drawn_from_is_the_definition(row: list[float], k: int, p: float) -> None:
    kept = eligible(torch.tensor([row], dtype=torch.float64), Sampling(1.0, k, p))[0].isfinite().tolist()
    least = sorted(row, reverse=True)[min(k, len(row)) - 1]
    top = {i for i, logit in enumerate(row) if logit >= least}
    total = math.fsum(math.exp(row[i]) for i in top)
    expected: set[int] = set()
    reached = 0.0
    for i in sorted(sorted(top), key=lambda i: -row[i]):  # of equals the first
        if expected and reached >= p + 1e-9:
            break
        if expected and abs(reached - p) <= 1e-9:
            return  # a tie with the limit, decided by round-off
        expected.add(i)
        reached += math.exp(row[i]) / total
    assert {i for i, there in enumerate(kept) if there} == expected


def test_faults_of_the_caller_are_named() -> None:
    model = random_model(CONFIGS["tiny"])
    for prompts, options, message in (
        ([[]], {}, "at least one token"),
        ([[VOCABULARY]], {}, r"outside 0\.\.95"),
        ([[-1]], {}, "outside"),
        ([[1]], {"draft": 4}, r"0\.\.3, the MTP modules"),
        ([[1]], {"max_new_tokens": 0}, "max_new_tokens"),
    ):
        with pytest.raises(ValueError, match=message):
            generate(model, prompts, **{"max_new_tokens": 1, **options})  # type: ignore[arg-type]
    assert generate(model, [], max_new_tokens=3)[0] == []
    assert deepest(model, [[1], [1, 2, 3]]) == 2
    for wrong in ({"temperature": -1.0}, {"temperature": math.nan}, {"top_k": 0}, {"top_p": 0.0}):
        with pytest.raises(ValueError, match="must"):
            Sampling(**wrong)
    with pytest.raises(DataError, match="not finite"):
        choose(torch.tensor([[0.0, math.nan]]), GREEDY, [0], [0])
