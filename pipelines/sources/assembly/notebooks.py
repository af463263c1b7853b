"""Jupyter notebooks (nbformat 2 to 4) as text in the percent format, which jupytext, VS Code and Spyder read.

A code cell stands as it is behind a line `# %%`; a Markdown cell behind `# %% [markdown]`, and a raw one
behind `# %% [raw]`, as comments of the notebook's language. Unlike jupytext, magics (`%time`, `!ls`) are not
commented out, cells' tags and the notebook's metadata are left out, and cells of white space alone too.
Outputs, where wanted, follow their cell as comments behind `# Output:`: what a cell printed and returned as
plain text, tracebacks included; images and HTML are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from corpusmill.pipelines.sources.assembly.code_languages import CODE_LANGUAGES
from corpusmill.pipelines.sources.assembly.json_limits import load_json

NOTEBOOK = "jupyter notebook"
_COMMENTS = {
    **dict.fromkeys(("c", "c#", "c++", "d", "dart", "f#", "go", "groovy", "java", "javascript"), "//"),
    **dict.fromkeys(("kotlin", "php", "rust", "scala", "swift", "typescript"), "//"),
    **dict.fromkeys(("haskell", "lua", "sql"), "--"),
    **dict.fromkeys(("clojure", "common lisp", "racket", "scheme"), ";;"),
    **dict.fromkeys(("erlang", "matlab", "prolog"), "%"),
}
_KERNELS = {"ipython": "python", "python3": "python", "octave": "matlab", "bash": "shell", "cpp": "c++"}
_ESCAPES = re.compile(r"\x1b\[[0-9;]{0,20}m")  # colours of tracebacks


class NotebookFault(ValueError):  # noqa: N818  # a fact about a file, that is counted
    """Why a file is no notebook, in words."""


def notebook_text(content: bytes, outputs: bool) -> tuple[str, str]:
    """The text of a notebook and its language, "jupyter notebook" where that is not known.

    Raises NotebookFault.
    """
    try:
        record = load_json(content.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        raise NotebookFault(f"it is no JSON ({error})") from error
    if not isinstance(record, dict) or not isinstance(record.get("nbformat"), int):
        raise NotebookFault("it has no `nbformat`")
    if record["nbformat"] not in (2, 3, 4):
        raise NotebookFault(f"nbformat {record['nbformat']} is not known")
    language = _language(record.get("metadata"))
    mark = _COMMENTS.get(language, "#")
    parts = [part for cell in _cells(record) for part in _cell(cell, mark, outputs)]
    return "\n".join(parts), language


def _language(metadata: Any) -> str:
    for outer, inner in (("language_info", "name"), ("kernelspec", "language"), ("kernelspec", "name")):
        section = metadata.get(outer) if isinstance(metadata, dict) else None
        name = section.get(inner) if isinstance(section, dict) else None
        if isinstance(name, str):
            name = _KERNELS.get(name.lower(), name.lower())
            if name in CODE_LANGUAGES.values() or name in _COMMENTS:
                return name
    return NOTEBOOK


def _cells(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    sheets = record.get("worksheets") if record["nbformat"] < 4 else [record]
    if not isinstance(sheets, list):
        raise NotebookFault("it has no list of `worksheets`")
    for sheet in sheets:
        cells = sheet.get("cells") if isinstance(sheet, dict) else None
        if not isinstance(cells, list):
            raise NotebookFault("it has no list of `cells`")
        for number, cell in enumerate(cells):
            if not isinstance(cell, dict):
                raise NotebookFault(f"cell {number} is no mapping")
            yield cell


def _cell(cell: dict[str, Any], mark: str, outputs: bool) -> Iterator[str]:
    kind = cell.get("cell_type")
    source = _joined(cell.get("source", cell.get("input")), "source")
    if kind == "heading":  # of nbformat 3
        level = cell.get("level")
        depth = level if isinstance(level, int) and 0 < level < 7 else 1
        kind, source = "markdown", f"{'#' * depth} {source}"
    if kind not in ("code", "markdown", "raw", "html"):
        raise NotebookFault(f"a cell of the type {str(kind)[:40]!r}")
    if source.strip():
        yield f"{mark} %%" if kind == "code" else f"{mark} %% [{'raw' if kind == 'html' else kind}]"
        yield (source.rstrip("\n") if kind == "code" else _commented(source, mark)) + "\n"
    if kind == "code" and outputs:
        printed = "".join(_outputs(cell.get("outputs")))
        if printed.strip():
            yield f"{mark} Output:\n{_commented(printed, mark)}\n"


def _outputs(outputs: Any) -> Iterator[str]:
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise NotebookFault("a cell without a list of `outputs`")
    for output in outputs:
        kind = output.get("output_type")
        if kind == "stream":
            yield _joined(output.get("text"), "text")
        elif kind in ("execute_result", "display_data", "pyout"):
            data = output.get("data", output)
            plain = data.get("text/plain", data.get("text")) if isinstance(data, dict) else None
            if plain is not None:
                yield _joined(plain, "text/plain").rstrip("\n") + "\n"
        elif kind in ("error", "pyerr"):
            lines = output.get("traceback", [])
            if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
                raise NotebookFault("a cell whose `traceback` is no text")
            yield "".join(_ESCAPES.sub("", line) + "\n" for line in lines)


def _joined(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    raise NotebookFault(f"a cell whose `{name}` is no text")


def _commented(text: str, mark: str) -> str:
    return "\n".join(f"{mark} {line}".rstrip() for line in text.rstrip("\n").split("\n"))
