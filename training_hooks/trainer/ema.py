"""An exponential moving average of the weights, kept in CPU memory and updated by a thread (section 3.2.3).

    average = decay * average + (1 - decay) * weights        once a step, starting at the weights

`update` copies the weights aside, as the next step will change them, and a thread does the arithmetic
meanwhile. Weights on a GPU go to pinned memory: their copies are queued on the GPU's stream behind the step
before and ahead of the next, and the thread waits for them, `update` does not. Two sets of copies take turns:
a third update waits for the first to be done. The average depends on the sequence of updates alone, not on
when the thread ran, so it repeats bit for bit.

Memory: three FP32 copies of the weights in CPU memory, none on a GPU.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

F32 = npt.NDArray[np.float32]
SETS = 2


class Ema:
    """The average of `model`'s parameters; buffers are taken as they were at the last update.

    `updates`: how many times `update` was called. Use it as a context manager, or `close` it. An error in
    the thread is raised by every later call that waits for it, `state` and `close` among them. `names`: the
    parameters and buffers to average, where not all.
    Raises ValueError for a decay outside [0, 1). Call it from one thread.
    """

    def __init__(self, model: nn.Module, decay: float, names: Container[str] | None = None) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}")
        self.decay, self.updates = decay, 0
        parameters = dict(model.named_parameters())
        persistent = model.state_dict().keys() - parameters.keys()
        self._parameters = {n: p for n, p in parameters.items() if names is None or n in names}
        self._model_buffers = {
            n: b for n, b in model.named_buffers() if n in persistent and (names is None or n in names)
        }
        self._buffers = {name: b.detach().to("cpu", copy=True) for name, b in self._model_buffers.items()}
        self._averages = {
            name: p.detach().to("cpu", torch.float32, copy=True).contiguous()
            for name, p in self._parameters.items()
        }
        self._copies = [
            {
                name: torch.empty_like(t, pin_memory=self._of_model(name).is_cuda)
                for name, t in {**self._averages, **self._buffers}.items()
            }
            for _ in range(SETS)
        ]
        self._pending: deque[Future[None]] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ema")

    @torch.no_grad()
    def update(self) -> None:
        """Count the present weights in. Returns once they are copied aside, or their copies are queued on the
        current stream of a GPU."""
        if len(self._pending) == SETS:
            self._wait_for_oldest()
        copies = self._copies[self.updates % SETS]
        for name, copy in copies.items():
            copy.copy_(self._of_model(name), non_blocking=True)
        self._pending.append(self._thread.submit(self._count_in, copies, copied(self._parameters)))
        self.updates += 1

    def state(self) -> dict[str, Tensor]:
        """After all updates so far, averages FP32 and persistent buffers by name: copies, on the CPU."""
        self._join()
        return {name: t.clone() for name, t in {**self._averages, **self._buffers}.items()}

    def load(self, state: Mapping[str, Tensor], updates: int) -> None:
        """Go on from what `state` returned. Raises ValueError unless names and shapes are the model's."""
        self._join()
        mine = {**self._averages, **self._buffers}
        if {name: t.shape for name, t in state.items()} != {name: t.shape for name, t in mine.items()}:
            raise ValueError("the average to load is not of this model: names or shapes differ")
        for name, tensor in mine.items():
            tensor.copy_(state[name])
        self.updates = updates

    def close(self) -> None:
        """Finish the updates so far and end the thread; may be called twice."""
        self._thread.shutdown(wait=True)
        self._join()

    def __enter__(self) -> Ema:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _join(self) -> None:
        while self._pending:
            self._wait_for_oldest()

    def _wait_for_oldest(self) -> None:
        # Taken from the line only once it has succeeded: after an error every later call raises it again.
        self._pending[0].result()
        self._pending.popleft()

    def _of_model(self, name: str) -> Tensor:
        return self._parameters[name] if name in self._parameters else self._model_buffers[name]

    def _count_in(self, copies: Mapping[str, Tensor], done: torch.cuda.Event | None) -> None:
        if done is not None:
            done.synchronize()
        self._average(copies)
        for name, buffer in self._buffers.items():
            buffer.copy_(copies[name])

    def _average(self, copies: Mapping[str, Tensor]) -> None:
        # Through numpy: one thread, so that the average does not compete with the step's own threads.
        share = np.float32(1 - self.decay)
        for name, tensor in self._averages.items():
            average: F32 = tensor.numpy()
            difference: F32 = copies[name].numpy()
            np.subtract(difference, average, out=difference)
            np.multiply(difference, share, out=difference)
            np.add(average, difference, out=average)


def copied(parameters: Mapping[str, Tensor]) -> torch.cuda.Event | None:
    """What happens on a GPU's stream once the copies queued so far are done; None where all is on the CPU and
    they are done already."""
    on_gpu = [p.device for p in parameters.values() if p.is_cuda]
    if not on_gpu:
        return None
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(on_gpu[0]))
    return event
