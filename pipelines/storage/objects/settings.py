"""The key `storage` of a recipe: which stores may be reached, and how."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from corpusmill.pipelines.storage.objects.urls import Scheme

SERVERS: dict[Scheme, str] = {
    "s3": "AWS_ENDPOINT_URL",
    "gs": "GOOGLE_BASE_URL",
    "az": "AZURE_STORAGE_ENDPOINT",
}
"""Variables of the environment that name a server in place of the cloud's own; the library reads them too."""


class ObjectStorage(BaseModel):
    """Object stores and web servers that the recipe may read from, and the cache of what was read.

    Without it nothing remote is touched. No setting of it changes a byte of the output, and none is a secret:
    credentials come from the environment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schemes: list[Scheme] = Field(
        min_length=1, description="Schemes of URLs that may be read: s3, gs, az, https, http."
    )
    endpoint: str | None = Field(
        None, description="URL of an S3-compatible server, such as https://minio.example; null: Amazon's own."
    )
    region: str | None = Field(
        None, description="Region of the S3 buckets; null: AWS_REGION or AWS_DEFAULT_REGION, or us-east-1."
    )
    credentials: Literal["environment", "instance", "none"] = Field(
        "environment",
        description="From variables or files of the environment; of the machine's own role, from its "
        "cloud; or none, for public data.",
    )
    profile: str | None = Field(
        None, description="Profile of ~/.aws whose credentials S3 is asked with; null: variables first."
    )
    cache: Path | None = Field(
        None,
        description="Folder of the cache, relative to the recipe; null: `objects` in CORPUSMILL_CACHE or "
        "in the user's cache folder.",
    )
    cache_bytes: int = Field(
        10 * 2**30, ge=2**26, description="Most bytes the cache holds on a machine, such as 10GB."
    )
    retries: int = Field(6, ge=0, description="Further attempts of a request that failed and may succeed.")
    retry_wait_s: float = Field(
        0.2, ge=0, description="Seconds before the first further attempt; each later one waits twice as long."
    )
    timeout_s: float = Field(60, gt=0, description="Seconds one request may take, its answer included.")

    @field_validator("endpoint")
    @classmethod
    def _plain(cls, endpoint: str | None) -> str | None:
        if endpoint is None:
            return None
        if not endpoint.startswith(("https://", "http://")):
            raise ValueError("is no URL; write it as https://host or http://host:port")
        if "@" in endpoint or "?" in endpoint:
            raise ValueError("holds a user, a password or a query; set credentials in the environment")
        return endpoint.rstrip("/")

    def server_of(self, scheme: Scheme) -> str | None:
        """URL of the server that is asked in place of the cloud's own; None where none is named."""
        if scheme == "s3" and self.endpoint is not None:
            return self.endpoint
        return os.environ.get(SERVERS.get(scheme, "")) or None

    @property
    def cache_folder(self) -> Path:
        """Where objects are kept on this machine."""
        if self.cache is not None:
            return self.cache
        if own := os.environ.get("CORPUSMILL_CACHE"):
            return Path(own).absolute() / "objects"
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return home / "corpusmill" / "objects"
