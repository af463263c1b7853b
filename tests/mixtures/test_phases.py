"""Phases: each exact to the token, and copies of a cell that go on from one to the next."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.mixtures.draw import Draw
from corpusmill.mixtures.mixture import Mixture
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.stage import Context
from tests.mixtures.test_groups import corpus
from tests.mixtures.test_mixture import addressed, apart, planned
from tests.mixtures.test_mixture_views import in_more_views


def emitted(docs: Documents, folder: Path, views: list[list[int]], shard_tokens: int = 2**25) -> pa.Table:
    stage = Draw(views=views, shard_tokens=shard_tokens).prepare(Context(artefacts={"mixture": folder}))
    parts = [
        stage.emit(part.drop("_unit", "_row"), unit, np.arange(len(part), dtype=np.uint32)).rows
        for unit, part in enumerate(addressed(apart(docs, 1, 0.0)))
    ]
    return pa.concat_tables(parts)


phases = st.lists(
    st.fixed_dictionaries(
        {
            "tokens": st.integers(1, 4_000),
            "group": st.sampled_from(
                [
                    {"weights": {"web": 1.0, "code": 0.0, "math": 0.0}},
                    {"weights": {"web": 0.3, "code": 0.4, "math": 0.3}},
                    {"by": "lang", "policy": "unimax"},
                    {"only": {"source": ["code", "math"]}},
                    {},
                ]
            ),
        }
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    phases,
    st.integers(4, 90),
    st.sampled_from([1.0, 1.5, 50.0]),
    st.sampled_from([[[0]], [[0], [1], [0, 2], [1, 2]], [[2, 1, 0]]]),
    st.integers(0, 9),
)
def test_phases_are_exact_and_copies_go_on(
    tmp_path: Path,
    asked: list[dict[str, Any]],
    count: int,
    max_epochs: float,
    views: list[list[int]],
    seed: int,
) -> None:
    """Whatever phases ask for, and in whatever views: each draws what its plan says; the parts of a copy are
    in one view and follow one another without gap or overlap, and no document of a cell comes again before
    all others have."""
    docs = in_more_views(corpus(count, seed), seed)
    options = [{"name": f"p{at}", "tokens": one["tokens"], **one["group"]} for at, one in enumerate(asked)]
    plan = planned(docs, tmp_path, phases=options, max_epochs=max_epochs, views=views)
    rows = emitted(docs, tmp_path, views)
    lengths = np.diff(rows.column("tokens").combine_chunks().offsets.to_numpy())
    start, stop, phase = (rows.column(name).to_numpy() for name in ("cut_from", "cut_to", "phase"))
    stop = np.where(stop < 0, lengths, stop)
    taken = stop - start
    assert (taken[lengths > 0] > 0).all()
    for number, one in enumerate(plan["phases"]):
        assert taken[phase == number].sum() == one["tokens"]
        assert (phase == number).sum() == one["documents"]
        leaves = [group for group in one["groups"] if not group["divided"]]
        assert sum(group["requested_tokens"] for group in leaves) == options[number]["tokens"]
        for group in leaves:
            assert group["tokens"] == group["requested_tokens"] or group["cause"]
    parts: dict[tuple[str, int], list[tuple[int, int, int, int]]] = defaultdict(list)
    ids, epochs = rows.column("id").to_pylist(), rows.column("epoch").to_pylist()
    for at, key in enumerate(zip(ids, epochs, strict=True)):
        parts[key].append((int(phase[at]), int(start[at]), int(stop[at]), int(lengths[at])))
    cut = 0
    for some in parts.values():
        some.sort()
        assert some[0][1] == 0
        assert all(one[2] == other[1] for one, other in pairwise(some))
        assert len({length for *_, length in some}) == 1
        cut += some[-1][2] < some[-1][3]
    assert cut <= len(plan["cells"])
    cells: dict[Any, list[str]] = defaultdict(list)
    columns = [docs.column(name).to_pylist() for name in plan["columns"]]
    for name, *values in zip(docs.column("id").to_pylist(), *columns, strict=True):
        cells[tuple(values)].append(name)
    for members in cells.values():
        copies = [sum((name, epoch) in parts for epoch in range(99)) for name in members]
        assert max(copies) - min(copies) <= 1
        assert max(copies) <= np.ceil(max_epochs)
    assert plan["documents"] == len(parts)
    drawn = Counter(rows.column("source").to_pylist()[at] for at in np.flatnonzero(start == 0).tolist())
    assert {name: one["documents"] for name, one in plan["sources"].items() if one["documents"]} == drawn


def test_a_phase_without_groups_has_those_of_the_mixture_however_it_is_stored(tmp_path: Path) -> None:
    options = {"weights": {"web": 0.5, "code": 0.5, "math": 0.0}, "max_epochs": 50}
    phases = [{"name": "a", "tokens": 1_000}, {"name": "b", "tokens": 1_000, "policy": "proportional"}]
    stage = Mixture(**options, phases=phases)
    stored = Mixture.model_validate_json(stage.model_dump_json())
    for one in (stage, stored):
        first, second = one.schedule()
        assert first.group.weights == options["weights"]
        assert second.group.way == "proportional"


def test_copies_of_a_phase_lie_in_partitions_of_their_own(tmp_path: Path) -> None:
    docs = corpus(600)
    options = [{"name": "a", "tokens": 7_000}, {"name": "b", "tokens": 3_000}]
    planned(docs, tmp_path, phases=options)
    rows = emitted(docs, tmp_path, [[0]], shard_tokens=1_000)
    stage = Draw(shard_tokens=1_000)
    assert stage.partitions(Context(artefacts={"mixture": tmp_path})) == 10
    partition = np.array([int(key) * 10 >> 64 for key in rows.column("key").to_pylist()])
    phase = rows.column("phase").to_numpy()
    assert sorted(set(partition[phase == 0].tolist())) == list(range(7))
    assert sorted(set(partition[phase == 1].tolist())) == [7, 8, 9]


def test_shares_of_phases_add_up_and_one_takes_the_rest(tmp_path: Path) -> None:
    docs = corpus(600)
    options = [{"name": "a", "tokens": 0.9}, {"name": "b"}]
    plan = planned(docs, tmp_path, phases=options, tokens=7_777)
    assert [one["tokens"] for one in plan["phases"]] == [6_999, 778]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": 9, "phases": [{"name": "a"}, {"name": "b"}]}, "phase b: only one phase may leave out"),
        ({"tokens": 9, "phases": [{"name": "a", "tokens": 8}]}, "phase a: the phases take 0.8888.* not 1"),
        ({"phases": [{"name": "a", "tokens": 0.5}, {"name": "b", "tokens": 0.4}]}, "take 0.9 of all"),
        ({"phases": [{"name": "a", "tokens": 5}, {"name": "a", "tokens": 5}]}, "names of their own"),
        ({"phases": [{"name": "a", "tokens": 1.5}]}, "share below 1, or a whole number"),
        ({"tokens": 5, "phases": [{"name": "a", "tokens": 5}, {"name": "b"}]}, "nothing is left for it"),
    ],
)
def test_phases_that_do_not_fit_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Mixture(**options)
