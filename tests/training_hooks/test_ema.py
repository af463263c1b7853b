"""The average of the weights: the closed form, whatever the thread's pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from corpusmill.training_hooks.trainer import ema as module
from corpusmill.training_hooks.trainer.ema import Ema


class Small(nn.Module):
    counts: Tensor
    scratch: Tensor

    def __init__(self) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(13, 7, generator=draws))
        self.low = nn.Parameter(torch.randn(5, generator=draws).to(torch.bfloat16))
        self.register_buffer("counts", torch.zeros(3, dtype=torch.int64))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)


def move(model: Small, step: int) -> None:
    draws = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=draws).to(p.dtype))
        model.counts += step


@settings(deadline=None, max_examples=25)
@given(decay=st.floats(0, 0.9999), steps=st.integers(0, 12))
def test_is_the_closed_form(decay: float, steps: int) -> None:
    """decay^n w_0 + (1 - decay) * sum over i of decay^(n - i) w_i, in FP64."""
    model = Small()
    expected = {name: decay**steps * p.detach().double() for name, p in model.named_parameters()}
    with Ema(model, decay) as ema:
        for step in range(1, steps + 1):
            move(model, step)
            ema.update()
            for name, p in model.named_parameters():
                expected[name] += (1 - decay) * decay ** (steps - step) * p.detach().double()
        got = ema.state()
        assert ema.updates == steps
    assert got.keys() == {"weight", "low", "counts"}
    for name, value in expected.items():
        assert got[name].dtype == torch.float32
        torch.testing.assert_close(got[name].double(), value, rtol=1e-5, atol=1e-5)
    assert torch.equal(got["counts"], model.counts)


class Slow(Ema):
    """Whose thread waits in the middle of its arithmetic until it may go on."""

    gate = threading.Event()

    def _average(self, copies: Mapping[str, Tensor]) -> None:
        self.gate.wait()
        super()._average(copies)


def test_update_does_not_wait_and_what_it_saw_is_what_counts() -> None:
    """The thread is held back while the weights go on changing: the average is still of the old ones."""
    results = []
    for kind in (Ema, Slow):
        model = Small()
        Slow.gate.clear()
        with kind(model, 0.5) as ema:
            for step in (1, 2):
                move(model, step)
                ema.update()
            move(model, 99)
            Slow.gate.set()
            results.append(ema.state())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_a_third_update_waits_for_the_first() -> None:
    model = Small()
    Slow.gate.clear()
    with Slow(model, 0.5) as ema:
        ema.update()
        ema.update()
        third = threading.Thread(target=ema.update)
        third.start()
        time.sleep(0.05)
        assert third.is_alive()
        Slow.gate.set()
        third.join()
        assert ema.updates == 3


def test_reads_are_never_torn() -> None:
    """All weights are equal whenever they are counted in; so are all averages whenever they are read, also
    after an update whose weights are overwritten at once."""
    model = nn.Linear(300, 300, bias=False)
    nn.init.constant_(model.weight, 0.0)
    with Ema(model, 0.9) as ema:
        for step in range(40):
            nn.init.constant_(model.weight, float(step))
            ema.update()
            nn.init.constant_(model.weight, -1e9)
            if step % 3 == 0:
                average = ema.state()["weight"]
                assert float(average.min()) == float(average.max())
                assert 0 <= float(average.max()) < 40


def test_state_is_a_copy_and_loads_again() -> None:
    whole, parts = Small(), Small()
    with Ema(whole, 0.8) as ema:
        for step in range(1, 7):
            move(whole, step)
            ema.update()
        expected = ema.state()
    with Ema(parts, 0.8) as ema:
        for step in range(1, 4):
            move(parts, step)
            ema.update()
        middle, number = ema.state(), ema.updates
        ema.update()
    with Ema(parts, 0.8) as ema:
        ema.load(middle, number)
        for step in range(4, 7):
            move(parts, step)
            ema.update()
        got = ema.state()
        assert ema.updates == 6
    assert all(torch.equal(got[name], expected[name]) for name in expected)


class Queued:
    """The copies of an update as a GPU makes them: done when somebody waits for them."""

    def __init__(self, ema: Ema, model: nn.Module) -> None:
        self.ema, self.now = ema, {name: t.detach().clone() for name, t in model.state_dict().items()}
        self.copies = ema._copies[ema.updates % len(ema._copies)]
        for copy in self.copies.values():
            copy.fill_(99)

    def synchronize(self) -> None:
        for name, copy in self.copies.items():
            copy.copy_(self.now[name])


def test_the_thread_waits_for_copies_that_are_only_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for queued in (False, True):
        model = Small()
        with Ema(model, 0.5) as ema:
            if queued:
                monkeypatch.setattr(module, "copied", lambda _, e=ema, m=model: Queued(e, m))
            for step in (1, 2, 3):
                move(model, step)
                ema.update()
            results.append(ema.state())
    assert results[0]["counts"].tolist() == [6, 6, 6]
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_what_is_not_of_the_model_is_refused() -> None:
    with Ema(Small(), 0.5) as ema, pytest.raises(ValueError, match="not of this model"):
        ema.load({"weight": torch.zeros(2)}, 1)
    with pytest.raises(ValueError, match="decay"):
        Ema(Small(), 1.0)


class Failing(Ema):
    def _average(self, copies: Mapping[str, Tensor]) -> None:
        raise FloatingPointError("planted")


def test_an_error_in_the_thread_is_raised_and_stays() -> None:
    ema = Failing(Small(), 0.5)
    ema.update()
    for _ in range(2):
        with pytest.raises(FloatingPointError, match="planted"):
            ema.state()
    with pytest.raises(FloatingPointError, match="planted"):
        ema.close()


def test_closed_means_closed() -> None:
    ema = Ema(Small(), 0.5)
    ema.update()
    ema.close()
    ema.close()
    with pytest.raises(RuntimeError):
        ema.update()
    assert ema.updates == 1
