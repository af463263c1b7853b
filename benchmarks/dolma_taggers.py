"""dolma's taggers of the Gopher and C4 rules, beside filters that measure the same.

dolma asks for NumPy 1 and older tokenizers, so it is not part of the extra `bench`: `pip install --no-deps
--target FOLDER dolma msgspec`, then PYTHONPATH=FOLDER. Its modules of taggers import one another and much
else; the two that are run here need nothing of it, so they are imported without their packages' `__init__`.

`gopher_v1` measures what Gopher quality and repetition measure together, by words between white space; none
of its scores is defined quite as ours, so its time alone is compared. `c4_v2` marks lines and documents: `{`
and "lorem ipsum" as we do, and lines of fewer than three words, where a text that ends with a line
feed has an empty last line that we do not count.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpusmill.filters.c4 import C4
from corpusmill.pipelines.contract.documents import Documents

_NOTHING: dict[str, Any] = {
    "terminal": False, "citations": False, "min_sentences": None, "min_words_per_line": None,
    "max_word_length": None, "lorem_ipsum": False, "javascript": False, "curly_bracket": False,
    "policy": False, "languages": None,
}  # fmt: skip


def taggers() -> dict[str, Any]:
    """dolma's taggers by the filters they stand beside; none where dolma is not installed."""
    found = importlib.util.find_spec("dolma") if importlib.util.find_spec("msgspec") else None
    if found is None or found.origin is None:
        print("dolma left out: dolma or msgspec not installed", file=sys.stderr)
        return {}
    folder = Path(found.origin).parent
    for name, path in (("dolma", folder), ("dolma.taggers", folder / "taggers")):
        package = types.ModuleType(name)
        package.__path__ = [str(path)]
        sys.modules[name] = package
    return {
        "gopher": importlib.import_module("dolma.taggers.gopher").GopherTagger(),
        "c4": importlib.import_module("dolma.taggers.c4").FasterC4Tagger(),
    }


def tagged(tagger: Any, texts: Sequence[str]) -> tuple[list[list[str]], float]:
    """The types of a tagger's spans for each text, and CPU seconds."""
    kind = importlib.import_module("dolma.core.data_types").Document
    documents = [kind(source="", version="", id="", text=text) for text in texts]
    start = time.process_time()
    results = [tagger.predict(document) for document in documents]
    seconds = time.process_time() - start
    return [[span.type for span in result.spans] for result in results], seconds


def agreement(spans: Sequence[Sequence[str]], docs: Documents) -> dict[str, float]:
    """Shares of documents of which `C4` tells what dolma's `c4_v2` does, by what is told."""
    found = {}
    for name, rule, kind in (
        ("a curly bracket", "curly_bracket", "has_curly_brace"),
        ("lorem ipsum", "lorem_ipsum", "has_lorem_ipsum"),
    ):
        reasons = C4.model_validate({**_NOTHING, rule: True}).apply(docs).reasons.to_pylist()
        found[name] = [
            (reason is not None) == (kind in types) for reason, types in zip(reasons, spans, strict=True)
        ]
    short = C4.model_validate({**_NOTHING, "min_words_per_line": 3}).apply(docs).documents
    dropped = short.table.column("c4.dropped_lines").to_pylist()
    found["lines of fewer than three words"] = [
        count == types.count("lines_with_too_few_words") for count, types in zip(dropped, spans, strict=True)
    ]
    return {name: sum(same) / len(same) for name, same in found.items()}
