"""Tests in a random order, drawn from a seed, and dealt to several processes: shared state shows itself.

`--shuffle SEED` draws the order. `--grain file` keeps the tests of one file together, in a drawn order, so
that what a module's fixture makes is made once; `--grain test` mixes the tests of all files. `--share I/K`
takes every K-th file or test from the I-th on, so that K processes with the same seed run the suite between
them. The same seed, grain and share give the same tests in the same order, on any machine: a failure is
repeated by the line that pytest prints at its head. `tests/shuffle.py` runs whole distributions.

Without `--shuffle` the folders and files of the longest tests come first, so that processes which are dealt
file after file (`--dist loadfile --no-loadscope-reorder`) end with short ones, at about the same time.
"""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LONGEST_FIRST = (
    "training_hooks",  # of the longest ones; and few of them wait for kernels, which are compiled meanwhile
    *("end_to_end", "faults", "pipelines/run", "tokenizer"),
    *("pipelines/system/test_time_limit.py", "test_layout.py"),  # they would come last, each on one core
)


def add_options(parser: pytest.Parser) -> None:
    """The three options, in a group of their own."""
    group = parser.getgroup("order", "random order")
    group.addoption("--shuffle", metavar="SEED", help="run the tests in an order drawn from this seed")
    group.addoption("--grain", choices=("file", "test"), default="file", help="what stays together")
    group.addoption("--share", metavar="I/K", type=share, default=(1, 1), help="run the I-th of K shares")


def share(text: str) -> tuple[int, int]:
    """`2/4` -> (2, 4). Raises ValueError, which the option's parser reports, for what is no share."""
    number, _, of = text.partition("/")
    found = int(number), int(of)
    if not 1 <= found[0] <= found[1]:
        raise ValueError(f"no share {text!r}: write I/K with 1 <= I <= K")
    return found


def drawn(names: list[tuple[str, str]], seed: str, grain: str, part: tuple[int, int]) -> list[int]:
    """Positions of the tests of one share, in their order; `names` are (file, test), in any order.

    The draw sees the sorted names alone, so it does not depend on the order they are collected in.
    """
    draw = random.Random(f"order of tests\0{seed}")
    positions = sorted(range(len(names)), key=lambda i: names[i])
    if grain == "test":
        draw.shuffle(positions)
        return positions[part[0] - 1 :: part[1]]
    files: dict[str, list[int]] = {}
    for position in positions:
        files.setdefault(names[position][0], []).append(position)
    blocks = list(files.values())
    for block in blocks:
        draw.shuffle(block)
    draw.shuffle(blocks)
    return [position for block in blocks[part[0] - 1 :: part[1]] for position in block]


@cache
def turn(path: Path) -> int:
    """Which of `LONGEST_FIRST` a file belongs to; their number for all others."""
    places = [TESTS / place in (path, *path.parents) for place in LONGEST_FIRST]
    return [*places, True].index(True)


def reorder(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the collected tests in the order asked for; without `--shuffle` only whole files move."""
    seed, part = config.getoption("--shuffle"), config.getoption("--share")
    if seed is None and part == (1, 1):
        items.sort(key=lambda item: turn(item.path))
        return
    if seed is None:
        raise pytest.UsageError("--share needs --shuffle SEED, which says what is shared out")
    names = [(str(item.path), item.nodeid) for item in items]
    chosen = drawn(names, seed, config.getoption("--grain"), part)
    left_out = set(range(len(items))) - set(chosen)
    if left_out:
        config.hook.pytest_deselected(items=[items[i] for i in sorted(left_out)])
    items[:] = [items[i] for i in chosen]


def heading(config: pytest.Config) -> list[str]:
    """How to repeat the order."""
    seed, (number, of) = config.getoption("--shuffle"), config.getoption("--share")
    if seed is None:
        return []
    return [f"order: --shuffle {seed} --grain {config.getoption('--grain')} --share {number}/{of}"]
