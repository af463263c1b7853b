"""Stores of Google and Azure whose credentials cannot be used: told with cause and cure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corpusmill.pipelines.storage.objects.backends import make_backend
from corpusmill.pipelines.storage.objects.faults import ObjectError
from corpusmill.pipelines.storage.objects.requests import Requests
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.objects.store import ObjectStore
from corpusmill.pipelines.storage.objects.urls import parse_url

pytest.importorskip("obstore", reason="obstore is not installed: `pip install 'corpusmill[cloud]'`")


@pytest.mark.parametrize(
    ("url", "variables", "told"),
    [
        ("gs://bucket/a", {}, "no credentials; set GOOGLE_APPLICATION_CREDENTIALS"),
        (
            "gs://bucket/a",
            {"GOOGLE_APPLICATION_CREDENTIALS": "nowhere.json"},
            "Unable to open service account file from nowhere.json: No such file or directory (os error 2); "
            "correct the file that GOOGLE_APPLICATION_CREDENTIALS names",
        ),
        (
            "gs://bucket/a",
            {"GOOGLE_APPLICATION_CREDENTIALS": "empty.json"},
            "Unable to decode service account file",
        ),
        ("az://container/a", {}, "no credentials; set AZURE_STORAGE_ACCOUNT_KEY"),
        (
            "az://container/a",
            {"AZURE_STORAGE_ACCOUNT_KEY": "a2V5"},
            "Account must be specified; set AZURE_STORAGE_ACCOUNT_NAME",
        ),
        (
            "az://container/a",
            {"AZURE_STORAGE_ACCOUNT_KEY": "no key", "AZURE_STORAGE_ACCOUNT_NAME": "me"},
            "Invalid Access Key; set",
        ),
    ],
)
def test_credentials_that_cannot_be_used_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, variables: dict[str, str], told: str
) -> None:
    for name in list(os.environ):
        if name.startswith(("GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.json").write_text("{}")
    with pytest.raises(ObjectError) as raised:
        ObjectStore(parse_url(url), ObjectStorage(schemes=["gs", "az"]), Requests())
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{url}: ")
    assert told in line


def test_a_server_without_encryption_may_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    made = make_backend(parse_url("s3://bucket/a"), ObjectStorage(schemes=["s3"]), 0)
    assert (made.client_options or {}).get("allow_http") in (True, "true")
