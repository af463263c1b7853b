"""Results of passes on their way between pipeline ranks: asynchronous sends, receives posted ahead.

A receive is posted before its result is needed, several in the order of the program, so a message travels
while its receiver computes. A send returns at once; the tensor is kept until it has left. Where `MOST_SENDS`
are on their way, the next waits for the oldest: the program runs where every send waits for its receiver
(`schedules.blocking`), so that waits for nothing that waits for this rank.

Messages are tagged by what they are, so gloo joins no send to the receive of another result; libraries
without tags need the order, which is one between two ranks.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import torch.distributed as dist
from torch import Tensor

from corpusmill.training_hooks.schedules.actions import Result
from corpusmill.training_hooks.schedules.blocking import Program, Receive, Send

RECEIVES_AHEAD = 4
MOST_SENDS = 8


class Wires:
    """The messages of one step of one rank of `group`, whose ranks are the pipeline's, in order.

    `empty` makes the tensor that a result is received into. Two threads may take results at once.
    """

    def __init__(
        self,
        group: dist.ProcessGroup,
        program: Program,
        chunks: int,
        empty: Callable[[], Tensor],
        *,
        ahead: int = RECEIVES_AHEAD,
    ) -> None:
        self._group, self._chunks, self._empty = group, chunks, empty
        self._to_post = deque(one for one in program if isinstance(one, Receive))
        self._posted: dict[Result, tuple[int, dist.Work, Tensor]] = {}
        self._sent: deque[tuple[Send, dist.Work, Tensor]] = deque()
        self._ahead, self._lock = ahead, threading.Lock()
        with self._lock:
            self._post()

    def send(self, message: Send, tensor: Tensor) -> None:
        """Start to send. Raises ConnectionError where a message before it did not arrive."""
        while len(self._sent) >= MOST_SENDS:
            self._finish_oldest()
        tensor = tensor.contiguous()
        try:
            work = dist.isend(
                tensor, group=self._group, group_dst=message.peer, tag=self._tag(message.result)
            )
        except RuntimeError as error:
            raise _lost(message, error) from error
        assert work is not None
        self._sent.append((message, work, tensor))

    def take(self, result: Result) -> Tensor:
        """Wait for what another rank sends. Raises ConnectionError where it does not come, KeyError for what
        the program does not receive, or has taken."""
        with self._lock:
            self._post(until=result)
            peer, work, tensor = self._posted.pop(result)
            self._post()
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

    def _post(self, until: Result | None = None) -> None:
        """Post receives until `_ahead` are on their way, or that of `until` is among them."""
        while self._to_post and (
            len(self._posted) < self._ahead if until is None else until not in self._posted
        ):
            peer, result = (one := self._to_post.popleft()).peer, one.result
            tensor = self._empty()
            try:
                work = dist.irecv(tensor, group=self._group, group_src=peer, tag=self._tag(result))
            except RuntimeError as error:
                raise _lost(one, error) from error
            assert work is not None
            self._posted[result] = peer, work, tensor

    def _tag(self, result: Result) -> int:
        return 2 * (result.stage * self._chunks + result.chunk) + (result.kind == "gradient")


def _lost(message: Send | Receive, error: RuntimeError) -> ConnectionError:
    return ConnectionError(f"cannot {message} of the pipeline: {error}")
