"""The random order follows from its seed alone and shares partition it; state that a test leaves is found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.recipe import registry
from tests.order import LONGEST_FIRST, TESTS, drawn, share, turn
from tests.process_state import look, put_back

NAMES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.text("xyz", max_size=3)), unique=True, max_size=20
)  # (file, test)


@given(NAMES, st.integers(0, 9), st.sampled_from(["file", "test"]), st.integers(1, 5), st.randoms())
def test_shares_partition_the_tests_whatever_order_they_come_in(
    names: list[tuple[str, str]], seed: int, grain: str, shares: int, other: object
) -> None:
    parts = [drawn(names, str(seed), grain, (i, shares)) for i in range(1, shares + 1)]
    assert sorted(i for part in parts for i in part) == list(range(len(names)))
    mixed = list(names)
    other.shuffle(mixed)  # type: ignore[attr-defined]
    for number, part in enumerate(parts, 1):
        again = [mixed[i] for i in drawn(mixed, str(seed), grain, (number, shares))]
        assert again == [names[i] for i in part]
        if grain == "file":
            files = [names[i][0] for i in part]
            assert len({*files}) == sum(a != b for a, b in zip(files, [None, *files], strict=False))


def test_another_seed_draws_another_order() -> None:
    names = [("abcde"[i % 5], str(i)) for i in range(50)]
    grains = ("file", "test")
    orders = {tuple(drawn(names, str(seed), grain, (1, 1))) for seed in range(9) for grain in grains}
    assert len(orders) == 18


def test_folders_of_the_longest_tests_come_first() -> None:
    assert all((TESTS / place).exists() for place in LONGEST_FIRST)
    paths = [
        "dedup/a.py",
        "tokenizer/x/a.py",
        "pipelines/cli/a.py",
        "faults/a.py",
        "test_layout.py",
        "test_a.py",
    ]
    assert [turn(TESTS / path) for path in paths] == [7, 4, 7, 2, 6, 7]


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", ""])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        share(text)
    assert share("2/4") == (2, 4)


def test_what_a_test_leaves_is_named_and_put_back(tmp_path: Path) -> None:
    before, here = look(), Path.cwd()
    os.environ["CORPUSMILL_LEFT"] = "x"
    os.chdir(tmp_path)
    said = put_back(before)
    assert said == [
        "environment: CORPUSMILL_LEFT: None -> x",
        f"working directory: {here} -> {tmp_path}",
    ]
    assert "CORPUSMILL_LEFT" not in os.environ
    assert Path.cwd() == here
    assert put_back(before) == []


@pytest.mark.parametrize("time", ["first", "second"])
def test_plugins_of_another_test_are_not_registered(time: str, tmp_path: Path) -> None:
    assert plugins.plugins() == []
    path = tmp_path / f"{time}.py"
    path.write_text(
        "from corpusmill.pipelines.contract.stage import Filter\n"
        "class LeftBehind(Filter):\n"
        "    def score(self, docs): return {}\n"
        "    def judge(self, scores): raise NotImplementedError\n"
    )
    plugins.register_plugin(path)
    assert "left_behind" in registry.step_names()
