"""Batches of documents for the tests of this folder."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from hypothesis import strategies as st

from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.contract.stage import Filter


def documents(
    texts: Sequence[str | None],
    lang: Sequence[str | None] | None = None,
    path: Sequence[str | None] | None = None,
) -> Documents:
    n = len(texts)
    none = [None] * n
    return Documents(
        pa.table(
            {
                "id": [f"{i:032x}" for i in range(n)],
                "text": list(texts),
                "source": ["s"] * n,
                "domain": ["web"] * n,
                "url": none,
                "path": list(path or none),
                "repo": none,
                "license": none,
                "lang": list(lang or none),
                "meta": ["{}"] * n,
            },
            schema=SCHEMA,
        )
    )


def reasons(stage: Filter, texts: Sequence[str | None], **columns: Sequence[str | None]) -> list[str | None]:
    """What `stage` says of each text; the rows must come back as they went in."""
    docs = documents(texts, **columns)
    outcome = stage.apply(docs)
    assert outcome.documents.column("id").equals(docs.column("id"))
    assert outcome.documents.text.equals(docs.text)
    assert outcome.faults.null_count == len(docs)
    written = {name for name in outcome.documents.table.column_names if name.startswith(f"{stage.name}.")}
    # The n-grams of the repetition rules are columns by option.
    named = {name for name in written if not name.endswith("_gram")}
    assert {name for name in stage.produces if "." in name} == named
    answer: list[str | None] = outcome.reasons.to_pylist()
    return answer


# Scripts, marks, breaks and whatever a rule looks at, and any other character now and then.
PIECES = st.sampled_from(
    [
        "the", "of", "and", "word", "Be", "don't", "U.S.", "3.14", "1,000", "10-20", "a:b", "x=1",
        "snake_case", "well-known", "http://a.b/c?d=e", "中国", "你好", "日本語です",
        "カタカナ", "ไทย", "한국어", "étude", "e\u0301",
        "$x^2$", "\\frac", "\\n", "#", "...", "…", "•", "-", "--", "—", "“", "”", "'s", "’s", "!", "?",
        "。", "，", "(", ")",
        "[1]", "{", "<b>", "😀", "½", "²", "%", "$5", "+", "\0", "\x1c", "\x85", "\u2028", "\u00a0",
        "\u200b", "\ufeff",
        "\t", "\r\n", "\r", "\n", "\n\n", "\n\n\n", " ", " ", " ", "  ", "lorem ipsum.", "Javascript is on.",
        "= + * ×", "48/2=24", "定理", "0xA1, " * 9, "QUJD" * 20, "<?xml version=", "<script>a</script>",
        "<!-- c -->",
    ]
)  # fmt: skip
TEXTS = st.lists(
    PIECES | st.characters(codec="utf-8") | st.text(st.characters(codec="utf-8"), max_size=8), max_size=60
).map("".join)


def check_split_law(stage: Filter, texts: Sequence[str | None], cut: int) -> None:
    """`f(a ++ b) == f(a) ++ f(b)`, also on a batch that starts inside an Arrow buffer."""
    languages = [("zh", "en", None)[i % 3] for i in range(len(texts))]
    paths = [("a.py", "b.json", "c.html", None)[i % 4] for i in range(len(texts))]
    docs = documents(texts, languages, paths)
    whole = stage.apply(docs)
    parts = [stage.apply(docs.slice(0, cut)), stage.apply(docs.slice(cut, len(docs) - cut))]
    joined = pa.concat_tables([part.documents.table for part in parts])
    assert joined.combine_chunks().equals(whole.documents.table.combine_chunks())
    assert [reason for part in parts for reason in part.reasons.to_pylist()] == whole.reasons.to_pylist()
