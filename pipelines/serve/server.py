"""The server of the live page: this machine's own address, read only, behind a token that is drawn anew.

What it answers is a table of names; no part of a request is ever a path of a file. It refuses what was not
asked of this address by name (a page elsewhere whose name resolves to this machine), what does not begin with
the token, and what a page of another site has the browser ask.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from corpusmill.pipelines.contract.errors import CorpusmillError, UserError
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.report.build import gather
from corpusmill.pipelines.report.foreign_text import visible
from corpusmill.pipelines.report.page import FIRST, render_pages
from corpusmill.pipelines.serve.live_page import live_page, policy_of_live, problem_page
from corpusmill.pipelines.serve.questions import Answer, Kind, ask
from corpusmill.pipelines.serve.state import Watch
from corpusmill.pipelines.storage.run_folder import RunFolder

ADDRESS = "127.0.0.1"
_HTML, _JSON = "text/html; charset=utf-8", "application/json"
_LONGEST_QUESTION = 10_000
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Server(ThreadingHTTPServer):
    """Serves one run until `shutdown`. `url` is where, with the token."""

    daemon_threads = True

    def __init__(self, folder: RunFolder, port: int = 0) -> None:
        super().__init__((ADDRESS, port), _Handler)
        self.folder = folder
        self.watch = Watch(folder)
        self.token = secrets.token_urlsafe(24)
        self.asking = threading.Lock()
        self._pages: tuple[object, dict[str, str]] = (None, {})
        self._making = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}/{self.token}/"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a request may call this server."""
        return f"{ADDRESS}:{self.server_port}", f"localhost:{self.server_port}"

    def report(self, name: str) -> str | None:
        """A page of the report as the run stands now, made again when a step has been completed; None for one
        there is not. Raises CorpusmillError, also for a run that was removed."""
        with self._making:
            try:
                stat = (self.folder.path / "current.json").stat()
            except FileNotFoundError as error:
                raise UserError(f"{self.folder.location}: there is no run any more") from error
            stamp = stat.st_ino, stat.st_mtime_ns
            if self._pages[0] != stamp:
                self._pages = stamp, render_pages(gather(self.folder))
            return self._pages[1].get(name)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "corpusmill"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.server.hosts:
            return self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "this server is asked by another name")
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return self._refuse(HTTPStatus.FORBIDDEN, "another site asked for this")
        parts = urlsplit(self.path)
        token, _, name = parts.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            return self._refuse(
                HTTPStatus.NOT_FOUND, "no such page; use the address that the command printed"
            )
        answers: dict[str, Callable[[], None]] = {
            "": self._live,
            "state.json": self._state,
            "query.json": lambda: self._answer("query", parts.query),
            "explain.json": lambda: self._answer("explain", parts.query),
        }
        return answers.get(name, lambda: self._report(name))()

    def _live(self) -> None:
        self._send(HTTPStatus.OK, _HTML, live_page(), policy_of_live())

    def _state(self) -> None:
        try:
            state = self.server.watch.look()
        except CorpusmillError as error:
            return self._send(HTTPStatus.OK, _JSON, json.dumps({"gone": visible(str(error))}))
        return self._send(HTTPStatus.OK, _JSON, json.dumps(encode(state)))

    def _answer(self, kind: Kind, query: str) -> None:
        text = parse_qs(query).get("text", [""])[0]
        if not text.strip() or len(text) > _LONGEST_QUESTION:
            answer = Answer(error=f"ask something, in at most {_LONGEST_QUESTION:,} characters")
        elif not self.server.asking.acquire(blocking=False):
            answer = Answer(error="another question is being answered; ask again when it is")
        else:
            try:
                answer = ask(self.server.folder.path, kind, text)
            finally:
                self.server.asking.release()
        self._send(HTTPStatus.OK, _JSON, json.dumps(encode(answer)))

    def _report(self, name: str) -> None:
        try:
            page = self.server.report(name or FIRST)
        except (CorpusmillError, OSError) as error:
            page = problem_page(str(error))
        if page is None:
            return self._refuse(HTTPStatus.NOT_FOUND, "no such page")
        return self._send(HTTPStatus.OK, _HTML, page)

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        self.close_connection = True
        self._send(status, "text/plain; charset=utf-8", words + "\n")

    def _send(self, status: HTTPStatus, kind: str, text: str, policy: str | None = None) -> None:
        content = text.encode()
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if policy is not None:
            self.send_header("Content-Security-Policy", policy)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing: addresses have the token."""
