"""No network for code that may download without being asked, such as models, word lists and tokenizers.

Python tells an audit hook of every host it looks up or connects to. Such hooks stay for the life of the
process, so there is one, which does nothing outside of `offline`. What libraries not written in Python open
themselves it does not see.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from corpusmill.pipelines.contract.errors import UserError

_EVENTS = {"socket.connect": 1, "socket.getaddrinfo": 0, "socket.gethostbyname": 0}  # place of the address
_asked: list[list[str]] = []  # what each `offline` that is entered was asked for
_hooked: list[bool] = []


class NoNetworkError(OSError):
    """A host was asked for within `offline`."""


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _asked or event not in _EVENTS:
        return
    address = arguments[_EVENTS[event]]
    if isinstance(address, tuple):
        address = address[0]
    elif event == "socket.connect":
        return  # a socket of this machine's own
    host = address.decode("ascii", "replace") if isinstance(address, bytes) else str(address)
    _asked[-1].append(host)
    raise NoNetworkError(f"no network here: {host} was asked for")


@contextmanager
def offline(who: str, *, allowed: bool) -> Iterator[None]:
    """Within, hosts cannot be reached unless `allowed`. Raises UserError naming the host that was asked for,
    even where the asking code goes on without it."""
    if allowed:
        yield
        return
    if not _hooked:
        sys.addaudithook(_watch)
        _hooked.append(True)
    asked: list[str] = []
    _asked.append(asked)
    try:
        yield
    finally:
        _asked.remove(asked)
        if asked:
            raise UserError(
                f"{who} asks for {asked[0]} over the network; give it the file by an option, or allow "
                "downloads with `network: true`"
            )
