"""The languages whose imports are understood, by the suffixes of their files."""

from __future__ import annotations

from posixpath import splitext

from corpusmill.mixtures.repository.language import Language
from corpusmill.mixtures.repository.languages import c, go, java, javascript, python, rust

LANGUAGES = (
    *(python.LANGUAGE, c.LANGUAGE, javascript.LANGUAGE, javascript.TYPESCRIPT),
    *(java.LANGUAGE, java.KOTLIN, go.LANGUAGE, rust.LANGUAGE),
)
_BY_SUFFIX = {suffix: language for language in LANGUAGES for suffix in language.suffixes}


def language_of(path: str) -> Language | None:
    """The language of a file by its suffix, whatever its case; None for others."""
    return _BY_SUFFIX.get(splitext(path)[1].lower())
