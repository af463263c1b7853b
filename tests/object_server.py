"""An S3 server (moto) in a process of its own, with a proxy before it, for tests of object storage."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fault_proxy import FaultProxy
from tests.waiting import wait_until

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDOFTESTS", "AWS_SECRET_ACCESS_KEY": "a-secret-of-tests"}
# moto looks at no signature, only at whether there is one.
_SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDOFTESTS/20200101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0",
    "Content-Type": "application/octet-stream",
}


def need_server() -> None:
    """Skip where what object storage is tested with is not installed."""
    for module in ("obstore", "moto", "flask"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: `pip install -e '.[dev]'`")


class ObjectServer:
    """An S3 server, reached by `proxy`; `put` and others go past the proxy."""

    def __init__(self, port: int, proxy: FaultProxy) -> None:
        self._port, self.proxy = port, proxy

    def ask(self, method: str, path: str, data: bytes | None = None) -> bytes:
        url = f"http://127.0.0.1:{self._port}/{urllib.parse.quote(path, safe='/?=&')}"
        request = urllib.request.Request(url, data, _SIGNED, method=method)
        with urllib.request.urlopen(request) as reply:
            body: bytes = reply.read()
        return body

    def make_bucket(self, bucket: str) -> None:
        self.ask("PUT", bucket)

    def put(self, bucket: str, key: str, data: bytes) -> None:
        self.ask("PUT", f"{bucket}/{key}", data)

    def get(self, bucket: str, key: str) -> bytes:
        return self.ask("GET", f"{bucket}/{key}")

    def delete(self, bucket: str, key: str) -> None:
        self.ask("DELETE", f"{bucket}/{key}")

    def put_folder(self, bucket: str, prefix: str, folder: Path) -> None:
        """Every file below a folder, under its path from there."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(bucket, f"{prefix}/{file.relative_to(folder).as_posix()}", file.read_bytes())


@contextmanager
def object_server(log: Path) -> Iterator[ObjectServer]:
    """Start the server and its proxy; both end with the context."""
    need_server()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **KEYS})
        try:
            wait_until(lambda: _answers(port), f"moto (see {log})", process)
            with FaultProxy("127.0.0.1", port).serving() as proxy:
                yield ObjectServer(port, proxy)
        finally:
            process.terminate()
            process.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False
