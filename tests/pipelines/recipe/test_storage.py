"""The key `storage`, and URLs where a recipe may and may not have them; no store is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.recipe.places import told_by_version
from corpusmill.pipelines.sources.parquet import Parquet
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.remote.mirrors import location_of


def recipe(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(f"name: remote\n{text}", "utf-8")
    return path


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(InvalidRecipeError) as raised:
        load_recipe(recipe(folder, text))
    return str(raised.value).splitlines()


LINES = "sources: {a: {read: {jsonl: s3://bucket/a.jsonl}}}\n"


def test_settings_are_read_and_change_no_fingerprint(tmp_path: Path) -> None:
    text = "storage: {schemes: [s3, https], region: eu-west-1, cache: kept, cache_bytes: 200GB}\n"
    loaded = load_recipe(recipe(tmp_path, text + LINES))
    assert loaded.storage == ObjectStorage(
        schemes=["s3", "https"], region="eu-west-1", cache=tmp_path / "kept", cache_bytes=200 * 10**9
    )
    assert loaded.sources[0].reader.files == ["s3://bucket/a.jsonl"]


def test_without_the_key_nothing_remote_is_read(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, LINES)
    assert "recipe.yaml:2:22: sources.a.read.jsonl: s3://bucket/a.jsonl is remote" in fault
    assert fault.endswith("the recipe allows nothing remote; add `storage: {schemes: [s3]}`")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "storage: {schemes: [https]}\n" + LINES,
            "s3 is not among `storage.schemes`; write `schemes: [https, s3]`",
        ),
        ("storage: {schemes: [ftp]}\n" + LINES, "ftp"),
        ("storage: {}\n" + LINES, "schemes"),
        ("storage:\n" + LINES, "is empty; write `storage: {schemes: [s3]}`"),
        ("storage: {schemes: [s3], endpoint: minio}\n" + LINES, "is no URL; write it as https://host"),
        (
            "storage: {schemes: [s3], endpoint: 'https://me:word@minio'}\n" + LINES,
            "set credentials in the env",
        ),
        (
            "data: s3://bucket/corpus\n" + LINES,
            "data: expected a folder of this machine, got s3://bucket/corpus",
        ),
        ("output: s3://bucket/run\n" + LINES, "output: s3://bucket/run is remote, and the recipe allows"),
        (
            "output: https://host/run\nstorage: {schemes: [https]}\n" + LINES,
            "output: https://host/run: nothing is written to web servers; use s3, gs or az",
        ),
        (
            "output: gs://bucket/run\nstorage: {schemes: [s3]}\n" + LINES,
            "gs is not among `storage.schemes`; write `schemes: [s3, gs]`",
        ),
        ("output: s3://bucket\nstorage: {schemes: [s3]}\n" + LINES, "names a whole bucket; add a key"),
        (
            "sources: {a: {read: {tree: s3://bucket/projects}}}\nstorage: {schemes: [s3]}\n",
            "`tree` walks folders",
        ),
        (
            "sources: {a: {read: {git: s3://bucket/x.git}}}\nstorage: {schemes: [s3]}\n",
            "`git` reads repositories",
        ),
        (
            "sources: {a: {read: {cdx: s3://bucket/x.cdx}}}\nstorage: {schemes: [s3]}\n",
            "`cdx` reads WARC files",
        ),
        (
            "sources: {a: {read: {warc: {files: x, dictionary: 's3://bucket/d'}}, steps: [extract]}}\n",
            "dictionary: s3://bucket/d is remote, and the recipe allows nothing remote; add `storage:",
        ),
        (
            "sources: {a: {read: {jsonl: 'https://me:word@host/a'}}}\nstorage: {schemes: [https]}\n",
            "***@host",
        ),
        (
            "sources: {a: {read: {jsonl: 'ftp://host/a'}}}\nstorage: {schemes: [https]}\n",
            "ftp:// is not read",
        ),
    ],
)
def test_a_fault_is_told_with_its_line_and_cure(tmp_path: Path, text: str, words: str) -> None:
    found = faults(tmp_path, text)
    assert any(words in fault for fault in found), found
    assert not any("word@" in fault for fault in found)


def test_file_urls_are_paths(tmp_path: Path) -> None:
    (tmp_path / "a b.jsonl").write_text('{"text": "hello"}\n')
    url = (tmp_path / "a b.jsonl").as_uri()
    loaded = load_recipe(recipe(tmp_path, f"sources: {{a: {{read: {{jsonl: '{url}'}}}}}}\n"), inputs=True)
    assert loaded.sources[0].reader.files == [str(tmp_path / "a b.jsonl")]


def test_runs_may_lie_at_urls(tmp_path: Path) -> None:
    text = f"output: '{tmp_path.as_uri()}/a%20run'\nsources: {{a: {{read: {{jsonl: a.jsonl}}}}}}\n"
    assert load_recipe(recipe(tmp_path, text)).output_folder == tmp_path / "a run"
    text = "output: s3://bucket/run/\nstorage: {schemes: [s3], cache: kept}\n" + LINES
    first = load_recipe(recipe(tmp_path, text)).output_folder
    assert first.is_relative_to(tmp_path / "kept")
    assert location_of(first) == "s3://bucket/run"
    assert load_recipe(recipe(tmp_path, text.replace("/run/", "/run"))).output_folder == first
    assert load_recipe(recipe(tmp_path, text.replace("/run/", "/other"))).output_folder != first


def test_benchmarks_may_be_remote_too(tmp_path: Path) -> None:
    text = "sources: {a: {read: {jsonl: a.jsonl}}}\ndecontaminate: {against: s3://bucket/q.jsonl}\n"
    (fault,) = faults(tmp_path, text)
    assert "recipe.yaml:3:17: " in fault
    assert "add `storage: {schemes: [s3]}`" in fault
    load_recipe(recipe(tmp_path, f"{text}storage: {{schemes: [s3]}}\n"))


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = ObjectStorage(schemes=["s3"])
    monkeypatch.setenv("CORPUSMILL_CACHE", str(tmp_path / "own"))
    assert settings.cache_folder == tmp_path / "own" / "objects"
    monkeypatch.delenv("CORPUSMILL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert settings.cache_folder == tmp_path / "xdg" / "corpusmill" / "objects"


def test_a_fault_of_storage_is_not_told_as_that_nothing_remote_is_allowed(tmp_path: Path) -> None:
    """And no store is asked with settings that are wrong."""
    path = tmp_path / "recipe.yaml"
    lines = "storage: {schemes: [s3], cache_bytes: 1MB}\nsources: {a: {read: {jsonl: s3://bucket/a.jsonl}}}\n"
    path.write_text(f"name: r\noutput: s3://bucket/run\n{lines}")
    with pytest.raises(InvalidRecipeError) as refused:
        load_recipe(path, inputs=True)
    (only,) = str(refused.value).splitlines()
    assert "storage.cache_bytes: must be at least" in only
    path.write_text(path.read_text().replace("[s3]", "[gs]"))
    with pytest.raises(InvalidRecipeError) as refused:
        load_recipe(path, inputs=True)
    assert str(refused.value).count("s3 is not among `storage.schemes`") == 2


def test_etags_tell_objects_of_stores_apart_and_of_the_web_versions_of_one_url() -> None:
    """Web servers make ETags of time and size, which two pages may have alike."""
    reader = Parquet(files=["x"])

    def told(url: str, etag: str = '"65a1b2c3-2000000"') -> str | None:
        return told_by_version(reader, url, (2**25, 0, etag))

    assert told("https://one.example/a.parquet") == told("https://one.example/a.parquet")
    assert told("https://one.example/a.parquet") != told("https://two.example/a.parquet")
    assert told("s3://one/a.parquet") == told("s3://two/a.parquet") is not None
    assert told("s3://one/a.parquet") != told("s3://one/a.parquet", '"another"')
    assert told("https://one.example/a.parquet", 'W/"weak"') is None
