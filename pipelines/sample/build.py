"""`build_sample`: the folder of a sample corpus, written atomically and deterministically."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.sample import benchmarks, gather, warc
from corpusmill.pipelines.sample.installed import Package, installed_packages, mix
from corpusmill.pipelines.sample.pages import PageSource, render

Row = dict[str, Any]

VERSION = 1  # of what is written; a change makes older samples stale
SUMMARY = "SAMPLE.json"
_UNFINISHED = "SAMPLE.unfinished"
_SHARES = {"web": 0.42, "code": 0.33, "prose": 0.12, "math": 0.13}  # of the bytes asked for
_READ = 2.4  # bytes of docstrings to read for one of HTML: most packages fill less than their share
_WEB_FILES = 4
_CODE_FILES = 3
_FILE_NAME = re.compile(r"(code|prose|web|math|benchmarks)/[a-z0-9-]+(\.[a-z]+)+")
_MIRRORED = 29  # one page in so many also stands on a mirror, in another layout


def build_sample(folder: Path, *, megabytes: int = 30) -> dict[str, Any]:
    """Build a corpus of about `megabytes` million bytes of text in `folder`; return its summary.

    Writes `code/*.jsonl.zst`, `code/interfaces.parquet`, `prose/*.jsonl.gz`, `prose/descriptions.jsonl`,
    `web/*.warc.gz`, `math/*.jsonl.zst` and `benchmarks/*.jsonl.zst`. Only reads what is installed. The same
    environment gives the same bytes. A finished sample of the same environment and size is verified by
    its hashes and kept; another or a broken one is replaced. Raises UserError if `folder` holds
    anything that is not a sample, or if `megabytes` is not between 2 and 200.
    """
    if not 2 <= megabytes <= 200:
        raise UserError(f"a sample has 2 to 200 megabytes, not {megabytes}")
    packages = installed_packages()
    fingerprint = _fingerprint(packages, megabytes)
    old = _claim(folder)
    if old is not None and old.get("fingerprint") == fingerprint and _intact(folder, old):
        return old
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _UNFINISHED).write_text(fingerprint + "\n", encoding="utf-8")
    for name in (old or {}).get("files", {}):
        (folder / name).unlink(missing_ok=True)
    (folder / SUMMARY).unlink(missing_ok=True)

    files = _write_all(folder, packages, megabytes * 1_000_000)
    summary: dict[str, Any] = {
        "version": VERSION,
        "fingerprint": fingerprint,
        "megabytes": megabytes,
        "files": files,
        "totals": _totals(files),
        "packages": {package.name: package.version for package in packages},
    }
    text = json.dumps(summary, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    _write(folder, SUMMARY, text.encode())
    (folder / _UNFINISHED).unlink()
    return summary


def _write_all(folder: Path, packages: list[Package], budget: int) -> dict[str, dict[str, Any]]:
    """All data files; returns, by name, documents, bytes of text, bytes of file and sha256."""
    budgets = {name: int(budget * share) for name, share in _SHARES.items()}
    files: dict[str, dict[str, Any]] = {}

    def put(name: str, rows: list[Row], encode: Callable[[list[Row]], bytes]) -> None:
        if rows:
            data = encode(rows)
            text = sum(len(row["text"].encode()) for row in rows)
            files[name] = _write(folder, name, data) | {"documents": len(rows), "text_bytes": text}

    code = gather.code_rows(packages, budgets["code"])
    interfaces = [row for row in code if row["path"].endswith(".pyi")]
    sources = [row for row in code if not row["path"].endswith(".pyi")]
    for index in range(_CODE_FILES):
        put(f"code/sources-{index:02d}.jsonl.zst", sources[index::_CODE_FILES], _zstd_lines)
    put("code/interfaces.parquet", interfaces, _parquet)

    pages, mathematics, module_prose = gather.documentation(packages, int(_READ * budgets["web"]))
    put("math/docstrings-00.jsonl.zst", _thinned(mathematics, budgets["math"]), _zstd_lines)

    prose = gather.prose_rows(packages, budgets["prose"])
    described = [row for row in prose if row["path"] == "METADATA"]
    documents = [row for row in prose if row["path"] != "METADATA"] + benchmarks.worksheets()
    left = max(0, budgets["prose"] - sum(len(row["text"].encode()) for row in prose))
    put("prose/descriptions.jsonl", described, _lines)
    put("prose/documents-00.jsonl.gz", documents, _gzip_lines)
    put("prose/docstrings-00.jsonl.gz", _thinned(module_prose, left), _gzip_lines)

    files.update(_write_web(folder, pages, budgets["web"]))
    held_out = benchmarks.passages([*documents, *mathematics])
    put("benchmarks/passages.jsonl.zst", held_out, _zstd_lines)
    put("benchmarks/questions.jsonl.zst", benchmarks.questions(), _zstd_lines)
    return files


def _thinned(rows: list[Row], budget: int) -> list[Row]:
    """Rows up to `budget` bytes of text, chosen by their ids, in order of id."""
    kept, spent = [], 0
    for row in sorted(rows, key=lambda r: mix(str(r["id"]))):
        if spent >= budget:
            break
        spent += len(row["text"].encode())
        kept.append(row)
    return sorted(kept, key=lambda r: str(r["id"]))


def _write_web(folder: Path, pages: list[PageSource], budget: int) -> dict[str, dict[str, Any]]:
    """WARC files of rendered pages up to `budget` bytes of HTML, with what else a crawl brings home."""
    members: list[list[bytes]] = [[] for _ in range(_WEB_FILES)]
    documents, text_bytes, spent = [0] * _WEB_FILES, [0] * _WEB_FILES, 0
    hosts: set[str] = set()
    for page in sorted(pages, key=lambda p: mix(p.uri)):
        if spent >= budget:
            break
        at = mix(page.package) % _WEB_FILES
        uri = page.uri
        host = uri.split("/")[2]
        if host not in hosts:
            hosts.add(host)
            members[at] += _first_contact(host)
        copies = [(uri, render(page))]
        if mix(uri) % _MIRRORED == 0:
            copies.append(
                (uri.replace(".docs.example", ".mirror.example"), render(page, layout=mix(uri) // 64))
            )
        for address, markup in copies:
            payload, content_type = _encoded(markup, address)
            members[at] += [warc.request(address), warc.response(address, payload, content_type)]
            documents[at] += 1
            text_bytes[at] += len(payload)
            spent += len(payload)
    files = {}
    for at in range(_WEB_FILES):
        name = f"web/docs-{at:05d}.warc.gz"
        records = [warc.warcinfo(name.rpartition("/")[2]), *members[at]]
        data = b"".join(warc.gzip_member(record) for record in records)
        files[name] = _write(folder, name, data) | {"documents": documents[at], "text_bytes": text_bytes[at]}
    return files


def _first_contact(host: str) -> list[bytes]:
    """Records that are not pages: robots.txt, a missing page, a redirect, an image."""
    pixel = bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")
    missing = (
        f"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1><p>{host}</p></body></html>"
    )
    return [
        warc.response(f"https://{host}/robots.txt", b"User-agent: *\nAllow: /\n", "text/plain"),
        warc.response(f"https://{host}/old.html", missing.encode(), "text/html", "404 Not Found"),
        warc.response(f"https://{host}/", b"", "text/html", "301 Moved Permanently", Location="/index.html"),
        warc.response(f"https://{host}/pixel.gif", pixel, "image/gif"),
    ]


def _encoded(markup: str, uri: str) -> tuple[bytes, str]:
    """Bytes and Content-Type: mostly UTF-8, some windows-1252 where the text allows."""
    if mix(uri) % 20 == 0:
        try:
            return markup.replace("utf-8", "windows-1252", 1).encode(
                "cp1252"
            ), "text/html; charset=windows-1252"
        except UnicodeEncodeError:
            return markup.encode(), "text/html; charset=UTF-8"
    return markup.encode(), "text/html; charset=utf-8" if mix(uri) % 3 else "text/html"


def _lines(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows).encode()


def _gzip_lines(rows: list[Row]) -> bytes:
    return gzip.compress(_lines(rows), compresslevel=6, mtime=0)


def _zstd_lines(rows: list[Row]) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=6, write_checksum=True, write_content_size=True).compress(
        _lines(rows)
    )


def _parquet(rows: list[Row]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, sink, compression="zstd", row_group_size=100, write_page_checksum=True)
    return bytes(sink.getvalue().to_pybytes())


def _write(folder: Path, name: str, data: bytes) -> dict[str, Any]:
    """Write one file under a temporary name, then rename it."""
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(place.name + ".partial")
    partial.write_bytes(data)
    partial.replace(place)
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _totals(files: dict[str, dict[str, Any]]) -> dict[str, dict[str, int]]:
    totals: dict[str, dict[str, int]] = {}
    for name, facts in files.items():
        total = totals.setdefault(name.partition("/")[0], {"documents": 0, "text_bytes": 0, "bytes": 0})
        for key in total:
            total[key] += facts[key]
    return totals


def _fingerprint(packages: list[Package], megabytes: int) -> str:
    stated = [VERSION, megabytes, [(p.name, p.version) for p in packages]]
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()


def _claim(folder: Path) -> dict[str, Any] | None:
    """The summary of the sample in `folder`, {} for an unfinished one, None for an empty or new folder."""
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; name a new or empty one for the sample")
    summary = folder / SUMMARY
    if summary.is_file():
        try:
            found = json.loads(summary.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(
                f"{summary} is not the summary of a sample ({error}); name another folder"
            ) from error
        names = found.get("files") if isinstance(found, dict) else None
        # Listed files may be replaced, so none of them may lie outside the folder.
        if (
            isinstance(names, dict)
            and "fingerprint" in found
            and all(_FILE_NAME.fullmatch(name) for name in names)
        ):
            return dict(found)
        raise UserError(f"{summary} is not the summary of a sample; name another folder")
    if (folder / _UNFINISHED).is_file():
        return {}
    if any(folder.iterdir()):
        raise UserError(f"{folder} is not empty and holds no sample ({SUMMARY}); name a new or empty folder")
    return None


def _intact(folder: Path, summary: dict[str, Any]) -> bool:
    for name, facts in summary["files"].items():
        place = folder / name
        if not place.is_file() or hashlib.sha256(place.read_bytes()).hexdigest() != facts["sha256"]:
            return False
    return True
