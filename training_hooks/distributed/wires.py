"""Results of passes on their way between pipeline ranks: asynchronous sends, receives posted ahead.

A receive is posted where the program has it, or earlier: up to `ahead` in the order of the program, so that a
message travels while its receiver computes. A send returns at once; the tensor is kept until it has left.
Where `MOST_SENDS` are on their way, the next waits for the oldest. The program runs where every send waits
for its receiver (`schedules.blocking`), so none of this waits for what waits for this rank.

On a GPU nothing is posted ahead: NCCL asks that all ranks launch what they share in one order, which is that
of the programs. The processor that launches is ahead of the GPU anyway. Waiting for a message there makes the
GPU wait, not this process.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import torch.distributed as dist
from torch import Tensor

from corpusmill.training_hooks.distributed.channels import Channels
from corpusmill.training_hooks.schedules.actions import Result
from corpusmill.training_hooks.schedules.blocking import Program, Receive, Send

RECEIVES_AHEAD = 4
MOST_SENDS = 8


class Wires:
    """The messages of one step of one pipeline rank through its `channels`.

    `empty` makes the tensor that a result is received into. Two threads may take results at once.
    """

    def __init__(
        self,
        channels: Channels,
        program: Program,
        empty: Callable[[], Tensor],
        *,
        ahead: int = RECEIVES_AHEAD,
    ) -> None:
        self._channels, self._empty = channels, empty
        self._to_post = deque(one for one in program if isinstance(one, Receive))
        self._posted: dict[Result, tuple[int, dist.Work, Tensor]] = {}
        self._sent: deque[tuple[Send, dist.Work, Tensor]] = deque()
        self._ahead, self._lock = ahead, threading.Lock()
        with self._lock:
            self._post_ahead()

    def send(self, message: Send, tensor: Tensor) -> None:
        """Start to send. Raises ConnectionError where a message before it did not arrive."""
        while len(self._sent) >= MOST_SENDS:
            self._finish_oldest()
        tensor = tensor.contiguous()
        try:
            work = self._channels.send(tensor, message.peer)
        except RuntimeError as error:
            raise _lost(message, error) from error
        self._sent.append((message, work, tensor))

    def reach(self, message: Receive) -> None:
        """The program has come to `message`: it is posted, with all before it, unless it was ahead. Raises
        ConnectionError where the other rank is lost."""
        with self._lock:
            while message.result not in self._posted:  # nobody takes it before this
                self._post_next()

    def take(self, result: Result) -> Tensor:
        """Wait for what another rank sends. Raises ConnectionError where it does not come, KeyError for what
        the program does not receive before, or has taken."""
        with self._lock:
            peer, work, tensor = self._posted.pop(result)
            self._post_ahead()
        try:
            work.wait()
        except RuntimeError as error:
            raise _lost(Receive(peer, result), error) from error
        return tensor

    def finish(self) -> None:
        """Wait until all that was sent has left. Raises ConnectionError where it cannot."""
        while self._sent:
            self._finish_oldest()

    def _finish_oldest(self) -> None:
        message, work, _ = self._sent.popleft()
        try:
            work.wait()
        except RuntimeError as error:
            raise _lost(message, error) from error

    def _post_ahead(self) -> None:
        while self._to_post and len(self._posted) < self._ahead:
            self._post_next()

    def _post_next(self) -> None:
        message = self._to_post.popleft()
        tensor = self._empty()
        try:
            work = self._channels.receive(tensor, message.peer)
        except RuntimeError as error:
            raise _lost(message, error) from error
        self._posted[message.result] = message.peer, work, tensor


def _lost(message: Send | Receive, error: RuntimeError) -> ConnectionError:
    return ConnectionError(f"cannot {message} of the pipeline: {error}")
