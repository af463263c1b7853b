"""`corpusmill init`: the recipe that it writes for a folder is valid, tells what lies there, and runs."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.run.runner import run_recipe
from tests.filters.folders_of_data import HAFEN, MINATO, SEA, arrow, parquet, rows, some, tar, zipped

WARC = (
    b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/\r\n"
    b"WARC-Date: 2026-01-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:0>\r\n"
    b"Content-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n"
)
PAGE = f"<html><body><h1>The harbour</h1><p>{SEA}</p><p>{SEA}</p></body></html>"
HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE.encode()
RECORD = WARC % (len(HTTP), HTTP)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"a.jsonl": some(SEA)}, {"jsonl": ("jsonl", ["*.jsonl"], {})}),
        ({"a.jsonl": some(SEA, "body")}, {"jsonl": ("jsonl", ["*.jsonl"], {"text_field": "body"})}),
        ({"x/a.jsonl.gz": gzip.compress(some(SEA).encode())}, {"x": ("jsonl", ["x/*.jsonl.gz"], {})}),
        (
            {"chat.json": rows({"id": 1, "turns": [{"from": "a", "value": SEA}]})},
            {"jsonl": ("jsonl", ["*.json"], {"text_field": "turns", "template": "{from}: {value}"})},
        ),
        (
            {"a.jsonl": rows({"meta": {"content": SEA}, "id": "1"})},
            {"jsonl": ("jsonl", ["*.jsonl"], {"text_field": "meta.content"})},
        ),
        ({"a.parquet": parquet(id=[1], text=[SEA])}, {"parquet": ("parquet", ["*.parquet"], {})}),
        (
            {"p/b/a.parquet": parquet(url=["u"], raw_content=[SEA])},
            {"p": ("parquet", ["p/**/*.parquet"], {"text_field": "raw_content"})},
        ),
        (
            {"a.arrow": arrow(stream=True, body=[SEA]), "b.arrow": arrow(stream=False, body=[SEA])},
            {"arrow": ("arrow", ["*.arrow"], {"text_field": "body"})},
        ),
        ({"a.csv": f"id,text\n1,{SEA}\n"}, {"csv": ("csv", ["*.csv"], {})}),
        (
            {"a.tsv": f"id\tnote\n1\t{SEA}\n"},
            {"csv": ("csv", ["*.tsv"], {"delimiter": "\t", "text_field": "note"})},
        ),
        ({"a.csv": f"id;text\n1;{SEA}\n"}, {"csv": ("csv", ["*.csv"], {"delimiter": ";"})}),
        ({"w/a.warc.gz": gzip.compress(RECORD)}, {"w": ("warc", ["w/*.warc.gz"], {})}),
        ({"a.html": PAGE}, {"html": ("html", ["*.html"], {})}),
        ({"a.txt": SEA, "b.md": HAFEN}, {"text": ("text", ["*.md", "*.txt"], {})}),
        ({"code/src/a.py": "x = 1\n", "code/README.md": SEA}, {"code": ("tree", ["code"], {})}),
        (
            {"m/a.py": "x = 1\n", "m/b.c": "int x;\n", "m/d.jsonl": some(SEA)},
            {"m-jsonl": ("jsonl", ["m/*.jsonl"], {}), "m-tree": ("tree", ["m"], {"include": [".c", ".py"]})},
        ),
        ({"a.tar.gz": tar("r/a.py", "r/b.txt")}, {"tar": ("tar", ["*.tar.gz"], {})}),
        ({"a.zip": zipped("r/a.py", "r/notes.txt")}, {"zip": ("zip", ["*.zip"], {"include": []})}),
        (
            {"a.zip": zipped("n/1.txt", "n/2.md"), "b.tar.gz": tar("n/1.txt", "n/LICENSE")},
            {
                "zip": ("zip", ["*.zip"], {"include": [".md", ".txt"]}),
                "tar": ("tar", ["*.tar.gz"], {"include": [".txt"]}),
            },
        ),
        (
            {
                "d/a.jsonl": some(SEA),
                "d/b.ndjson": some(SEA, "body"),
                "d/c.jsonl.gz": gzip.compress(some(SEA).encode()),
            },
            {
                "d-jsonl": ("jsonl", ["d/*.jsonl", "d/*.jsonl.gz"], {}),
                "d-jsonl-2": ("jsonl", ["d/*.ndjson"], {"text_field": "body"}),
            },
        ),
        ({"part-00000": some(SEA)}, {"jsonl": ("jsonl", ["part-00000"], {})}),
        (
            {"[CC] 2024/a b/x (1).jsonl": some(SEA), "[CC] 2024/a b/y [2].jsonl": some(SEA)},
            {"cc-2024": ("jsonl", ["[CC] 2024/**/*.jsonl"], {})},
        ),
        (
            {"d/a.jsonl": some(SEA), "d/b.jsonl": some(SEA, "body"), "d/c.jsonl": '[{"text": "x"}]'},
            {
                "d-jsonl": ("jsonl", ["d/a.jsonl"], {}),
                "d-jsonl-2": ("jsonl", ["d/b.jsonl"], {"text_field": "body"}),
            },
        ),
        (
            {"a.jsonl": rows({"date": "2026-01-02", "turns": [{"role": "a", "content": "Hello."}]})},
            {"jsonl": ("jsonl", ["*.jsonl"], {"text_field": "turns", "template": "{role}: {content}"})},
        ),
        (
            {"a.jsonl": rows({"instruction": SEA, "input": "", "output": HAFEN})},
            {"jsonl": ("jsonl", ["*.jsonl"], {"text_from": ["instruction", "input", "output"]})},
        ),
        ({"train/a.jsonl": some(SEA)}, {"train-files": ("jsonl", ["train/*.jsonl"], {})}),
        ({"日本/a.txt": MINATO}, {"text": ("text", ["日本/*.txt"], {})}),
        (
            {"no/a.txt": SEA, "1e5/a.txt": SEA},
            {"no": ("text", ["no/*.txt"], {}), "1e5": ("text", ["1e5/*.txt"], {})},
        ),
    ],
)  # fmt: skip
def test_what_lies_there_becomes_sources(
    init: Callable[..., Recipe],
    files: dict[str, str | bytes],
    found: dict[str, tuple[str, list[str], dict[str, object]]],
) -> None:
    recipe = init(files)
    assert {source.name for source in recipe.sources} == set(found)
    for name, (kind, patterns, options) in found.items():
        reader = recipe.source(name).reader
        assert (reader.name, reader.files) == (kind, patterns)
        told = reader.model_dump()
        assert {key: told[key] for key in options} == options


def test_files_without_records_make_no_source_of_their_own(
    init: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = init({"a.jsonl": some(SEA), "b.jsonl": "\n\n", "c.parquet": parquet(text=[])})
    assert [(source.name, source.reader.files) for source in recipe.sources] == [("jsonl", ["*.jsonl"])]
    assert "# - c.parquet: no record is in it" in (tmp_path / "r.yaml").read_text()


def test_source_code_is_code_with_its_licence_and_documents_of_offices_are_none(
    init: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = init(
        {
            "code/app/a.py": "x = 1\n",
            "code/app/LICENSE": "MIT License",
            "table.xlsx": zipped("[Content_Types].xml", "xl/workbook.xml"),
        }
    )
    assert [(source.name, source.domain, source.steps) for source in recipe.sources] == [("code", "code", ())]
    text = (tmp_path / "r.yaml").read_text()
    assert "LICENSE" not in text
    assert "# - table.xlsx: it is a document of an office program (it holds [Content_Types].xml)" in text


def test_languages_sizes_and_what_is_not_read_are_said(init: Callable[..., Recipe], tmp_path: Path) -> None:
    texts = [SEA, SEA, HAFEN, MINATO]
    init(
        {
            "a.jsonl": rows(*({"text": text} for text in texts)),
            "b.pdf": b"%PDF-1.7",
            "list.json": '[{"text": "x"}]',
            "empty.txt": b"",
        }
    )
    text = (tmp_path / "r.yaml").read_text()
    assert re.search(r"# 1 file; \d+ bytes; en 50%, (de 25%, ja 25%|ja 25%, de 25%) of the 4 texts", text)
    assert "# - b.pdf: no reader reads PDF" in text
    assert "# - empty.txt: empty" in text
    assert "# - list.json: it is one JSON list" in text


def test_a_source_whose_first_records_have_no_text_may_keep_nothing(
    init: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = init({"a.jsonl": rows(*({"text": ""} for _ in range(3))), "b/b.jsonl": some(SEA)})
    assert [source.allow_loss for source in recipe.sources] == [1.0, 0.99]


def test_files_that_cannot_be_read_are_left_out_and_the_others_named(
    init: Callable[..., Recipe], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "broken.jsonl").symlink_to(tmp_path / "nowhere")
    recipe = init({"a.jsonl": some(SEA), "b.jsonl": some(HAFEN)})
    assert "# - broken.jsonl: links that lead to no file" in (tmp_path / "r.yaml").read_text()
    assert recipe.sources[0].reader.files in (["*.jsonl"], ["a.jsonl", "b.jsonl"])


def test_runs_among_the_data_are_passed_over(init: Callable[..., Recipe]) -> None:
    recipe = init({"a.jsonl": some(SEA), "runs/x/current.json": "{}", "runs/x/steps/b.jsonl": some(SEA)})
    assert [source.reader.files for source in recipe.sources] == [["*.jsonl"]]
    with pytest.raises(UserError, match=re.escape("(.: a run of corpusmill)")):
        CliRunner().invoke(app, ["init", "data/runs/x", "--output", "x.yaml"], catch_exceptions=False)


def test_a_folder_named_by_dots_gives_its_recipe_the_name_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / "inner").mkdir(parents=True)
    (tmp_path / "data" / "a.jsonl").write_text(some(SEA))
    monkeypatch.chdir(tmp_path / "data" / "inner")
    CliRunner().invoke(app, ["init", ".."], catch_exceptions=False)
    assert [path.name for path in Path().iterdir()] == ["data.yaml"]


def test_it_is_refused_where_there_is_nothing_and_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()

    def refused(*words: str) -> str:
        with pytest.raises(UserError) as caught:
            CliRunner().invoke(app, ["init", *words], catch_exceptions=False)
        return str(caught.value)

    assert refused("data") == "data: holds nothing that a reader reads (it is empty); name another folder"
    (tmp_path / "data" / "a.pdf").write_bytes(b"%PDF-1.7")
    assert "(a.pdf: no reader reads PDF)" in refused("data")
    (tmp_path / "my data").mkdir()
    (tmp_path / "my data" / "a.txt").write_text(SEA)
    told = (
        CliRunner().invoke(app, ["init", "my data", "--out", "my data.yaml"], catch_exceptions=False).stdout
    )
    assert told.splitlines()[-1].endswith("corpusmill plan 'my data.yaml' tells what it would do")
    assert refused("nothing") == "nothing: no such folder; name a folder of data"
    (tmp_path / "data.yaml").write_text("mine")
    assert refused("data") == "data.yaml: is there already; name a new file with --output"
    assert (tmp_path / "data.yaml").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "data",
        "data.yaml",
        "my data",
        "my data.yaml",
    ]


def test_the_recipe_runs_as_it_is_and_with_its_comments_taken_away(
    init: Callable[..., Recipe], tmp_path: Path
) -> None:
    init(
        {
            "notes/a.jsonl": some(SEA, "body"),
            "table.csv": f"id;note\n1;{HAFEN}\n2;{MINATO}\n",
            "code/a.py": "def f():\n    return 1\n",
            "tiny.txt": "a",
        }
    )
    text = (tmp_path / "r.yaml").read_text()
    plain = text.replace("name: r\n", "name: r\nengine: {kind: inline}\n")
    run = run_recipe(load_recipe(tmp_path / "r.yaml", inputs=True, content=plain.encode()))
    assert run.manifest("dedup.minhash").step == "dedup.minhash"
    assert sum(documents for documents, _ in run.manifest("notes").sources.values()) == 4
    whole = re.sub(r"^# (tokenizer:|mixture:|  weights:|pack:)", r"\1", text, flags=re.MULTILINE)
    whole = re.sub(r"^      # - ", "      - ", whole, flags=re.MULTILINE)
    made = load_recipe(tmp_path / "r.yaml", inputs=True, content=whole.encode())
    assert {"tokenizer", "mixture", "pack"} <= set(made.sections)
