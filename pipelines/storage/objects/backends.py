"""Stores of the library `obstore`, with the credentials that the settings allow.

The library asks the cloud's own address for credentials where it finds none; here it is let do so only with
`credentials: instance`, so that missing credentials are told at once and no network is touched for them.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.storage.objects.faults import ObjectError
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.objects.urls import WEB, ObjectUrl, masked

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_KEYS = {  # one of them says who asks
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ),
    "gs": (
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
    ),
    "az": (
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_CLIENT_ID",
    ),
}
_CURES = {
    "gs": "correct the file that GOOGLE_APPLICATION_CREDENTIALS names, or what else says who asks",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME, and correct AZURE_STORAGE_ACCOUNT_KEY or what else says who asks",
}
_LONGEST_WAIT_S = 10.0


def need_library() -> None:
    """Raise UserError naming the extra where `obstore` is not installed."""
    try:
        import obstore  # noqa: F401  # whether it is there
    except ImportError as error:
        raise UserError(
            "reading object storage needs the library obstore, which is not installed; "
            "install corpusmill with the extra `cloud`: pip install 'corpusmill[cloud]'"
        ) from error


def make_backend(place: ObjectUrl, settings: ObjectStorage, retries: int) -> ObjectStore:
    """The library's store of a bucket or host; each request is sent again up to `retries` times by it.

    Raises UserError where the library or credentials are missing, ObjectError where these cannot be used.
    """
    need_library()
    from obstore.exceptions import BaseError
    from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

    made: ObjectStore
    common: dict[str, Any] = {
        "retry_config": {
            "max_retries": retries,
            "backoff": {
                "init_backoff": timedelta(seconds=settings.retry_wait_s),
                "max_backoff": timedelta(seconds=_LONGEST_WAIT_S),
                "base": 2,
            },
        }
    }
    plain = place.scheme == "http" or (settings.server_of(place.scheme) or "").startswith("http://")
    common["client_options"] = {
        "allow_http": plain,
        "timeout": timedelta(seconds=settings.timeout_s),
        **_authorities(place),
    }
    try:
        if place.scheme in WEB:
            made = HTTPStore.from_url(place.root, **common)
        elif place.scheme == "s3":
            made = S3Store(place.bucket, **_s3(place, settings), **common)
        elif place.scheme == "gs":
            made = GCSStore(place.bucket, **_public(place, settings), **common)
        else:
            made = AzureStore(place.bucket, **_public(place, settings), **common)
    except BaseError as error:
        # What the library says further on may quote a part of a key.
        said = str(error).partition("\n")[0].rpartition(" error: ")[2].partition(": Invalid symbol")[0]
        cure = _CURES.get(place.scheme, "correct the URL, or `storage.endpoint`")
        if said == "builder error" and "root_certificate" in common["client_options"]:
            said = f"AWS_CA_BUNDLE names {os.environ['AWS_CA_BUNDLE']}, a certificate in which is damaged"
            cure = "correct it"
        raise ObjectError(f"{place}: cannot be asked: {masked(said)}; {cure}") from error
    return made


def _authorities(place: ObjectUrl) -> dict[str, Any]:
    """Certificates of who may vouch for the server, as AWS_CA_BUNDLE and SSL_CERT_FILE name them.

    The first is for S3 alone, and adds to the machine's own. The second replaces these; the library reads it,
    but passes over a file that it cannot read. Raises ObjectError where a file cannot be used.
    """
    options: dict[str, Any] = {}
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE"):
        path = os.environ.get(name)
        if not path or (name == "AWS_CA_BUNDLE" and place.scheme != "s3"):
            continue
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise ObjectError(
                f"{place}: {name} names {path}, which cannot be read ({error.strerror}); correct it"
            ) from error
        if b"-----BEGIN CERTIFICATE-----" not in content:
            raise ObjectError(f"{place}: {name} names {path}, which has no certificate in PEM; correct it")
        if name == "AWS_CA_BUNDLE":
            options["root_certificate"] = content
    return options


def _s3(place: ObjectUrl, settings: ObjectStorage) -> dict[str, Any]:
    environment = os.environ
    region = settings.region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    options: dict[str, Any] = {"region": region or "us-east-1"}
    if settings.endpoint is not None:
        options["endpoint"] = settings.endpoint
    profile = settings.profile or environment.get("AWS_PROFILE")
    by_variables = any(environment.get(name) for name in _KEYS["s3"]) and settings.profile is None
    if settings.credentials == "environment" and not by_variables and (profile or _aws_files()):
        from_profile = _profile(place, profile)
        options["credential_provider"] = from_profile
        return options
    return options | _public(place, settings)


def _public(place: ObjectUrl, settings: ObjectStorage) -> dict[str, Any]:
    """`skip_signature` for public data. Raises ObjectError where the environment has no credentials."""
    if settings.credentials == "none":
        return {"skip_signature": True}
    names = _KEYS[place.scheme]
    if settings.credentials == "environment" and not any(os.environ.get(name) for name in names):
        adc = Path.home() / ".config" / "gcloud" / "application_default_credentials.json"
        if place.scheme == "gs" and adc.is_file():
            return {}
        raise ObjectError(
            f"{place}: no credentials; set {names[0]} and what belongs to it in the environment, or "
            "`storage.credentials` to `none` for public data or to `instance` for the machine's own role"
        )
    return {}


def _aws_files() -> bool:
    """Whether there is a file with profiles."""
    named = os.environ.get("AWS_SHARED_CREDENTIALS_FILE")
    return Path(named).is_file() if named else (Path.home() / ".aws" / "credentials").is_file()


def _profile(place: ObjectUrl, profile: str | None) -> Any:
    try:
        from boto3 import Session
        from botocore.exceptions import BotoCoreError
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        raise UserError(
            f"{place}: profiles of ~/.aws are read by boto3, which is not installed; install corpusmill "
            "with the extra `cloud`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error
    try:
        session = Session(profile_name=profile)
        # One that is not there would have boto3 ask the cloud's own address.
        if (profile or "default") not in session.available_profiles or session.get_credentials() is None:
            raise ObjectError(f"{place}: the profile {profile or 'default'} holds no credentials; add them")
        return Boto3CredentialProvider(session)
    except (BotoCoreError, ValueError) as error:
        raise ObjectError(
            f"{place}: the profile {profile or 'default'} of ~/.aws cannot be used ({type(error).__name__}); "
            "correct it, or `storage.profile`"
        ) from error
