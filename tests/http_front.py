"""A server of HTTP on this machine that answers before another one does."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class FrontHandler(BaseHTTPRequestHandler):
    """Answers each request with `answer`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer waits for no acknowledgement: 40 ms each

    def answer(self) -> None:
        """Answer the request in hand, by `send`."""
        raise NotImplementedError

    def body(self) -> bytes:
        """The body of the request in hand."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def send(self, status: int, headers: Mapping[str, str], data: bytes, length: int) -> None:
        """Answer with a body (none to HEAD) whose length is told as `length`."""
        try:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):  # the client waits no longer
            self.close_connection = True

    def _answer(self) -> None:
        self.answer()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815  # names of http.server

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: tests look at what the front keeps."""


class Front:
    """The server, at `port`."""

    def __init__(self, handler: type[FrontHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    @contextmanager
    def serving(self) -> Iterator[Self]:
        """Answer within the context."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.release()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def release(self) -> None:
        """Let answers go on that wait for something: no more requests come."""
