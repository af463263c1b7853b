"""Servers that speak TLS, with certificates of an authority that this machine does not know by itself."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from corpusmill.pipelines.storage.objects import current
from corpusmill.pipelines.storage.objects.faults import NoObjectError, ObjectError
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.objects.store import ObjectStore
from corpusmill.pipelines.storage.objects.urls import parse_url
from tests.certificates import make_certificate
from tests.object_server import KEYS, need_server
from tests.pipelines.run.remote_runs import of_recipe, run, short
from tests.pipelines.run.small_corpus import write_corpus
from tests.real_servers import real_server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    need_server()
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    yield
    current.use_storage(None)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("certificates"))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def port(certificate: tuple[Path, Path, Path], tmp_path: Path) -> Iterator[int]:
    """The port of a web server that has `a.jsonl`."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "a.jsonl").write_bytes(b"hello")
    handler = partial(Quiet, directory=str(tmp_path / "web"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[1], certificate[2])
    with ThreadingHTTPServer(("", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()


def store_at(url: str, endpoint: str | None = None) -> ObjectStore:
    """A store of its own each time: variables of the environment are read when it is made."""
    schemes = ["s3", "gs", "az", "https", "http"]
    current.use_storage(None)
    current.use_storage(
        ObjectStorage.model_validate({"schemes": schemes, "retries": 2, "endpoint": endpoint})
    )
    return current.store_of(parse_url(url))


def test_a_page_is_read_where_its_authority_is_named(
    port: int, certificate: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"https://127.0.0.1:{port}/a.jsonl"
    before = current.REQUESTS.so_far()
    with pytest.raises(ObjectError, match=r"certificate is not accepted \(UnknownIssuer\); .* SSL_CERT_FILE"):
        store_at(url).get("a.jsonl")
    assert current.REQUESTS.so_far().since(before).total == 1  # the same request gets the same answer
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    assert store_at(url).get("a.jsonl") == b"hello"
    with pytest.raises(ObjectError, match=r"certificate is not accepted \(NotValidForName"):
        store_at(f"https://127.0.0.2:{port}/a.jsonl").get("a.jsonl")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[2]))
    with pytest.raises(ObjectError, match=r"SSL_CERT_FILE names .*server\.key, which has no certificate"):
        store_at(url)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(ObjectError, match=r"SSL_CERT_FILE names .*nowhere, which cannot be read \(No such"):
        store_at(url)


def test_the_authority_of_s3_may_be_named_as_aws_names_it(
    port: int, certificate: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    endpoint = f"https://127.0.0.1:{port}"
    with pytest.raises(ObjectError, match=r"certificate is not accepted .* SSL_CERT_FILE or AWS_CA_BUNDLE"):
        store_at("s3://bucket/x", endpoint).get("x")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate[0]))
    with pytest.raises(NoObjectError):  # it is asked, and has nothing
        store_at("s3://bucket/x", endpoint).get("x")
    with pytest.raises(ObjectError, match="certificate is not accepted"):  # that is for S3 alone
        store_at(f"{endpoint}/a.jsonl").get("a.jsonl")
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(b"# two\n" + certificate[1].read_bytes() + certificate[0].read_bytes())
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with pytest.raises(NoObjectError):
        store_at("s3://bucket/x", endpoint).get("x")
    bundle.write_text("-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n")
    with pytest.raises(ObjectError, match=r"AWS_CA_BUNDLE names .*bundle\.pem, a certificate in which is"):
        store_at("s3://bucket/x", endpoint)


def test_a_server_without_tls_is_told(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with pytest.raises(ObjectError, match="answers without encryption"):
                store_at(f"https://127.0.0.1:{server.server_address[1]}/a").get("a")
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("name", ["seaweedfs", "azurite"])
def test_a_run_over_tls_gives_the_bytes_that_it_gives_in_a_folder(
    name: str, certificate: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with real_server(name, tmp_path / "server", certificate) as server:
        server.make_bucket("over-tls")
        for variable, value in server.environment.items():
            monkeypatch.setenv(variable, value)
        corpus = write_corpus(tmp_path / "corpus")
        beside = short(tmp_path / "beside", corpus)
        run(beside)
        lines = (
            f"output: {server.scheme}://over-tls/run\nstorage: {{schemes: [{server.scheme}], cache: cache}}"
        )
        recipe = short(tmp_path / "there", corpus, lines)
        with pytest.raises(ObjectError, match="certificate is not accepted"):
            run(recipe)
        current.use_storage(None)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        run(recipe)
        assert of_recipe(recipe) == of_recipe(beside)
