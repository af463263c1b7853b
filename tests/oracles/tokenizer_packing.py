"""Best-fit-decreasing by looking at every open row, next fit, and a shard's documents put together again."""

from __future__ import annotations

from collections.abc import Sequence

from corpusmill.tokenizer.shards.reader import Shard


def best_fit_rows(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Items (by number) of each row, in the order they were placed; of equally full rows the one that
    became so last is used."""
    rows: list[list[int]] = []
    left: list[int] = []
    changed: list[int] = []
    for step, item in enumerate(sorted(range(len(lengths)), key=lambda i: -lengths[i])):
        fitting = [r for r in range(len(rows)) if left[r] >= lengths[item]]
        if fitting:
            row = min(fitting, key=lambda r: (left[r], -changed[r]))
        else:
            row = len(rows)
            rows.append([])
            left.append(capacity)
            changed.append(0)
        rows[row].append(item)
        left[row] -= lengths[item]
        changed[row] = step
    return rows


def greedy_rows(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Items (by number) of each row: an item goes behind the one before it, or into a new row."""
    rows: list[list[int]] = []
    for item, length in enumerate(lengths):
        if rows and sum(lengths[other] for other in rows[-1]) + length <= capacity:
            rows[-1].append(item)
        else:
            rows.append([item])
    return rows


def documents_of(shards: Sequence[Shard]) -> dict[tuple[str, int], list[int]]:
    """Tokens of every (document, epoch), put together from pieces; they must fit without gap or overlap."""
    parts: dict[tuple[str, int], list[tuple[int, list[int]]]] = {}
    for shard in shards:
        for row in range(shard.rows):
            tokens = shard.tokens(row).tolist()
            for piece in shard.pieces(row):
                stretch = tokens[piece.start : piece.start + piece.length]
                parts.setdefault((piece.document, piece.epoch), []).append((piece.offset, stretch))
    whole: dict[tuple[str, int], list[int]] = {}
    for name, stretches in parts.items():
        whole[name] = []
        for offset, stretch in sorted(stretches):
            assert offset == len(whole[name]), f"{name}: a gap or overlap at {offset}"
            whole[name].extend(stretch)
    return whole
