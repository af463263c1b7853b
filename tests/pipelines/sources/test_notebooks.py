"""Jupyter notebooks as text: cells kept, outputs by option, broken ones counted."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from corpusmill.filters.code_quality import CodeQuality
from corpusmill.pipelines.sources.assembly.notebooks import NotebookFault, notebook_text
from corpusmill.pipelines.sources.tar import Tar
from corpusmill.pipelines.sources.tree import Tree
from corpusmill.pipelines.sources.zip import Zip
from tests.oracles.filters_documents import reasons
from tests.oracles.sources_archives import Read, read_all

OUTPUTS = [
    {"output_type": "stream", "name": "stdout", "text": ["one\n", "two\n"]},
    {"output_type": "execute_result", "data": {"text/plain": "3", "image/png": "iVBOR"}, "metadata": {}},
    {"output_type": "display_data", "data": {"image/png": "iVBOR"}},
    {"output_type": "error", "ename": "E", "traceback": ["\x1b[0;31mE\x1b[0m: no"]},
]
CELLS = [
    {"cell_type": "markdown", "source": ["# Title\n", "\n", "Words.\n"]},
    {"cell_type": "code", "source": "x = 1\nprint(x)", "outputs": OUTPUTS, "execution_count": 1},
    {"cell_type": "code", "source": [" \n"], "outputs": []},
    {"cell_type": "raw", "source": "raw"},
    {"cell_type": "code", "source": ["%time y = 2\n"], "outputs": []},
]


def notebook(cells: Any = CELLS, language: str = "python", **more: Any) -> bytes:
    metadata = {"kernelspec": {"name": "k", "language": language}, "language_info": {"name": language}}
    return json.dumps(
        {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells, **more}
    ).encode()


PLAIN = """# %% [markdown]
# # Title
#
# Words.

# %%
x = 1
print(x)

# %% [raw]
# raw

# %%
%time y = 2
"""


def test_cells_in_percent_format() -> None:
    assert notebook_text(notebook(), outputs=False) == (PLAIN, "python")
    with_outputs, _ = notebook_text(notebook(), outputs=True)
    printed = "\n# Output:\n# one\n# two\n# 3\n# E: no\n"
    assert with_outputs == PLAIN.replace("print(x)\n", "print(x)\n" + printed)
    assert notebook_text(notebook([]), outputs=False) == ("", "python")


def test_other_languages_and_kernels() -> None:
    cells = [{"cell_type": "markdown", "source": "Words"}, {"cell_type": "code", "source": "val x = 1"}]
    assert notebook_text(notebook(cells, "scala"), outputs=False) == (
        "// %% [markdown]\n// Words\n\n// %%\nval x = 1\n",
        "scala",
    )
    assert notebook_text(notebook([], "R"), outputs=False)[1] == "r"
    assert notebook_text(notebook([], "ipython"), outputs=False)[1] == "python"
    assert notebook_text(notebook([], "unheard of"), outputs=False)[1] == "jupyter notebook"
    assert notebook_text(b'{"nbformat": 4, "cells": []}', outputs=False)[1] == "jupyter notebook"


def test_older_formats() -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": "Head"},
        {"cell_type": "code", "input": ["x = 1"], "outputs": [{"output_type": "pyout", "text": ["1"]}]},
    ]
    old = json.dumps({"nbformat": 3, "metadata": {}, "worksheets": [{"cells": cells}]}).encode()
    assert notebook_text(old, outputs=True)[0] == (
        "# %% [markdown]\n# ## Head\n\n# %%\nx = 1\n\n# Output:\n# 1\n"
    )


BROKEN = {
    b"": "no JSON",
    b"{": "no JSON",
    b"[]": "no `nbformat`",
    b'{"nbformat": "4"}': "no `nbformat`",
    b'{"nbformat": 5, "cells": []}': "nbformat 5 is not known",
    b'{"nbformat": 4}': "no list of `cells`",
    b'{"nbformat": 3, "worksheets": 1}': "no list of `worksheets`",
    b'{"nbformat": 4, "cells": [1]}': "cell 0 is no mapping",
    b'{"nbformat": 4, "cells": [{"cell_type": "movie", "source": ""}]}': "type 'movie'",
    b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": 1}]}': "`source` is no text",
    b'{"nbformat": 4, "cells": [{"cell_type": "code"}]}': "`source` is no text",
    b'{"nbformat": 4, "x": ' + b"[" * 600 + b"]" * 600 + b"}": "nested more than 512 levels",
}


@pytest.mark.parametrize("content", BROKEN)
def test_broken_notebooks_are_told(content: bytes) -> None:
    with pytest.raises(NotebookFault, match=BROKEN[content]):
        notebook_text(content, outputs=False)
    bad = b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": "", "outputs": 3}]}'
    assert notebook_text(bad, outputs=False)[0] == ""
    with pytest.raises(NotebookFault, match="outputs"):
        notebook_text(bad, outputs=True)


def _read(tmp_path: Path, kind: str, files: dict[str, bytes], **options: Any) -> Read:
    if kind == "tree":
        found = Read([])
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
            one = read_all(Tree(files=["x"], **options), tmp_path / name, name)
            found.rows += one.rows
            found.removed += one.removed
            found.quarantined += one.quarantined
        return found
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return read_all(Zip(files=["x"], **options), path)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return read_all(Tar(files=["x"], **options), path)


@pytest.mark.parametrize("kind", ["tree", "zip", "tar"])
def test_readers_make_text_of_notebooks(tmp_path: Path, kind: str) -> None:
    image = [{"output_type": "display_data", "data": {"image/png": "A" * 5000}}]
    files = {
        "p/a.ipynb": notebook(),
        "p/image.ipynb": notebook([{"cell_type": "code", "source": "x", "outputs": image}]),
        "p/bad.ipynb": b"{",
        "p/nul.ipynb": notebook([{"cell_type": "code", "source": "a\0b"}]),
        "p/half.ipynb": notebook([{"cell_type": "code", "source": "\ud800"}]),
        "p/long.ipynb": notebook([{"cell_type": "code", "source": "y" * 3000}]),
        "p/huge.ipynb": notebook([{"cell_type": "code", "source": "y" * 30_000}]),
    }
    limits = {"max_record_bytes": 2000, "max_notebook_bytes": 20_000}
    found = _read(tmp_path, kind, files, **limits)
    assert [(row["path"], row["text"]) for row in found.rows] == [
        ("a.ipynb", PLAIN),
        ("image.ipynb", "# %%\nx\n"),
    ]
    assert json.loads(found.rows[0]["meta"]) == {"code_language": "python"}
    assert found.whys == {"bad_notebook": 1, "binary": 1, "bad_utf8": 1, "too_large": 2}
    stored = _read(tmp_path, kind, {"p/a.ipynb": notebook()}, notebooks="json", max_record_bytes=10_000)
    assert stored.texts == [notebook().decode()]
    assert json.loads(stored.rows[0]["meta"]) == {"code_language": "jupyter notebook"}
    shown = _read(tmp_path, kind, {"p/a.ipynb": notebook()}, notebooks="outputs")
    assert "# Output:\n# one\n" in shown.texts[0]


def test_the_quality_of_a_notebook_is_that_of_its_code() -> None:
    code = PLAIN + "for name in names:\n    print(name, len(name))\n" * 200
    stored = '{"cells": [' + '"some words here",' * 1000 + "0]}"
    assert reasons(CodeQuality(), [code, stored], path=["p/a.ipynb"] * 2) == [None, "data_size"]
