from __future__ import annotations

import tracemalloc
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.training_hooks.loading.permutation import Permutation
from corpusmill.training_hooks.loading.stream import PhaseWindows, Stream

PHASES = st.lists(st.tuples(st.integers(1, 12), st.sampled_from([4, 8])), min_size=1, max_size=4)


def made(phases: list[tuple[int, int]], epochs: int | None = None) -> Stream:
    facts = [PhaseWindows(i, f"phase {i}", windows, context) for i, (windows, context) in enumerate(phases)]
    return Stream(facts, 3, epochs=epochs)


def windows_of(stream: Stream, start: int, count: int) -> list[tuple[int, int]]:
    """Phase and window of samples, from their runs."""
    found = []
    for run in stream.runs(start, count):
        facts = stream.phases[run.phase]
        order = {
            epoch: Permutation(facts.windows, 3, f"order of epoch {epoch} of phase {facts.number}")
            for epoch in range(6)
        }
        epoch = next(e for e in order if (order[e].keys == run.keys).all())
        places = range(run.first, run.first + run.samples)
        found += [(run.phase, int(order[epoch](place))) for place in places]
    return found


@settings(deadline=None, max_examples=40)
@given(phases=PHASES, cut=st.integers(1, 9))
def test_an_epoch_is_every_window_of_every_phase_in_turn(phases: list[tuple[int, int]], cut: int) -> None:
    stream = made(phases)
    every = Counter((phase, window) for phase, (n, _) in enumerate(phases) for window in range(n))
    epochs = [windows_of(stream, epoch * stream.windows, stream.windows) for epoch in range(2)]
    for epoch in epochs:
        assert Counter(epoch) == every
        assert [phase for phase, _ in epoch] == sorted(phase for phase, _ in epoch)
    pieces = [
        window
        for start in range(0, 2 * stream.windows, cut)
        for window in windows_of(stream, start, min(cut, 2 * stream.windows - start))
    ]
    assert pieces == epochs[0] + epochs[1]


@settings(deadline=None, max_examples=200)
@given(phases=PHASES, rows=st.integers(1, 30), start=st.integers(0, 60), epochs=st.none() | st.just(2))
def test_a_batch_ends_with_its_length_and_with_the_stream(
    phases: list[tuple[int, int]], rows: int, start: int, epochs: int | None
) -> None:
    stream = made(phases, epochs)
    if stream.end is not None and start >= stream.end:
        assert stream.batch_end(start, rows) == min(start, stream.end) or start > stream.end
        return
    contexts = [context for windows, context in phases for _ in range(windows)]
    expected = start + 1
    while (
        expected < start + rows
        and (stream.end is None or expected < stream.end)
        and contexts[expected % len(contexts)] == contexts[start % len(contexts)]
    ):
        expected += 1
    assert stream.batch_end(start, rows) == expected
    assert stream.phases[stream.phase_at(start)].context == contexts[start % len(contexts)]


def test_a_stream_of_10_to_the_12_windows_takes_no_more_memory() -> None:
    peaks = []
    for windows in (10, 10**12):
        tracemalloc.start()
        stream = made([(windows, 4), (windows, 8)])
        for start in (0, windows - 1, 2 * windows * 7 + 3):
            (run, *_) = stream.runs(start, 2)
            assert run.n == windows
        assert stream.batch_end(windows - 3, 64) == windows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 4000


def test_a_stream_that_ends_has_no_samples_beyond() -> None:
    stream = made([(5, 4)], epochs=2)
    assert sum(run.samples for run in stream.runs(0, 10)) == 10
    for start, count in ((9, 2), (-1, 1)):
        with pytest.raises(ValueError, match=r"0\.\.10"):
            stream.runs(start, count)
