"""Fields of records that are no text but address, date, path, repository or licence: by name and by value."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Any

# Names that data sets give to a field, likeliest first.
ADDRESSES = (
    "url", "uri", "link", "permalink", "href", "page_url", "source_url", "canonical_url", "original_url",
    "article_url", "html_url", "web_url", "address", "target_uri", "warc_target_uri",
)  # fmt: skip
PATHS = (
    "path", "file_path", "filepath", "file_name", "filename", "max_stars_repo_path", "relative_path",
)  # fmt: skip
REPOSITORIES = (
    "repo", "repo_name", "repository", "repository_name", "repo_path", "max_stars_repo_name", "full_name",
)  # fmt: skip
LICENCES = (
    "license", "licence", "licenses", "detected_licenses", "max_stars_repo_licenses", "license_type",
    "repo_license",
)  # fmt: skip
DATES = (
    "date", "published", "published_at", "publish_date", "publication_date", "pub_date", "date_published",
    "created", "created_at", "created_utc", "creation_date", "posted_at", "timestamp", "datetime", "time",
    "crawl_date", "crawled", "crawled_at", "fetched_at", "fetch_time", "date_download", "added", "updated",
    "updated_at", "last_modified", "modified", "year",
)  # fmt: skip
_LANGUAGES = ("lang", "language", "language_code", "lang_code", "locale")
_IDS = ("id", "_id", "uuid", "guid", "doc_id", "hash", "sha1", "sha256", "md5", "digest", "hexsha", "blob_id")
_NO_TEXT = frozenset((*ADDRESSES, *PATHS, *REPOSITORIES, *LICENCES, *DATES, *_LANGUAGES, *_IDS)) - {"address"}

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/]\S*")
_DATE = re.compile(
    r"[12][0-9]{3}-[01][0-9](?:-[0-3][0-9](?:[T ][0-9:.]+.*)?)?|[12][0-9]{3}[01][0-9][0-3][0-9]"
)
_TOKEN = re.compile(r"[0-9a-fA-F-]{16,}|[-+0-9.,]+")
_SECONDS = (10**8, 4 * 10**9)  # of the years 1973 to 2096, as numbers
_DEPTH = 4


def is_address(value: Any) -> bool:
    """Whether a value is a URL."""
    return isinstance(value, str) and _URL.fullmatch(value.strip()) is not None


def is_path(value: Any) -> bool:
    """Whether a value may be a path: one line, with a slash or a suffix, and no URL."""
    return (
        isinstance(value, str)
        and "\n" not in value
        and (("/" in value) or re.search(r"\.\w{1,8}\Z", value) is not None)
        and not is_address(value)
    )


def is_repository(value: Any) -> bool:
    """Whether a value may name a repository."""
    return isinstance(value, str) and 0 < len(value) <= 200 and not re.search(r"\s", value)


def is_licence(value: Any) -> bool:
    """Whether a value may be a licence, or a list of them."""
    one = value if isinstance(value, list) else [value]
    return bool(one) and all(isinstance(name, str) and 0 < len(name) <= 100 for name in one)


def is_date(value: Any) -> bool:
    """Whether a value is a date or a time, as text or as a number of seconds or milliseconds."""
    if isinstance(value, (datetime.date, datetime.datetime)):
        return True
    if isinstance(value, str):
        return _DATE.fullmatch(value.strip()) is not None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and (_SECONDS[0] < value < _SECONDS[1] or _SECONDS[0] < value / 1000 < _SECONDS[1])


def is_no_text(name: str, value: Any) -> bool:
    """Whether a field of this name (its last part) holds something else than the text of a document."""
    if name.lower() in _NO_TEXT:
        return True
    plain = isinstance(value, str) and _TOKEN.fullmatch(value.strip()) is not None
    return plain or is_address(value) or is_date(value)


def nested(record: Mapping[str, Any], before: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, Any]]:
    """Every field that is no mapping, by its path, those of mappings after the others."""
    for name, value in record.items():
        if not isinstance(value, dict):
            yield f"{before}{name}", value
    for name, value in record.items():
        if isinstance(value, dict) and depth:
            yield from nested(value, f"{before}{name}.", depth - 1)
