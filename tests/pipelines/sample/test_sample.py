"""The sample: real, deterministic, capped, in true formats; refuses what is not its own."""

from __future__ import annotations

import gzip
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.sample.build import SUMMARY, build_sample
from corpusmill.pipelines.sample.docstrings import docstrings
from corpusmill.pipelines.sample.markup import math_as_tex, to_html


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("sample") / "data"
    return folder, build_sample(folder, megabytes=3)


def rows(folder: Path, pattern: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq
    import zstandard

    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob(pattern)):
        data = path.read_bytes()
        if path.suffix == ".parquet":
            found += pq.read_table(path).to_pylist()
            continue
        if path.suffix == ".zst":
            data = zstandard.ZstdDecompressor().decompress(data)
        elif path.suffix == ".gz":
            data = gzip.decompress(data)
        found += [json.loads(line) for line in data.splitlines()]
    return found


def test_holds_every_kind_and_about_the_bytes_asked_for(sample: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = sample
    assert json.loads((folder / SUMMARY).read_text()) == summary
    totals = summary["totals"]
    assert set(totals) == {"code", "prose", "web", "math", "benchmarks"}
    assert 2_250_000 < sum(total["text_bytes"] for total in totals.values()) < 3_750_000
    listed = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert listed == {*summary["files"], SUMMARY}


def test_code_is_varied_and_no_package_dominates(sample: tuple[Path, dict[str, Any]]) -> None:
    code = rows(sample[0], "code/*")
    sizes: dict[str, int] = {}
    for row in code:
        sizes[row["repo"]] = sizes.get(row["repo"], 0) + len(row["text"].encode())
    assert max(sizes.values()) <= 0.3 * sum(sizes.values())
    assert {"python", "c", "javascript"} <= {row["language"] for row in code} or len(
        {r["language"] for r in code}
    ) >= 6
    assert len({row["id"] for row in code}) == len(code)
    assert any(row["license"] for row in code)


def test_web_is_a_sound_warc(sample: tuple[Path, dict[str, Any]]) -> None:
    archiveiterator = pytest.importorskip("warcio.archiveiterator")
    kinds: dict[str, int] = {}
    types: set[str] = set()
    for path in sorted((sample[0] / "web").glob("*.warc.gz")):
        with path.open("rb") as stream:
            for record in archiveiterator.ArchiveIterator(stream, check_digests="raise"):
                kinds[record.rec_type] = kinds.get(record.rec_type, 0) + 1
                if record.rec_type == "response":
                    types.add(record.http_headers.get_header("Content-Type").partition(";")[0])
                    assert int(record.http_headers.get_header("Content-Length")) == len(
                        record.content_stream().read()
                    )
    assert kinds["warcinfo"] == 4
    assert kinds["response"] > kinds["request"] > 20
    assert {"text/html", "text/plain", "image/gif"} <= types


def test_mathematics_holds_tex(sample: tuple[Path, dict[str, Any]]) -> None:
    math = rows(sample[0], "math/*")
    assert len(math) > 50
    assert sum("$" in row["text"] for row in math) > 0.9 * len(math)
    assert not any(".. math::" in row["text"] for row in math[:20])


def test_some_of_the_held_out_set_is_in_the_corpus(sample: tuple[Path, dict[str, Any]]) -> None:
    held_out = rows(sample[0], "benchmarks/*")
    corpus = " ".join(
        " ".join(row["text"].split()) for row in [*rows(sample[0], "prose/*"), *rows(sample[0], "math/*")]
    )
    present = [" ".join(row["text"].split()) in corpus for row in held_out]
    leaked = [row["meta"]["leaked"] for row in held_out]
    assert all(here or not expected for here, expected in zip(present, leaked, strict=True))
    assert not any(here and not expected for here, expected in zip(present, leaked, strict=True))
    assert 0 < sum(leaked) < len(held_out)


def test_is_reused_rebuilt_and_identical(sample: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, summary = sample
    name = next(iter(summary["files"]))
    stamp = (folder / name).stat().st_mtime_ns
    assert build_sample(folder, megabytes=3) == summary
    assert (folder / name).stat().st_mtime_ns == stamp
    again = shutil.copytree(folder, tmp_path / "again")
    stamps = {path: (again / path).stat().st_mtime_ns for path in summary["files"]}
    (again / name).write_bytes(b"damaged")
    assert build_sample(again, megabytes=3) == summary
    for path, old in stamps.items():  # all are written anew for the sake of one
        assert (again / path).stat().st_mtime_ns != old
        assert (again / path).read_bytes() == (folder / path).read_bytes()


def test_refuses_what_is_not_a_sample(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        build_sample(tmp_path)
    (tmp_path / SUMMARY).write_text('{"fingerprint": "x", "files": {"../thesis.txt": {}}}')
    with pytest.raises(UserError, match="not the summary"):
        build_sample(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    with pytest.raises(UserError, match="not a folder"):
        build_sample(tmp_path / "thesis.txt")
    with pytest.raises(UserError, match="megabytes"):
        build_sample(tmp_path / "new", megabytes=1)


def test_docstrings_of_a_source() -> None:
    source = (
        '#!/usr/bin/env python\n"""The module.\n\nMore."""\n\nX = """not one"""\n\n'
        'class Mill(Base):\n    r"""Grinds \\alpha."""\n\n'
        "    async def turn(\n        self, n: int\n    ) -> None:\n"
        '        """Turn it.\n\n            indented\n        back\n        """\n\n    """stray"""\n'
    )
    assert [(d.kind, d.name, d.text) for d in docstrings(source)] == [
        ("module", "", "The module.\n\nMore."),
        ("class", "Mill", "Grinds \\alpha."),
        ("def", "turn", "Turn it.\n\n    indented\nback"),
    ]
    assert docstrings('x = 1\n"""unterminated') == []


def test_markup() -> None:
    text = "Sum :math:`a<b` of ``x``.\n\n.. math::\n\n    \\int_0^1 f\n\n>>> 1 < 2\nTrue\n\n- one\n- two"
    assert (
        math_as_tex(text) == "Sum $a<b$ of ``x``.\n\n$$\n\\int_0^1 f\n$$\n\n>>> 1 < 2\nTrue\n\n- one\n- two"
    )
    html = to_html(text, "script")
    assert '<script type="math/tex">a<b</script>' in html
    assert '<script type="math/tex; mode=display">\\int_0^1 f</script>' in html
    assert "<pre>&gt;&gt;&gt; 1 &lt; 2\nTrue</pre>" in html
    assert "<ul><li>one</li><li>two</li></ul>" in html
    assert 'alttext="a&lt;b"' in to_html(text, "mathml")


def test_pages_give_their_text_and_formulas_back(sample: tuple[Path, dict[str, Any]]) -> None:
    import pyarrow as pa
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.sources.extract import Extract

    raw: list[bytes] = []
    kinds: list[str] = []
    for path in sorted((sample[0] / "web").glob("*.warc.gz")):
        for record in ArchiveIterator(io.BytesIO(path.read_bytes()), record_types=WarcRecordType.response):
            http = record.http_headers
            kind = (http.get("Content-Type") if http is not None else None) or ""
            if http is not None and http.status_code == 200 and kind.startswith("text/html"):
                raw.append(record.reader.read())
                kinds.append(kind)
    n = len(raw)
    table = pa.table(
        {
            "text": pa.nulls(n, pa.large_string()),
            "meta": pa.array(["{}"] * n),
            "raw": pa.array(raw, pa.large_binary()),
            "content_type": pa.array(kinds),
        }
    )
    outcome = Extract().apply(Documents(table))
    texts = [text or "" for text in outcome.documents.text.to_pylist()]
    assert outcome.reasons.null_count > 0.97 * n
    assert outcome.faults.null_count > 0.97 * n
    assert not any("newsletter" in text.lower() and "Accept" in text for text in texts)
    assert sum("$" in text for text in texts) > 10
