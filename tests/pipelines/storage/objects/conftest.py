"""One S3 server for all tests of object storage, with a bucket of its own for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.storage.objects import current
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from tests.object_fixtures import bucket, one_server, server
from tests.object_server import ObjectServer

__all__ = ["bucket", "one_server", "server", "use"]

Use = Callable[..., ObjectStorage]


@pytest.fixture
def use(server: ObjectServer, tmp_path: Path) -> Use:
    """Lets this process reach the server, with few and short pauses."""

    def reach(**options: Any) -> ObjectStorage:
        given = {"schemes": ["s3"], "endpoint": server.proxy.url, "cache": tmp_path / "cache"}
        settings = ObjectStorage(**{**given, "retry_wait_s": 0.01, "retries": 2, **options})
        current.use_storage(settings)
        return settings

    return reach
