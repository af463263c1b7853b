"""`serve_run`: the server from its start to Ctrl-C."""

from __future__ import annotations

import errno
import sys
import webbrowser

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.serve.server import ADDRESS, Server
from corpusmill.pipelines.storage.run_folder import RunFolder


def serve_run(folder: RunFolder, *, port: int = 0, browser: bool = True) -> None:
    """Print the address, open it with `browser`, and answer until the process is interrupted.

    Raises UserError where the port cannot be had, and where the run lies on object storage and is at work
    with another mirror: its log is kept in the store only when it ends.
    """
    if (store := folder.store) is not None and store.driven_elsewhere():
        raise UserError(
            f"{folder.location}: the run is at work on another machine or with another cache; its log is "
            "stored when it ends; run `corpusmill serve` there, with the same CORPUSMILL_CACHE, or here "
            f"after it; `corpusmill report {folder.location}` tells of the steps that are complete"
        )
    try:
        server = Server(folder, port)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise UserError(
            f"port {port} of {ADDRESS}: {error.strerror}; leave out --port to take a free one"
        ) from error
    with server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stderr.write("whoever has this address on this machine sees the run; Ctrl-C ends it\n")
        if browser:
            webbrowser.open(server.url)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            sys.stderr.write("\n")
