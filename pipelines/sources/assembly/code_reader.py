"""What readers of source code share: which files are chosen, and what their path says of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import Field

from corpusmill.pipelines.sources.reader import Reader

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.assembly.batches import Collector

# SPDX specification, annex "Using SPDX short identifiers in source files".
_SPDX = re.compile(rb"SPDX-License-Identifier:[ \t]*([A-Za-z0-9.+() -]{1,120})")
_SPDX_WITHIN = 4096


class CodeReader(Reader):
    """Options of `tree` and `tar`.

    `include`: suffixes (".py") or whole names ("Makefile"), any case; empty means every file whose
    language is known. `exclude` wins over `include`. `repo_depth`: how many leading components of a path
    name the repository. `license`: the licence of everything in the source; a file's own
    SPDX-License-Identifier wins. `max_record_bytes`: larger files are removed, never held.
    """

    include: list[str] = Field(default_factory=list)
    exclude: list[str] = Field(default_factory=list)
    repo_depth: int = Field(default=1, ge=0, le=16)
    license: str | None = None
    max_record_bytes: int = Field(default=2**20, ge=1)

    def chosen(self, name: str) -> bool:
        """Whether a file of this name (its last component) is wanted."""
        from corpusmill.pipelines.sources.assembly.code_languages import code_language

        lower = name.lower()
        suffix = lower[lower.rfind(".") :] if "." in lower[1:] else ""

        def listed(patterns: list[str]) -> bool:
            return any(pattern.lower() in (lower, suffix) for pattern in patterns)

        if listed(self.exclude):
            return False
        return listed(self.include) if self.include else code_language(name) is not None

    def add_file(self, collector: Collector, name: str, content: bytes, position: str) -> None:
        """Add one file as a document; `name` is its path from above the repository, with slashes."""
        from corpusmill.pipelines.sources.assembly.code_languages import code_language
        from corpusmill.pipelines.sources.assembly.plain_text import BOM, text_fault

        fault = text_fault(content)
        if fault is not None:
            collector.quarantine(fault[0], len(content), position, fault[1], content)
            return
        parts = name.split("/")
        depth = self.repo_depth if len(parts) > self.repo_depth else 0
        stated = _SPDX.search(content, 0, _SPDX_WITHIN)
        language = code_language(name)
        collector.add(
            name,
            content,
            text=content.removeprefix(BOM),
            path="/".join(parts[depth:]),
            repo="/".join(parts[:depth]) or None,
            license=stated[1].decode().rstrip(" -") if stated else self.license,
            meta={} if language is None else {"code_language": language},
        )
