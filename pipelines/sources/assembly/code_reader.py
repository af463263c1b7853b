"""What readers of source code share: which files are chosen, and what their path says of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from corpusmill.pipelines.sources.reader import Reader

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.assembly.batches import Collector

# SPDX specification, annex "Using SPDX short identifiers in source files".
_SPDX = re.compile(rb"SPDX-License-Identifier:[ \t]*([A-Za-z0-9.+() -]{1,120})")
_SPDX_WITHIN = 4096
LICENSE_LIBRARIES = ("identify", "packaging")
NO_META: Mapping[str, str] = MappingProxyType({})


class CodeReader(Reader):
    """Options of `tree`, `tar`, `zip` and `git`.

    Without `include` every file is taken whose language is known by its name or, without a suffix, by its
    shebang. `exclude` wins over `include`.

    The licence is that of the file's own SPDX-License-Identifier; else `license`; else, with `license_files`,
    that of the nearest folder, from the file's own up to the repository's, with a file such as LICENSE or
    COPYING, or with `license` in pyproject.toml, package.json or Cargo.toml; NOASSERTION where it is none
    that is known.

    A notebook (.ipynb) becomes text in the percent format (`assembly/notebooks.py`) in the language of its
    kernel. One that is broken is quarantined (`bad_notebook`). Of notebooks, whose outputs are large,
    `max_record_bytes` bounds the text. Larger files are removed, never held.
    """

    include: list[str] = Field(
        default_factory=list,
        description='Suffixes (".py") or whole names ("Makefile") to take, any case; []: by known language.',
    )
    exclude: list[str] = Field(
        default_factory=list, description="Suffixes or whole names to leave out, any case."
    )
    license: str | None = Field(
        None, description="SPDX licence of every file that states none itself; null: as `license_files` says."
    )
    license_files: bool = Field(
        True,
        description="Take the licence from LICENSE and the like in the nearest folder, without `license`.",
    )
    notebooks: Literal["cells", "outputs", "json"] = Field(
        "cells",
        description="Of Jupyter notebooks take cells, cells with what they printed, or the stored JSON.",
    )
    max_record_bytes: int = Field(
        2**20,
        ge=1,
        description="Most bytes of a file, or of the text of a notebook; larger ones are removed.",
    )
    max_notebook_bytes: int = Field(
        2**24, ge=1, description="Most bytes of a notebook's file; larger ones are removed."
    )

    def limit_of(self, name: str) -> int:
        """How many bytes a file of this name may have."""
        both = (self.max_record_bytes, self.max_notebook_bytes)
        return max(both) if self.notebooks != "json" and _is_notebook(name) else self.max_record_bytes

    def chosen(self, name: str) -> bool:
        """Whether a file of this name (its last component) is wanted whatever it holds."""
        from corpusmill.pipelines.sources.assembly.code_languages import code_language

        if self._listed(self.exclude, name):
            return False
        return self._listed(self.include, name) if self.include else code_language(name) is not None

    def chosen_by_content(self, name: str) -> bool:
        """Whether a file of this name, which is not `chosen`, is wanted if its shebang tells a language."""
        from corpusmill.pipelines.sources.assembly.code_languages import suffix_of

        return not self.include and not suffix_of(name) and not self._listed(self.exclude, name)

    def _listed(self, patterns: list[str], name: str) -> bool:
        from corpusmill.pipelines.sources.assembly.code_languages import suffix_of

        return any(pattern.lower() in (name.lower(), suffix_of(name)) for pattern in patterns)

    def add_file(
        self,
        collector: Collector,
        content: bytes,
        position: str,
        repo: str | None,
        path: str,
        *,
        found: str | None = None,
        meta: Mapping[str, str] = NO_META,
    ) -> None:
        """Add one file as a document, or its loss; `path`, with slashes, is its place in the repository and
        `found` the licence found beside or above it."""
        from corpusmill.pipelines.sources.assembly.language_evidence import language_of, shebang_language
        from corpusmill.pipelines.sources.assembly.plain_text import BOM, text_fault

        if not self.chosen(path[path.rfind("/") + 1 :]) and shebang_language(content) is None:
            collector.remove("not_selected", len(content), position)
            return
        fault = text_fault(content)
        if fault is not None:
            collector.quarantine(fault[0], len(content), position, fault[1], content)
            return
        language, text = language_of(path, content), content.removeprefix(BOM)
        if self.notebooks != "json" and _is_notebook(path):
            made = self._from_notebook(collector, content, position)
            if made is None:
                return
            text, language = made
        collector.add(
            path if repo is None else f"{repo}/{path}",
            content,
            text=text,
            path=path,
            repo=repo,
            license=_stated(content) or self.license or found,
            meta={**meta, **({} if language is None else {"code_language": language})},
        )

    def _from_notebook(self, collector: Collector, content: bytes, position: str) -> tuple[bytes, str] | None:
        """Text and language of a notebook; None where it is counted as lost."""
        from corpusmill.pipelines.sources.assembly.notebooks import NotebookFault, notebook_text
        from corpusmill.pipelines.sources.assembly.plain_text import text_fault

        try:
            text, language = notebook_text(content, self.notebooks == "outputs")
            made = text.encode()
        except NotebookFault as error:
            collector.quarantine("bad_notebook", len(content), position, str(error), content)
            return None
        except UnicodeEncodeError as error:
            collector.quarantine("bad_utf8", len(content), position, str(error), content)
            return None
        fault = text_fault(made)
        if fault is not None:
            collector.quarantine(fault[0], len(content), position, fault[1], content)
        elif len(made) > self.max_record_bytes:
            collector.remove("too_large", len(content), position, f"over {self.max_record_bytes} bytes")
        else:
            return made, language
        return None

    @property
    def looks_for_licenses(self) -> bool:
        """Whether files beside documents decide their licence."""
        return self.license_files and self.license is None


def _is_notebook(name: str) -> bool:
    return name.lower().endswith(".ipynb")


def _stated(content: bytes) -> str | None:
    """The licence that a file states of itself, in SPDX's canonical form where it is sound."""
    from corpusmill.pipelines.sources.licences.files import spdx

    stated = _SPDX.search(content, 0, _SPDX_WITHIN)
    text = stated[1].decode().strip(" -") if stated else ""
    return spdx(text) or text or None


class NamedRepositories(CodeReader):
    """A reader of files whose paths begin with the repository; a path without more components has none."""

    repo_depth: int = Field(
        1, ge=0, le=16, description="Components at the start of a path that name the repository."
    )

    def divided(self, name: str) -> tuple[str | None, str]:
        """The repository and the path in it of a name with slashes."""
        parts = name.split("/")
        depth = self.repo_depth if len(parts) > self.repo_depth else 0
        return "/".join(parts[:depth]) or None, "/".join(parts[depth:])
