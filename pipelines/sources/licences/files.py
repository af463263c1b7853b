"""What one file of a folder says of the folder's licence, and what several of them say together."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from corpusmill.pipelines.sources.assembly.json_limits import load_json
from corpusmill.pipelines.sources.licences.texts import license_of_text

EVIDENCE_BYTES = 2**18  # larger files are taken for licences nobody knows, and not read
UNKNOWN = "NOASSERTION"  # SPDX 2.3, annex D: there is a licence, and nothing is said of which
_LONGEST = 200  # characters of an expression
_FILE = re.compile(
    r"(?:(?:un)?licen[cs]e|copying)(?:[-_. ](?!.*third)[a-z0-9.+_ -]{0,40})?"
    r"|[a-z0-9.+]{1,20}[-_]licen[cs]e(?:\.(?:txt|md|rst))?"
)
_TEXT_SUFFIXES = (".txt", ".md", ".rst", ".markdown", ".text")
_MANIFESTS = ("cargo.toml", "package.json", "pyproject.toml")
_SECTION = re.compile(r"[ \t]*\[([^\[\]\n]{1,80})\]")
_SECTIONS = ("package", "project", "tool.poetry")
_LICENSE_LINE = re.compile(
    r"[ \t]*license[ \t]*=[ \t]*(?:\{[ \t]*text[ \t]*=[ \t]*)?(?:\"([^\"\n]{1,200})\"|'([^'\n]{1,200})')"
)


def is_evidence(name: str) -> bool:
    """Whether a file of this name, its last component, may say which licence its folder is under."""
    lower = name.lower()
    if lower in _MANIFESTS:
        return True
    if _FILE.fullmatch(lower) is None:
        return False
    from corpusmill.pipelines.sources.assembly.code_languages import code_language

    return lower.endswith(_TEXT_SUFFIXES) or code_language(lower) is None  # license.py is code


def evidence(name: str, content: bytes | None) -> str | None:
    """The SPDX expression that a file of `is_evidence` states, or None; `content` is None if not read."""
    if content is None or len(content) > EVIDENCE_BYTES:
        return None
    text = content.decode("utf-8", "replace")
    lower = name.lower()
    if lower not in _MANIFESTS:
        return license_of_text(text)
    return spdx(_of_package_json(content) if lower == "package.json" else _of_toml(text))


def folder_license(found: Mapping[str, str | None]) -> str | None:
    """The licence of a folder by what each of its files of `is_evidence` states; None if none says any.

    Licence files come first. A manifest whose expression names all that they are is taken instead, since it
    tells `OR` from `AND`; without one several licences hold together (`AND`), but LGPL, whose terms are added
    to GPL's, stands for both. A licence file that nobody knows is `NOASSERTION`, for what lies above does not
    hold either.
    """
    files = {name: value for name, value in found.items() if name.lower() not in _MANIFESTS}
    stated = [found[name] for name in sorted(found) if name not in files]
    manifest = next((value for value in stated if value is not None), None)
    names = {value for value in files.values() if value is not None}
    if len(names) == 2 and any(name.startswith("LGPL-") for name in names):
        names -= {name for name in names if name.startswith("GPL-")}
    if names and manifest is not None and names <= set(re.split(r"[ ()]+", manifest)):
        return manifest
    if names:
        return " AND ".join(sorted(names))
    return manifest if manifest is not None or not files else UNKNOWN


def spdx(text: str | None) -> str | None:
    """An SPDX expression in its canonical form; None where a text is none. `MIT/Apache-2.0`, which Cargo
    allowed, is `MIT OR Apache-2.0`."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    if text is None or len(text) > _LONGEST:
        return None
    try:
        return str(canonicalize_license_expression(text.replace("/", " OR ")))
    except InvalidLicenseExpression:
        return None


def _of_package_json(content: bytes) -> str | None:
    try:
        record = load_json(content)
    except (ValueError, json.JSONDecodeError):
        return None
    value = record.get("license") if isinstance(record, dict) else None
    if isinstance(value, dict):
        value = value.get("type")
    return value if isinstance(value, str) else None


def _of_toml(text: str) -> str | None:
    """`license` of [package], [project] or [tool.poetry], by its line: no parser of TOML is needed for it."""
    section = ""
    for line in text.split("\n"):
        head = _SECTION.match(line)
        if head is not None:
            section = head[1].strip()
        elif section in _SECTIONS and (stated := _LICENSE_LINE.match(line)) is not None:
            return stated[1] or stated[2]
    return None
