"""Made documents for the tokenizer and mixture tests: several scripts, code, and every odd case at once."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpusmill.pipelines.contract.documents import SCHEMA, Documents, document_id

# Real data lies beside the repository, or where the environment says.
DATA = Path(os.environ.get("CORPUSMILL_DATA", Path(__file__).parents[3] / "shared" / "data"))

_ROOTS = [
    "time",
    "water",
    "light",
    "system",
    "number",
    "theory",
    "house",
    "river",
    "model",
    "people",
    "garden",
    "letter",
    "engine",
    "paper",
]
_ENDS = ["", "s", "ing", "ed", "ly", "ness"]
_HAN = "数据模型训练语言文本处理系统时间中国学习方法结果问题研究"


def made_texts(count: int, seed: int = 1) -> list[str]:
    """`count` texts of English-like prose, Chinese and code, in turn."""
    random_ = random.Random(seed)

    def words(n: int) -> list[str]:
        return [random_.choice(_ROOTS) + random_.choice(_ENDS) for _ in range(n)]

    def prose() -> str:
        return ". ".join(" ".join(words(random_.randint(3, 12))).capitalize() for _ in range(8)) + ".\n"

    def chinese() -> str:
        return "".join(random_.choice(_HAN) for _ in range(random_.randint(10, 120))) + "。\n"

    def code() -> str:
        name, other = words(2)
        number = random_.randint(0, 99999)
        head = f"def {name}({other}):\n    if {other} != {number}:\n"
        return head + f"        return [{other}]\n\n\nimport {name}\n"

    makers = (prose, chinese, code)
    return ["".join(makers[i % 3]() for _ in range(random_.randint(1, 4))) for i in range(count)]


def as_documents(texts: Sequence[str | None], **columns: Sequence[Any]) -> Documents:
    """Documents of these texts; ids follow from position and text; `columns` replaces defaults."""
    n = len(texts)
    table: dict[str, Sequence[Any]] = {
        "id": [document_id(str(i), (text or "").encode()) for i, text in enumerate(texts)],
        "text": texts,
        "source": ["made"] * n,
        "domain": ["web"] * n,
        "meta": ["{}"] * n,
        **columns,
    }
    arrays = [pa.array(table.get(field.name, [None] * n), field.type) for field in SCHEMA]
    return Documents(pa.Table.from_arrays(arrays, schema=SCHEMA))
