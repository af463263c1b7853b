"""A proxy before a server of HTTP on this machine that answers as asked: late, in part, or not at all.

It logs each request that reaches it, so that tests can compare what was sent with what was counted.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tests.http_front import Front, FrontHandler

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
_CONDITIONS = ("if-match", "if-none-match")


@dataclass(frozen=True)
class Seen:
    """One request as it came in."""

    method: str
    path: str  # with its query
    headers: dict[str, str] = field(repr=False)


@dataclass
class Fault:
    """What happens to the next `times` requests for which `of` holds.

    `answer`: the proxy answers with `status` and `body`, and the server sees nothing. `drop`: the connection
    ends without an answer, and the server sees nothing. `cut`: half of the body comes, and the connection
    ends. `lost`: the server does the request, and the connection ends without an answer. `late`: the answer
    waits until `release` is set. `bare`: the server sees no condition (If-Match, If-None-Match), as one that
    knows none. `action` is called when the request is dropped, or its answer lost.
    """

    kind: Literal["answer", "drop", "cut", "lost", "late", "bare"]
    of: Callable[[Seen], bool]
    times: int = 1
    status: int = 503
    body: bytes = b""
    release: threading.Event = field(default_factory=threading.Event)
    action: Callable[[], None] = lambda: None


class FaultProxy(Front):
    """The proxy of one server, at `url`; `seen` are the requests so far, `faults` what is still to happen."""

    def __init__(self, host: str, port: int) -> None:
        self.seen: list[Seen] = []
        self.faults: list[Fault] = []
        self._upstream = (host, port)
        self._lock = threading.Lock()
        super().__init__(self._handler())
        self.url = f"http://127.0.0.1:{self.port}"

    def release(self) -> None:
        for fault in self.faults:
            fault.release.set()

    def fresh(self) -> None:
        """Forget what was seen and what was to happen."""
        with self._lock:
            self.release()
            self.seen.clear()
            self.faults.clear()

    def _fault_of(self, seen: Seen) -> Fault | None:
        with self._lock:
            self.seen.append(seen)
            for fault in self.faults:
                if fault.times and fault.of(seen):
                    fault.times -= 1
                    return fault
        return None

    def _handler(self) -> type[FrontHandler]:
        proxy = self

        class Handler(FrontHandler):
            def answer(self) -> None:
                body = self.body()
                fault = proxy._fault_of(Seen(self.command, self.path, dict(self.headers)))
                if fault is not None and fault.kind == "answer":
                    self.send(fault.status, {}, fault.body, len(fault.body))
                    return
                if fault is not None and fault.kind == "drop":
                    fault.action()
                    self.close_connection = True
                    return
                connection = http.client.HTTPConnection(*proxy._upstream)
                bare = fault is not None and fault.kind == "bare"
                hidden = _CONDITIONS if bare else ()
                asked = {name: value for name, value in self.headers.items() if name.lower() not in hidden}
                connection.request(self.command, self.path, body, asked)
                reply = connection.getresponse()
                data = reply.read()
                connection.close()
                headers = {name: value for name, value in reply.getheaders() if name.lower() not in _HOP}
                length = int(reply.headers.get("Content-Length") or len(data))
                if fault is not None and fault.kind == "late":
                    fault.release.wait()
                if fault is not None and fault.kind == "lost":
                    fault.action()
                    self.close_connection = True
                    return
                cut = fault is not None and fault.kind == "cut"
                self.send(reply.status, headers, data[: len(data) // 2] if cut else data, length)
                self.close_connection = self.close_connection or cut

        return Handler
