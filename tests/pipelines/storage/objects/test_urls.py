"""URLs in parts, and masked where they are shown."""

from __future__ import annotations

import pytest

from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.storage.objects.current import scheme_problem
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.objects.urls import is_url, local_pattern, masked, parse_url


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("s3://bucket/crawl/*.gz", "bucket", "crawl/*.gz"),
        ("gs://bucket/a b%20c?.gz", "bucket", "a b%20c?.gz"),
        ("https://host.example:8080/a%20b.txt", "host.example:8080", "a b.txt"),
    ],
)
def test_parts(text: str, bucket: str, key: str) -> None:
    url = parse_url(text)
    assert (url.bucket, url.key, str(url)) == (bucket, key, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ftp://host/file", "ftp:// is not read"),
        ("s3://bucket", "names a whole bucket; add a key"),
        ("s3:///key", "names no bucket"),
        ("s3://bucket/a//b", "an empty part"),
        ("s3://bucket/a/../b", "`..`"),
        ("https://me:word@host/file", r"https://\*\*\*@host/file holds a user or a password"),
        ("https://host/file?X-Amz-Signature=word", r"https://host/file\?\*\*\* has a query"),
    ],
)
def test_what_is_no_url_of_an_object_is_told_without_its_secrets(text: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words) as raised:
        parse_url(text)
    assert "word@" not in str(raised.value)
    assert "=word" not in str(raised.value)


def test_masking_leaves_other_text_alone() -> None:
    assert masked("see s3://b/a?b=c, and https://u:p@h/x") == "see s3://b/a?*** and https://***@h/x"
    assert masked("a@b.example asks: why?") == "a@b.example asks: why?"


def test_paths_are_no_urls() -> None:
    assert not is_url("web/*.warc.gz")
    assert not is_url("C:/data")
    assert local_pattern("file:///data/a%20b/*.gz") == "/data/a b/*.gz"
    assert local_pattern("web/*.gz") == "web/*.gz"


def test_nothing_is_reached_that_the_recipe_does_not_name() -> None:
    problem = scheme_problem("s3://b/k", None)
    assert problem is not None
    assert "allows nothing remote; add `storage: {schemes: [s3]}`" in problem
    problem = scheme_problem("http://h/k", ObjectStorage(schemes=["s3"]))
    assert problem is not None
    assert "write `schemes: [s3, http]`" in problem
    assert scheme_problem("s3://b/k", ObjectStorage(schemes=["s3"])) is None
