"""The last round of MinHash where the rows of a bucket are more than should be in memory.

Of a bucket the best `max_bucket` + 2 documents are known, with their sets, and its leaders (`bucket_pairs`):
a document meets no others. Leaders are found in the order of survival, in as many looks at all rows as that
takes: documents that are like a leader so far are none, and of the others the best `PENDING` are decided
after a look. Where documents are unlike one another the best ones are all leaders, and one look is enough. Of
copies the best document of their set is known, by its facts.

Memory: a window, and the sets of at most 2 `max_bucket` + `PENDING` documents of each crowded bucket.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.dedup.kernels.similarity import find_leaders
from corpusmill.dedup.matching.buckets import best_twins, pairs_of_copies, pairs_of_sets, places_of, with_sets
from corpusmill.dedup.matching.rules import Rules
from corpusmill.pipelines.contract.documents import contiguous
from corpusmill.pipelines.contract.survivors import FACTS, Index, ranks
from corpusmill.pipelines.contract.taken_rows import taken

PENDING = 256
KNOWN, LEADER, OPEN, TWIN = range(4)  # roles of rows that are known
_Flags = npt.NDArray[np.bool_]


def learn(known: pa.Table | None, rows: pa.Table, rules: Rules) -> pa.Table:
    """What is known of rows of the last round: theirs, with `role`; `more`, whether their key has others that
    are not decided after this look; `wants`, whether it did after the look before; and `look`, its number."""
    sets, copies = with_sets(rows, True), with_sets(rows, False)
    look = 1 if known is None else _look(known)
    if known is None or look == 1:
        before, twins = (None, None) if known is None else _apart(known)
        kept = _together(before, _with(sets, OPEN, 1))
        kept = _best(kept, rules, rules.max_bucket + 2)
        copies = _together(twins, _with(copies, TWIN, 1))
        return pa.concat_tables([kept, best_twins(copies, copies, rules)])
    before, twins = _apart(known)
    holders = _with(_without_sets(taken(sets, np.flatnonzero(places_of(twins, sets) >= 0))), TWIN, look)
    both = pa.concat_tables([twins, holders])
    twins = best_twins(both, both, rules)
    return pa.concat_tables([_pending(before, _with(sets, OPEN, look), rules), twins])


def again(known: pa.Table, rules: Rules) -> pa.Table | None:
    """As of `InWindows`: what is known before another look, where leaders or the best of copies are not."""
    before, twins = _apart(known)
    look = _look(known)
    if rules.verify:
        before = _decided(before, rules, rules.max_bucket + 1 if look == 1 else 0)
    wanted = _wanting(before, rules) if rules.verify else np.zeros(0, np.uint64)
    if not len(wanted) and not (look == 1 and len(twins)):
        return None
    both = pa.concat_tables([before, twins])
    wants = np.isin(both.column("key").to_numpy(), wanted)
    columns = {"wants": wants, "more": np.zeros(len(both), bool), "look": np.full(len(both), look + 1)}
    for name, values in columns.items():
        both = both.set_column(both.column_names.index(name), name, pa.array(values))
    return both


def pairs(known: pa.Table, rows: pa.Table, rules: Rules) -> pa.Table:
    """What `find_pairs` gives of some rows among all."""
    before, twins = _apart(known)
    sets, copies = with_sets(rows, True), with_sets(rows, False)
    here = np.isin(before.column("key").to_numpy(), sets.column("key").to_numpy())
    before = taken(before, np.flatnonzero(here))
    others = taken(before, np.flatnonzero(~_among(before, sets))).select(sets.column_names)
    every = pa.concat_tables([others, sets])
    by = np.lexsort([every.column(name).to_numpy() for name in ("row", "unit", "key")])
    return pa.concat_tables(
        [pairs_of_sets(taken(every, by), rules, by >= len(others)), pairs_of_copies(copies, twins, rules)]
    )


def _without_sets(rows: pa.Table) -> pa.Table:
    """Rows with null in place of their sets: very many may be the best of copies."""
    at = rows.column_names.index("shingles")
    field = rows.schema.field(at)
    return rows.set_column(at, field, pa.nulls(len(rows), field.type))


def _with(rows: pa.Table, role: int, look: int) -> pa.Table:
    size = len(rows)
    rows = rows.append_column("role", pa.array(np.full(size, role, np.uint8)))
    for name in ("more", "wants"):
        rows = rows.append_column(name, pa.array(np.zeros(size, bool)))
    return rows.append_column("look", pa.array(np.full(size, look)))


def _apart(known: pa.Table) -> tuple[pa.Table, pa.Table]:
    twin = known.column("role").to_numpy() == TWIN
    return taken(known, np.flatnonzero(~twin)), taken(known, np.flatnonzero(twin))


def _together(one: pa.Table | None, other: pa.Table) -> pa.Table:
    return other if one is None else pa.concat_tables([one, other])


def _sorted(rows: pa.Table, rules: Rules) -> tuple[pa.Table, Index]:
    """Rows by key, the best first, and where each key begins, and the last one ends."""
    key = rows.column("key").to_numpy()
    by = np.lexsort((ranks(rows.select(FACTS), rules.priority), key))
    key = key[by]
    new = np.append(np.full(min(1, len(key)), True), key[1:] != key[:-1])
    return taken(rows, by), np.append(np.flatnonzero(new), len(key))


def _best(rows: pa.Table, rules: Rules, most: int) -> pa.Table:
    """The first `most` open rows of each key, and all others."""
    rows, start = _sorted(rows, rules)
    sizes = np.diff(start)
    is_open = rows.column("role").to_numpy() == OPEN
    nth = np.cumsum(is_open) - is_open
    nth = nth - np.repeat(nth[start[:-1]], sizes)
    out = is_open & (nth >= most)
    more = rows.column("more").to_numpy(zero_copy_only=False) | out
    more = np.repeat(np.logical_or.reduceat(more, start[:-1]), sizes) if len(rows) else more
    rows = rows.set_column(rows.column_names.index("more"), "more", pa.array(more))
    return taken(rows, np.flatnonzero(~out))


def _leaders(rows: pa.Table, start: Index, rules: Rules, meet_all: int, grow: bool) -> _Flags:
    role = rows.column("role").to_numpy()
    lists = contiguous(rows.column("shingles"))
    ends = lists.offsets.to_numpy().astype(np.int64)
    return np.asarray(find_leaders(
        start.astype(np.int64),
        role == LEADER,
        role == OPEN,
        meet_all,
        grow,
        np.stack([ends[:-1], ends[1:]], axis=1),
        lists.values.to_numpy(),
        rules.containment,
        rules.threshold,
        rules.max_bucket,
    ))  # fmt: skip


def _decided(rows: pa.Table, rules: Rules, meet_all: int) -> pa.Table:
    """Open rows as leaders or not. Of pending ones that are none the worst of each key alone stays."""
    rows, start = _sorted(rows, rules)
    found = _leaders(rows, start, rules, meet_all, True)
    role = rows.column("role").to_numpy()
    last = np.zeros(len(rows), bool)
    last[start[1:] - 1] = True
    stays = (role != OPEN) | found | last | (meet_all > 0)
    role = np.where(found, LEADER, np.where(role == OPEN, KNOWN, role)).astype(np.uint8)
    rows = rows.set_column(rows.column_names.index("role"), "role", pa.array(role))
    return taken(rows, np.flatnonzero(stays))


def _wanting(rows: pa.Table, rules: Rules) -> npt.NDArray[np.uint64]:
    """Keys that have others which were not looked at, and fewer leaders than there may be."""
    more = rows.column("more").to_numpy(zero_copy_only=False)
    leader = rows.column("role").to_numpy() == LEADER
    key, of = np.unique(rows.column("key").to_numpy(), return_inverse=True)
    wants = np.bincount(of, more, len(key)) > 0
    return np.asarray(key[wants & (np.bincount(of, leader, len(key)) < rules.max_bucket)])


def _pending(before: pa.Table, sets: pa.Table, rules: Rules) -> pa.Table:
    """`before` with those of some rows that may be leaders: worse than all that were decided, and unlike
    leaders."""
    wants = before.column("wants").to_numpy(zero_copy_only=False)
    wanted = np.unique(before.column("key").to_numpy()[wants])
    new = np.isin(sets.column("key").to_numpy(), wanted) & ~_among(sets, before)
    if not new.any():
        return before
    rows, start = _sorted(pa.concat_tables([before, taken(sets, np.flatnonzero(new))]), rules)
    is_open = rows.column("role").to_numpy() == OPEN
    place, sizes = np.arange(len(rows)), np.diff(start)
    last = np.maximum.reduceat(np.where(is_open, -1, place), start[:-1])
    beyond = place > np.repeat(last, sizes)
    unlike = _leaders(rows, start, rules, 0, False)
    return _best(taken(rows, np.flatnonzero(~is_open | (beyond & unlike))), rules, PENDING)


def _among(rows: pa.Table, others: pa.Table) -> _Flags:
    """Which rows have the key and the address of one of the others, bool[n]."""
    columns = [
        np.concatenate([table.column(name).to_numpy() for table in (others, rows)])
        for name in ("row", "unit", "key")
    ]
    by = np.lexsort((np.arange(len(columns[0])) >= len(others), *columns))
    same = np.logical_and.reduce([values[by][1:] == values[by][:-1] for values in columns])
    found = np.zeros(len(by), bool)
    found[by] = np.append(False, same)[: len(by)]
    return found[len(others) :]


def _look(known: pa.Table) -> int:
    return int(known.column("look")[0].as_py()) if len(known) else 1
