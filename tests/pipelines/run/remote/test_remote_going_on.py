"""A run on object storage that goes on fetches receipts, and no file, before its first unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpusmill.pipelines.storage.objects.current import REQUESTS
from tests.object_server import ObjectServer
from tests.pipelines.run.going_on import UNITS, go_on, write
from tests.pipelines.run.remote_runs import asked, storage


def test_what_is_fetched_before_the_first_unit_does_not_grow_with_the_run(
    server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: dict[str, int] = {}
    for name, megabytes in (("small", 1.2), ("large", 12)):
        recipe = write(tmp_path / name, megabytes, storage(server, f"going-on-{name}"))
        go_on(recipe, UNITS + UNITS // 3, REQUESTS.so_far, monkeypatch)
        elsewhere = storage(server, f"going-on-{name}", cache="elsewhere")
        recipe.write_text(recipe.read_text().replace(storage(server, f"going-on-{name}"), elsewhere))
        server.proxy.fresh()
        before, after = go_on(recipe, 0, REQUESTS.so_far, monkeypatch)
        fetched[name] = after.since(before).fetched
        assert not any("/data/" in seen.path for seen in asked(server))
        assert after.since(before).total < 40
    assert fetched["large"] < 100_000
    assert fetched["large"] - fetched["small"] < 1_000
