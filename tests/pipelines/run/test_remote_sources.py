"""Runs whose sources lie on a server of S3 or of web pages, beside the same run over files."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.contract.errors import IntegrityError, RecipeError, UserError
from corpusmill.pipelines.recipe import places
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.plan import make_plan
from corpusmill.pipelines.run.runner import Runner
from corpusmill.pipelines.sources import parquet
from corpusmill.pipelines.storage.objects import blocks, current, lazy
from tests.fault_proxy import Fault, Seen
from tests.object_fixtures import reached
from tests.object_server import KEYS, ObjectServer, object_server
from tests.pipelines.run.small_corpus import jsonl, write, write_corpus

BUCKET = "corpus-of-tests"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("remote") / "corpus")


@pytest.fixture(scope="module")
def one_server(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with object_server(tmp_path_factory.mktemp("moto") / "log") as server:
        server.make_bucket(BUCKET)
        server.put_folder(BUCKET, "v1", corpus)
        yield server


@pytest.fixture
def server(one_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    with reached(one_server.proxy, KEYS, monkeypatch):
        yield one_server


def remote(
    folder: Path, server: ObjectServer, prefix: str = "v1", engine: str = "{kind: inline}", **other: str
) -> Path:
    storage = f"storage: {{schemes: [s3], endpoint: '{server.proxy.url}', cache: cache, retry_wait_s: 0.01}}"
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    return write(folder, f"s3://{BUCKET}/{prefix}/", storage, engine, **other)


def data_files(recipe: Path) -> dict[str, str]:
    """SHA-256 of every data file, by its step and name; indexes hold no place, so they are among them."""
    steps = recipe.parent / "runs" / "remote" / "steps"
    return {
        f"{path.relative_to(steps).parts[0]}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(steps.glob("*/*/data/*"))
    }


def events(recipe: Path) -> list[dict[str, object]]:
    lines = (recipe.parent / "runs" / "remote" / "log" / "run.jsonl").read_text("utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == "unit"]


def fetched(recipe: Path, step: str) -> int:
    return sum(int(str(event.get("fetched", 0))) for event in events(recipe) if event["step"] == step)


def of_objects(seen: Seen) -> bool:
    return seen.method == "GET" and "list-type" not in seen.path


@pytest.fixture(scope="module")
def local(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The data files of the run over files."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "corpus").symlink_to(corpus)
    recipe = write(folder)
    Runner(load_recipe(recipe, inputs=True)).run()
    return data_files(recipe)


def test_objects_give_the_bytes_that_files_give_and_are_fetched_once(
    server: ObjectServer, corpus: Path, local: dict[str, str], tmp_path: Path
) -> None:
    recipe = remote(tmp_path, server)
    Runner(load_recipe(recipe)).run()
    assert data_files(recipe) == local
    assert any(name.startswith("pack/") for name in local)
    for step in ("lines", "rows", "pages"):
        size = sum(file.stat().st_size for file in (corpus / step).rglob("*.*"))
        assert fetched(recipe, f"{step}.index") == size
        assert fetched(recipe, step) == 0  # from the cache of this machine
    assert all(int(str(event.get("requests", 0))) < 8 for event in events(recipe))
    asked = [seen for seen in server.proxy.seen if of_objects(seen)]
    assert len(asked) == 6  # one for each file
    server.proxy.fresh()
    Runner(load_recipe(recipe)).run()  # a run that is complete lists, and does nothing else
    assert [seen.method for seen in server.proxy.seen] == ["GET", "HEAD", "GET", "GET"]
    assert not any(map(of_objects, server.proxy.seen))


def test_a_machine_without_the_files_fetches_what_its_units_read(
    server: ObjectServer, corpus: Path, local: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(lazy, "BLOCK_BYTES", 4096)
    recipe = remote(tmp_path, server)
    Runner(load_recipe(recipe)).run(["lines.index", "rows.index", "pages.index"])
    shutil.rmtree(tmp_path / "cache")
    server.proxy.fresh()
    done = [Runner(load_recipe(recipe)).run(["pages"]), Runner(load_recipe(recipe)).run()]
    assert done
    assert data_files(recipe) == local
    size = sum(file.stat().st_size for file in (corpus / "pages").rglob("*.*"))
    assert size <= fetched(recipe, "pages") < 2 * size
    assert fetched(recipe, "rows") == (corpus / "rows" / "r.parquet").stat().st_size


@pytest.mark.parametrize("step", ["lines", "rows", "pages"])
def test_a_network_that_fails_is_no_damage_of_the_data(
    server: ObjectServer, local: dict[str, str], tmp_path: Path, step: str
) -> None:
    """Readers quarantine what a library cannot read, whatever it raises; of the network they must not."""
    recipe = remote(tmp_path, server)
    Runner(load_recipe(recipe)).run([f"{step}.index"])
    shutil.rmtree(tmp_path / "cache")
    down = Fault("answer", of_objects, times=10**6)
    server.proxy.faults.append(down)
    overrides = ["storage.retries=1"]
    with pytest.raises(UserError, match=r"the server answers 503 \(2 attempts\)"):
        Runner(load_recipe(recipe, overrides)).run([step])
    with pytest.raises(RecipeError, match=r"the server answers 503 \(2 attempts\)"):
        load_recipe(recipe, overrides, inputs=True)
    down.times = 0
    Runner(load_recipe(recipe)).run([step])
    made = {name: digest for name, digest in data_files(recipe).items() if name.startswith(f"{step}/")}
    assert made == {name: digest for name, digest in local.items() if name.startswith(f"{step}/")}
    assert made


def test_workers_share_the_files_and_survive_a_bad_network(
    server: ObjectServer, local: dict[str, str], tmp_path: Path
) -> None:
    server.proxy.faults += [
        Fault("answer", of_objects, times=3),
        Fault("cut", of_objects, times=2),
        Fault("lost", lambda seen: seen.method == "HEAD", times=2),
    ]
    recipe = remote(tmp_path, server, engine="{kind: process, workers: 2}")
    Runner(load_recipe(recipe)).run()
    assert data_files(recipe) == local
    assert not any(fault.times for fault in server.proxy.faults)
    written = b"".join(path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file())
    assert KEYS["AWS_SECRET_ACCESS_KEY"].encode() not in written


class Meddled(Runner):
    """A runner under which something happens after the files were listed."""

    meddle: Callable[[], None]

    def list_inputs(self) -> None:
        super().list_inputs()
        self.meddle()


def test_an_object_that_changes_under_the_run_is_noticed(
    server: ObjectServer, corpus: Path, tmp_path: Path
) -> None:
    server.put_folder(BUCKET, "changing", corpus)
    recipe = remote(tmp_path, server, "changing")
    runner = Meddled(load_recipe(recipe))
    key = "changing/lines/a.jsonl"
    content = server.get(BUCKET, key)
    runner.meddle = lambda: server.put(BUCKET, key, content.replace(b"stone", b"house"))
    with pytest.raises(UserError, match=rf"s3://{BUCKET}/{key} changed while the run was on; run the same"):
        runner.run(["lines"])
    Runner(load_recipe(recipe)).run(["lines"])
    # The cached version is read to its end, but what came of it is not committed.
    runner = Meddled(load_recipe(recipe, ["sources.lines.read.jsonl.split_bytes=70000"]))
    runner.meddle = lambda: server.put(BUCKET, key, content)
    with pytest.raises(UserError, match="changed while the run was on"):
        runner.run(["lines"])
    runner = Meddled(load_recipe(recipe))
    runner.meddle = lambda: server.delete(BUCKET, key)
    with pytest.raises(UserError, match="was removed while the run was on"):
        runner.run(["lines"])


def test_a_changed_object_is_indexed_again_and_others_are_not(
    server: ObjectServer, corpus: Path, tmp_path: Path
) -> None:
    server.put_folder(BUCKET, "later", corpus)
    recipe = remote(tmp_path, server, "later")
    Runner(load_recipe(recipe)).run(["dedup.exact"])
    server.put(BUCKET, "later/rows/r.parquet", server.get(BUCKET, "later/rows/r.parquet"))
    server.proxy.fresh()
    done = Runner(load_recipe(recipe)).run(["dedup.exact"])
    assert all(state.reused for state in done.steps)  # the ETag is that of equal bytes
    server.put(BUCKET, "later/lines/a.jsonl", server.get(BUCKET, "later/lines/b.jsonl.zst"))
    done = Runner(load_recipe(recipe)).run(["dedup.exact"])
    assert {state.step.name for state in done.steps if state.redone} >= {"lines.index", "lines"}
    assert all(state.reused for state in done.steps if state.step.name.startswith(("rows", "pages")))


def test_plans_and_checks_fetch_little(server: ObjectServer, tmp_path: Path) -> None:
    recipe = remote(tmp_path, server)
    plan = make_plan(load_recipe(recipe))
    assert not any(map(of_objects, server.proxy.seen))
    assert {step.name: step.state for step in plan.steps}["lines.index"] == "run"


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        (
            {"rows": "rows/none.parquet"},
            r"recipe.yaml:9:\d+: .*s3://.*/rows/none.parquet: there is no such object",
        ),
        ({"lines": "lines/*.csv"}, r"recipe.yaml:8:\d+: .*nothing matches; s3://.*/v1/lines holds a.jsonl"),
        ({"pages": "lines/a.jsonl"}, r"recipe.yaml:10:\d+: .*a.jsonl: "),
        ({"benchmarks": "none/*"}, r"recipe.yaml:12:\d+: .*nothing lies in s3://.*/v1/none"),
    ],
)
def test_checks_find_what_is_not_there(
    server: ObjectServer, tmp_path: Path, patterns: dict[str, str], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        load_recipe(remote(tmp_path, server, **patterns), inputs=True)


def test_checks_find_what_may_not_be_read(server: ObjectServer, tmp_path: Path) -> None:
    denied = b"<Error><Code>AccessDenied</Code></Error>"
    server.proxy.faults.append(Fault("answer", of_objects, times=1, status=403, body=denied))
    with pytest.raises(
        RecipeError, match=r"recipe.yaml:8:\d+: .*s3://.*/lines/a.jsonl: access is denied; allow"
    ):
        load_recipe(remote(tmp_path, server), inputs=True)


def test_files_of_a_web_server_give_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    names = {"lines": "lines/a.jsonl", "rows": "rows/r.parquet", "pages": "pages/p.warc.gz"}
    names["benchmarks"] = "benchmarks/q.jsonl"
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "corpus").symlink_to(corpus)
    beside = write(tmp_path / "local", **names)
    Runner(load_recipe(beside)).run()
    (tmp_path / "web" / "corpus").mkdir(parents=True)
    with web_server(corpus) as url:
        storage = "storage: {schemes: [http], cache: cache}"
        recipe = write(tmp_path / "web", f"{url}/", storage, **names)
        Runner(load_recipe(recipe, inputs=True)).run()
        with pytest.raises(RecipeError, match=r"web servers list no files; name each by its URL"):
            load_recipe(write(tmp_path / "web", f"{url}/", storage), inputs=True)
    current.use_storage(None)
    assert data_files(recipe) == data_files(beside)


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def rows_alone(folder: Path, recipe: Path) -> Path:
    """A recipe that reads the source `rows` of another one, in units of 64 KiB, and does nothing else."""
    lines = recipe.read_text("utf-8").splitlines()
    kept = [line for line in lines if line.partition(":")[0].strip() in ("name", "data", "engine", "storage")]
    pattern = next(line for line in lines if line.startswith("  rows:")).split("parquet: ")[1].rstrip("}")
    source = f"sources: {{rows: {{read: {{parquet: {{files: {pattern}, split_bytes: 65536}}}}}}}}"
    path = folder / "recipe.yaml"
    path.write_text("\n".join([*kept, source]) + "\n")
    return path


def row_groups(draw: random.Random, groups: int) -> bytes:
    """A Parquet file of row groups of 40 rows of 1,000 bytes, which do not pack."""
    count = 40 * groups
    texts = [base64.b64encode(draw.randbytes(750)).decode() for _ in range(count)]
    sink = io.BytesIO()
    table = pa.table({"id": [str(number) for number in range(count)], "text": texts})
    pq.write_table(table, sink, row_group_size=40, compression="none", write_statistics=False)
    return sink.getvalue()


def test_of_a_large_parquet_file_a_unit_fetches_the_footer_and_its_own_row_groups(
    server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block, part, end = 4096, 65536, 65536  # Arrow looks for a footer in the last 64 KiB
    for module in (blocks, lazy):
        monkeypatch.setattr(module, "BLOCK_BYTES", block)
    for module in (blocks, places, parquet):
        monkeypatch.setattr(module, "PART_BYTES", part)
    monkeypatch.setattr(places, "SMALL_BYTES", part)
    draw = random.Random(9)
    content = row_groups(draw, 24)
    server.put(BUCKET, "large/rows/r.parquet", content)
    recipe = rows_alone(tmp_path, remote(tmp_path, server, "large"))
    Runner(load_recipe(recipe)).run(["rows.index"])
    assert fetched(recipe, "rows.index") <= end + 3 * block
    shutil.rmtree(tmp_path / "cache")
    Runner(load_recipe(recipe)).run()
    done = [event for event in events(recipe) if event["step"] == "rows"]
    assert len(done) > 5
    assert len(content) - 2 * block < fetched(recipe, "rows") < len(content)  # each block once, no footer
    for event in done:
        asked, received = int(str(event["requests"])), int(str(event["fetched"]))
        assert received < 2 * part + 2 * block  # of splits of 64 to 104 KB
        assert asked <= 4
    local = tmp_path / "local"
    (local / "corpus" / "rows").mkdir(parents=True)
    (local / "corpus" / "rows" / "r.parquet").write_bytes(content)
    beside = rows_alone(local, write(local))
    Runner(load_recipe(beside)).run()
    made = data_files(recipe)
    assert made.pop("rows.index/00000.footers.arrow")
    assert made.pop("rows.index/00000.index.json") != data_files(beside)["rows.index/00000.index.json"]
    assert made == {name: one for name, one in data_files(beside).items() if name.startswith("rows/")}
    # Its ETag stands for its bytes: another version of the same size and footer is read again.
    at = content.index(b"A", len(content) // 2)
    server.put(BUCKET, "large/rows/r.parquet", content[:at] + b"B" + content[at + 1 :])
    again = Runner(load_recipe(recipe)).run()
    assert {state.step.name for state in again.steps if not state.reused} == {"rows.index", "rows"}
    assert data_files(recipe) != made


def test_a_unit_that_reads_many_large_parquet_files_asks_once_for_each(
    server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index has kept their footers; where these are damaged, the run ends."""
    for module in (blocks, lazy):
        monkeypatch.setattr(module, "BLOCK_BYTES", 4096)
    for module in (places, parquet):
        monkeypatch.setattr(module, "PART_BYTES", 4096)
    monkeypatch.setattr(places, "SMALL_BYTES", 4096)
    for number in range(5):
        server.put(BUCKET, f"five/rows/{number}.parquet", row_groups(random.Random(number), 1))
    recipe = rows_alone(tmp_path, remote(tmp_path, server, "five", rows="rows/*.parquet"))
    recipe.write_text(recipe.read_text().replace("split_bytes: 65536", "split_bytes: 33554432"))
    Runner(load_recipe(recipe)).run(["rows.index"])
    shutil.rmtree(tmp_path / "cache")
    Runner(load_recipe(recipe)).run()
    (unit,) = [event for event in events(recipe) if event["step"] == "rows"]
    assert unit["requests"] == 5
    shutil.rmtree(recipe.parent / "runs" / "remote" / "steps" / "rows")
    (kept,) = recipe.parent.glob("runs/remote/steps/rows.index/*/data/*.footers.arrow")
    content = kept.read_bytes()
    at = len(content) // 3
    kept.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(IntegrityError, match=r"footers\.arrow"):
        Runner(load_recipe(recipe)).run()


def test_a_unit_of_many_small_files_asks_once_for_each(server: ObjectServer, tmp_path: Path) -> None:
    for number in range(30):
        server.put(BUCKET, f"many/lines/{number:02d}.jsonl", jsonl(random.Random(number), str(number), 3))
    storage = remote(tmp_path, server).read_text("utf-8").splitlines()
    kept = [line for line in storage if line.partition(":")[0] in ("name", "data", "engine", "storage")]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "\n".join([*kept, f"sources: {{lines: {{read: {{jsonl: 's3://{BUCKET}/many/lines/*.jsonl'}}}}}}"])
        + "\n"
    )
    Runner(load_recipe(recipe)).run(["lines.index"])
    assert [int(str(event["requests"])) for event in events(recipe)] == [30]
    shutil.rmtree(tmp_path / "cache")
    Runner(load_recipe(recipe)).run()
    assert [int(str(event["requests"])) for event in events(recipe) if event["step"] == "lines"] == [30]
