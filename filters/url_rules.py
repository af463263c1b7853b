"""`url_rules`: documents whose address is on a list, or whose words speak against it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple, Self
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.documents import Columns, Documents, reason_where
from corpusmill.pipelines.contract.rules import floats
from corpusmill.pipelines.contract.stage import Context, Filter

_WORDS = re.compile(r"[a-z0-9]+")


class _Lists(NamedTuple):
    domains: frozenset[str]
    urls: frozenset[str]
    hard: frozenset[str]
    soft: frozenset[str]


class UrlRules(Filter):
    """Remove documents by their address, with lists that are given as files.

    After the URL filter of RefinedWeb (Penedo et al. 2023, arXiv 2306.01116, appendix G.1: a block list of
    domains, then a score by strict, hard and soft words). In this order a document goes when (reason):

    - its host, or a domain that the host is below, is in one of `domains` (blocked_domain);
    - its address is in one of `urls`, scheme, `www.`, a final slash, query and fragment aside (blocked_url);
    - its address holds a word of `hard_words` (hard_word);
    - it holds `soft_words_at_least` or more different words of `soft_words` (soft_words).

    A list has an entry a line; blank lines and those that start with `#` do not count, case does not matter.
    Words of an address are its runs of ASCII letters and digits, so `Essex` holds no other word. Documents
    without an address are kept. No list is part of corpusmill. RefinedWeb's and datatrove 0.10's URLFilter
    differ: they bring lists of their own and also match strict words inside of others.

    Scores: `host` string, `blocked_domain` and `blocked_url` bool, `hard_words` and `soft_words` int64, the
    different words found; null without an address.
    """

    consumes: ClassVar[tuple[str, ...]] = ("url",)
    produces: ClassVar[tuple[str, ...]] = tuple(
        f"url_rules.{score}"
        for score in ("host", "blocked_domain", "blocked_url", "hard_words", "soft_words")
    )

    measured: ClassVar[tuple[str, ...]] = ("domains", "urls", "hard_words", "soft_words")

    single_files: ClassVar[tuple[str, ...]] = measured

    domains: tuple[Path, ...] = Field(
        (), description="Files of domains that are blocked, with all below them."
    )
    urls: tuple[Path, ...] = Field((), description="Files of addresses that are blocked.")
    hard_words: Path | None = Field(None, description="File of words of which one removes a document.")
    soft_words: Path | None = Field(None, description="File of words of which several remove a document.")
    soft_words_at_least: int = Field(
        2, ge=1, description="Different soft words that remove a document (RefinedWeb: 2)."
    )

    _lists: _Lists | None = PrivateAttr(default=None)

    def prepare(self, context: Context) -> Self:
        """Read the lists. Raises UserError for one that is not UTF-8 or has no entry, and for a domain that
        no host can be below."""
        ready = self.model_copy()
        ready._lists = self._read()
        return ready

    def _read(self) -> _Lists:
        from corpusmill.filters.rules.word_lists import entries

        return _Lists(
            frozenset(_domain(file, entry) for file in self.domains for entry in entries(file)),
            frozenset(_address(entry) for file in self.urls for entry in entries(file)),
            frozenset(entries(self.hard_words)) if self.hard_words else frozenset(),
            frozenset(entries(self.soft_words)) if self.soft_words else frozenset(),
        )

    def score(self, docs: Documents) -> Columns:
        """The columns above, n rows each."""
        lists = self._lists if self._lists is not None else self._read()
        hosts: list[str | None] = []
        found: list[tuple[bool, bool, int, int] | tuple[None, None, None, None]] = []
        for url in docs.column("url").to_pylist():
            if not url:
                hosts.append(None)
                found.append((None, None, None, None))
                continue
            lower = url.lower()
            host = _host(lower)
            words = set(_WORDS.findall(lower))
            hosts.append(host)
            found.append(
                (
                    any(domain in lists.domains for domain in _above(host)),
                    _address(lower) in lists.urls,
                    len(words & lists.hard),
                    len(words & lists.soft),
                )
            )
        columns = list(zip(*found, strict=True)) if found else [()] * 4
        kinds = (pa.bool_(), pa.bool_(), pa.int64(), pa.int64())
        names = ("blocked_domain", "blocked_url", "hard_words", "soft_words")
        return {
            "host": pa.array(hosts, pa.string()),
            **{
                name: pa.array(list(column), kind)
                for name, kind, column in zip(names, kinds, columns, strict=True)
            },
        }

    def judge(self, scores: Columns) -> pa.Array:
        """The first rule broken, in the order above."""
        return reason_where(
            (floats(scores["blocked_domain"]) > 0, "blocked_domain"),
            (floats(scores["blocked_url"]) > 0, "blocked_url"),
            (floats(scores["hard_words"]) > 0, "hard_word"),
            (np.asarray(floats(scores["soft_words"]) >= self.soft_words_at_least), "soft_words"),
        )


def _domain(file: Path, entry: str) -> str:
    """A domain of a list. Raises UserError for what is no host, which would block nothing."""
    from corpusmill.pipelines.contract.errors import UserError

    domain = entry.removeprefix("*.").strip(".")
    if _host(domain) != domain or "*" in domain or any(map(str.isspace, domain)):
        raise UserError(
            f"{file}: `{entry}` is no domain; write one a line, such as example.org, which blocks all below "
            "it, and addresses with a path in a file of `urls`"
        )
    return domain


def _host(url: str) -> str:
    """The host of an address, "" where it has none."""
    try:
        return (urlsplit(url if "//" in url else f"//{url}").hostname or "").rstrip(".")
    except ValueError:  # such as an unclosed bracket; such an address has no host
        return ""


def _above(host: str) -> Iterator[str]:
    """The host and every domain it is below."""
    while host:
        yield host
        _, _, host = host.partition(".")


def _address(url: str) -> str:
    bare = re.sub(r"^[a-z][a-z0-9+.-]*://", "", url).partition("#")[0].partition("?")[0]
    return bare.removeprefix("www.").rstrip("/")
