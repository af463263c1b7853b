"""Schedules against the rule of the report and its table, and on a machine where every send blocks."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import pytest

from corpusmill.training_hooks.distributed.wires import MOST_SENDS, RECEIVES_AHEAD
from corpusmill.training_hooks.schedules.actions import (
    Action,
    Backward,
    Forward,
    Overlapped,
    Pass,
    Place,
    Schedule,
)
from corpusmill.training_hooks.schedules.blocking import Receive, Send, programs, run_blocking
from corpusmill.training_hooks.schedules.dualpipe import dualpipe, dualpipev
from corpusmill.training_hooks.schedules.methods import METHODS, stated
from corpusmill.training_hooks.schedules.one_way import one_f_one_b, zb1p
from corpusmill.training_hooks.schedules.simulate import (
    UNIT,
    DeadlockError,
    Times,
    parameter_copies,
    peak_activations,
    simulate,
)
from tests.oracles.stream_machine import apart, of_a_pair, stuck

# The rule of the report's figure, a line a step: a pattern, and how often it is repeated for R ranks,
# distance h from the nearer end and n chunks a direction.
RULE = (
    ("F0", lambda R, h, n: 2 * (R // 2 - h - 1)),
    ("F0 F1", lambda R, h, n: h + 1),
    ("I1 W1 F1", lambda R, h, n: R // 2 - h - 1),
    ("F0&B1 F1&B0", lambda R, h, n: n - R + h + 1),
    ("B1 F1&B0", lambda R, h, n: R // 2 - h - 1),
    ("B1 B0", lambda R, h, n: h + 1),
    ("W I0", lambda R, h, n: R // 2 - h - 1),
    ("W", lambda R, h, n: h + 1),
)


def by_rule(R: int, n: int, rank: int) -> list[str]:
    """The kinds of a rank's passes with their directions, written from the rule."""
    h = min(rank, R - 1 - rank)
    steps = [" ".join([pattern] * times(R, h, n)).split() for pattern, times in RULE]
    if h == R // 2 - 1:  # in the middle: the first pair is not overlapped
        steps[3][0:1] = ["F0", "B1"]
    ends = steps[5]
    ends[len(ends) // 2 :] = [one.replace("B", "I") for one in ends[len(ends) // 2 :]]
    waiting, said = [one[1] for one in ends if one[0] == "I"], []
    for one in (one for step in steps for one in step):
        if one == "W":
            one = f"W{waiting.pop(0)}"
        elif len(said) > sum(map(len, steps[:6])) and one[0] == "I":
            waiting.append(one[1])
        said.append(one)
    if rank >= R // 2:
        said = [one.translate(str.maketrans("01", "10")) for one in said]
    return said


def passes(actions: tuple[Action, ...]) -> Iterator[Pass]:
    for action in actions:
        yield from (action.forward, action.backward) if isinstance(action, Overlapped) else (action,)


def of_all_kinds() -> Iterator[Schedule]:
    """Every DualPipe of up to 16 ranks and 64 chunks that there is, and others of some numbers of chunks."""
    for ranks in range(2, 17, 2):
        for chunks in range(2 * ranks, 65, 2):
            yield dualpipe(ranks, chunks)
        for chunks in (2 * ranks, 2 * ranks + 1, 3 * ranks):
            yield dualpipev(ranks, chunks)
        for chunks in (1, ranks - 1, ranks, 20):
            yield one_f_one_b(ranks, chunks)
            yield zb1p(ranks, chunks)


def spelt(schedule: Schedule, rank: int) -> str:
    return " ".join(map(str, schedule.actions[rank]))


def test_dualpipe_of_few_ranks_spelt_out() -> None:
    two, four = dualpipe(2, 4), dualpipe(4, 8)
    assert spelt(two, 0) == "F0.0 F1.2 F0.1 B1.2 F1.3&B0.0 B1.3 I0.1 W0.1"
    assert spelt(two, 1) == "F1.2 F0.0 F1.3 B0.0 F0.1&B1.2 B0.1 I1.3 W1.3"
    assert spelt(four, 0) == (
        "F0.0 F0.1 F0.2 F1.4 I1.4 W1.4 F1.5 F0.3&B1.5 F1.6&B0.0 B1.6 F1.7&B0.1 B1.7 I0.2 W0.2 I0.3 W0.3"
    )
    assert spelt(four, 1) == (
        "F0.0 F1.4 F0.1 F1.5 F0.2 B1.4 F1.6&B0.0 F0.3&B1.5 F1.7&B0.1 B1.6 B0.2 I1.7 I0.3 W1.7 W0.3"
    )


@pytest.mark.parametrize("ranks", [2, 4, 8, 16])
@pytest.mark.parametrize("more", [0, 1, 2, 10])
def test_dualpipe_follows_the_rule(ranks: int, more: int) -> None:
    n = ranks + more
    schedule = dualpipe(ranks, 2 * n)
    for rank in range(ranks):
        said = [
            "&".join(part.split(".")[0] for part in str(one).split("&")) for one in schedule.actions[rank]
        ]
        assert said == by_rule(ranks, n, rank)


@pytest.mark.parametrize(("ranks", "chunks"), [(1, 2), (2, 4), (3, 9), (4, 20)])
def test_dualpipev_is_half_of_a_dualpipe(ranks: int, chunks: int) -> None:
    whole, half = dualpipe(2 * ranks, 2 * chunks), dualpipev(ranks, chunks)
    for rank in range(ranks):
        renamed = [
            "&".join(f"{part[:3]}{int(part[3:]) % chunks}" for part in str(one).split("&"))
            for one in whole.actions[rank]
        ]
        assert list(map(str, half.actions[rank])) == renamed


def test_schedules_of_one_direction_spelt_out() -> None:
    assert spelt(one_f_one_b(3, 4), 0) == "F0.0 F0.1 F0.2 B0.0 F0.3 B0.1 B0.2 B0.3"
    assert spelt(one_f_one_b(3, 4), 2) == "F0.0 B0.0 F0.1 B0.1 F0.2 B0.2 F0.3 B0.3"
    assert spelt(zb1p(3, 4), 0) == "F0.0 F0.1 F0.2 I0.0 W0.0 F0.3 I0.1 W0.1 I0.2 W0.2 I0.3 W0.3"
    assert spelt(zb1p(3, 4), 2) == "F0.0 I0.0 F0.1 I0.1 F0.2 I0.2 W0.0 F0.3 I0.3 W0.1 W0.2 W0.3"


def test_every_chunk_passes_every_stage_once_and_nothing_deadlocks() -> None:
    """Each part once a stage, in an order in which all inputs are there, with sends that block, and with
    messages that wait for one another in their channels; activations stay within the report's bound."""
    seen = 0
    for schedule in of_all_kinds():
        done: list[tuple[str, int, int]] = []
        for rank, actions in enumerate(schedule.actions):
            stages = {d: schedule.stage_of.get(Place(rank, d), -1) for d in schedule.directions}
            for one in passes(actions):
                stage = stages[one.direction]
                assert schedule.route(one.chunk)[stage] == (rank, one.direction)
                done += [
                    (part, stage, one.chunk) for part in ("IW" if isinstance(one, Backward) else one.SYMBOL)
                ]
        assert len(done) == len(set(done)) == 3 * schedule.stages * schedule.chunks, schedule.name
        made = programs(schedule)
        run_blocking(schedule, made, lambda _, action: UNIT.of(action))
        for ahead in (0, RECEIVES_AHEAD):  # on a GPU and on processors
            assert not stuck(schedule, made, apart, ahead=ahead, most=MOST_SENDS), schedule.name
        bound = stated(schedule.name, schedule.ranks, UNIT).activations
        assert max(peak_activations(schedule)) <= bound
        seen += schedule.name == "dualpipe"
    assert seen == sum(33 - ranks for ranks in range(2, 17, 2))


@pytest.mark.parametrize("method", METHODS)
def test_messages_between_two_ranks_come_in_one_order(method: str) -> None:
    schedule = METHODS[method](6, 18)
    made = programs(schedule)
    for rank, program in enumerate(made):
        assert tuple(one for one in program if not isinstance(one, Send | Receive)) == schedule.actions[rank]
        for peer in range(schedule.ranks):
            sent = [one.result for one in program if isinstance(one, Send) and one.peer == peer]
            got = [one.result for one in made[peer] if isinstance(one, Receive) and one.peer == rank]
            assert sent == got
            assert not sent or abs(peer - rank) == 1


@pytest.mark.parametrize("method", METHODS)
def test_channels_of_one_direction_are_what_keeps_receives_ahead_from_deadlocks(method: str) -> None:
    """Where both directions share a stream, as in one communicator, a receive that waits holds up the send
    behind it. The order of the program alone has no such receive."""
    schedule = METHODS[method](4, 10)
    made = programs(schedule)
    assert stuck(schedule, made, of_a_pair, ahead=RECEIVES_AHEAD, most=MOST_SENDS)
    assert not stuck(schedule, made, of_a_pair, ahead=0, most=MOST_SENDS)
    first = [at for at, one in enumerate(made[1]) if isinstance(one, Receive) and one.peer == 0][:2]
    swapped = list(made[1])
    swapped[first[0]], swapped[first[1]] = swapped[first[1]], swapped[first[0]]
    with pytest.raises(ValueError, match="is at the activation of chunk"):
        stuck(schedule, (made[0], tuple(swapped), *made[2:]), apart, ahead=0, most=MOST_SENDS)


def test_deadlocks_are_found() -> None:
    """Sends right after what makes their results, receives right before what needs them: two ranks that feed
    one another stand face to face."""
    schedule = dualpipe(2, 4)
    naive: list[list[Action | Send | Receive]] = []
    for rank, actions in enumerate(schedule.actions):
        program: list[Action | Send | Receive] = []
        for action in actions:
            for need in schedule.needs(rank, action):
                if (maker := schedule.maker(need)) != rank:
                    program.append(Receive(maker, need))
            program.append(action)
            for result in schedule.made(rank, action):
                if (user := schedule.user(result)) not in (None, rank):
                    program.append(Send(user, result))
        naive.append(program)
    with pytest.raises(
        DeadlockError, match="rank 0 would send the activation of chunk 0 from stage 0 to rank 1"
    ):
        run_blocking(schedule, tuple(map(tuple, naive)), lambda _, action: UNIT.of(action))


def test_a_schedule_without_an_end_is_refused() -> None:
    whole = one_f_one_b(2, 2)
    stuck = Schedule("stuck", 2, whole.routes, (whole.actions[0][::-1], whole.actions[1]))
    with pytest.raises(DeadlockError, match="rank 0 for the activation of chunk 1 from stage 0"):
        simulate(stuck, lambda _, action: UNIT.of(action))
    made = programs(whole)
    with pytest.raises(ValueError, match=r"rank 1: F0.0 comes before the activation of chunk 0 from stage 0"):
        run_blocking(whole, (made[0], made[1][1:]), lambda _, action: UNIT.of(action))


# A weight gradient takes no longer than a forward pass in all of them, nor the rest of backward in the first.
QUICK = [
    UNIT,
    Times(forward=1, backward=2, weight=1, overlapped=2.5),
    Times(forward=2, backward=3, weight=1, overlapped=4),
]
SLOW = [
    Times(forward=1, backward=2.5, weight=1, overlapped=3),
    Times(forward=3, backward=7, weight=2.5, overlapped=8),
    Times(forward=1, backward=3, weight=0.5, overlapped=4),
]


def bubbles(schedule: Schedule, times: Times) -> list[float]:
    timeline = simulate(schedule, lambda _, action: times.of(action))
    return [timeline.bubble(rank) for rank in range(schedule.ranks)]


def side_by_side(schedule: Schedule) -> Schedule:
    """With the first pair of the ranks in the middle overlapped like the others."""
    made = []
    for actions in schedule.actions:
        for at, (one, two) in enumerate(itertools.pairwise(actions)):
            if isinstance(one, Forward) and isinstance(two, Backward):
                actions = (*actions[:at], Overlapped(one, two), *actions[at + 2 :])
                break
        made.append(actions)
    return dataclasses.replace(schedule, actions=tuple(made))


@pytest.mark.parametrize("method", METHODS)
def test_simulated_costs_are_those_of_the_table(method: str) -> None:
    """The bubble of the rank that waits most; where overlapping gains nothing all ranks wait as long."""
    for times in QUICK:
        for ranks in (2, 4, 8, 16):
            for chunks in (2 * ranks, 2 * ranks + 6):
                schedule, row = METHODS[method](ranks, chunks), stated(method, ranks, times)
                found = bubbles(schedule, times)
                assert max(found) == pytest.approx(row.bubble), (ranks, chunks, times)
                if method in ("1f1b", "zb1p") or times.overlapped == times.forward + times.backward:
                    assert min(found) == pytest.approx(row.bubble)
                assert max(peak_activations(schedule)) == row.activations
                assert parameter_copies(schedule) == row.parameters


@pytest.mark.parametrize("times", SLOW, ids=str)
def test_where_backward_is_slow_the_middle_ranks_wait_less_than_the_table_says(times: Times) -> None:
    """The gradient of the input takes longer than a forward pass. The formula is that of a DualPipe which
    overlaps the first pair in the middle too; the released order does not, and is better."""
    for ranks in (4, 8, 16):
        for method in ("1f1b", "zb1p"):
            found = bubbles(METHODS[method](ranks, 2 * ranks), times)
            assert found == pytest.approx([stated(method, ranks, times).bubble] * ranks)
        schedule, row = dualpipe(ranks, 2 * ranks), stated("dualpipe", ranks, times)
        assert max(bubbles(side_by_side(schedule), times)) == pytest.approx(row.bubble)
        assert max(bubbles(schedule, times)) < row.bubble


def test_times_without_meaning_are_refused() -> None:
    for wrong in ((0, 2, 1, 3), (1, 2, 2, 3), (1, 2, 0, 3), (1, 2, 1, 1.5), (1, float("inf"), 1, 3)):
        with pytest.raises(ValueError, match=r"must be a positive number|takes less|side by side"):
            Times(*wrong)
    for make, ranks, chunks in ((dualpipe, 3, 8), (dualpipe, 4, 6), (dualpipe, 4, 9), (dualpipev, 4, 7)):
        with pytest.raises(ValueError, match="needs"):
            make(ranks, chunks)
    with pytest.raises(ValueError, match="at least one"):
        zb1p(2, 0)
