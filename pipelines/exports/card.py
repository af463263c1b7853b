"""The card of an export of documents, README.md, as the Hugging Face Hub reads it.

The front matter names configs, splits, columns and how many documents each split has, which `datasets`
compares when it loads them. What follows is for people: sources, licences and languages as counted in what
was written, what each step did, and the recipe (`card_recipe.py`). Nothing of it depends on the time or the
machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import yaml

from corpusmill.pipelines.exports.card_recipe import recipe_section
from corpusmill.pipelines.exports.card_tables import funnel_section, markdown, sources_section
from corpusmill.pipelines.exports.columns import SCORES, Columns
from corpusmill.pipelines.inspection.kept_documents import TEST, TRAIN
from corpusmill.pipelines.inspection.run_record import RunRecord

Written = Mapping[tuple[str, str], Mapping[str, Any]]  # by source and split: `unfinished.totals`
_SIZES = (10**3, 10**4, 10**5, 10**6, 10**7, 10**8, 10**9, 10**10, 10**11, 10**12)
_WORDS = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
_NUMBERS = {"halffloat": "float16", "float": "float32", "double": "float64"}
_FEWEST = 0.001  # share of the documents from which on a language stands in the front matter


class _Plain(yaml.SafeDumper):
    """YAML without references from one place to another."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def card(record: RunRecord, columns: Columns, written: Written, suffix: str) -> str:
    """The text of README.md for files that end in `suffix`."""
    front = _front_matter(record.name, columns, written, suffix)
    head = yaml.dump(front, Dumper=_Plain, sort_keys=False, allow_unicode=True)
    rows = [
        (source, split, f"{one['documents']:,}", f"{one['text_bytes']:,}", one["files"])
        for (source, split), one in sorted(written.items())
    ]
    held_out = any(split == TEST for _, split in written)
    parts = [
        f"---\n{head}---\n",
        f"# {record.name}\n",
        f"Documents that a run of corpusmill {version('corpusmill')} keeps, after all of the steps below. "
        f"The seed of everything random is {record.seed}.\n",
        markdown(("source", "split", "documents", "bytes of text", "files"), rows),
    ]
    if held_out:
        parts.append("The split `test` is what the run holds out: no model is to be trained on it.\n")
    parts += [*_columns(columns), *sources_section(record, written), *funnel_section(record, written)]
    parts += recipe_section(record)
    return "\n".join(parts)


def _front_matter(name: str, columns: Columns, written: Written, suffix: str) -> dict[str, Any]:
    sources = sorted({source for source, _ in written})
    configs = [("default", sources), *((one, [one]) for one in sources if one != "default")]
    documents = sum(one["documents"] for one in written.values())
    counts: dict[str, int] = {}
    for one in written.values():
        for language, count in one["languages"].items():
            counts[language] = counts.get(language, 0) + count
    languages = sorted(
        {code.replace("_", "-") for code, count in counts.items() if code and count >= _FEWEST * documents}
    )
    size = next((word for most, word in zip(_SIZES, _WORDS, strict=True) if documents < most), None)
    at = _WORDS.index(size) if size is not None else len(_WORDS)
    category = f"n<{size}" if at == 0 else f"{_WORDS[at - 1]}<n<{size}" if size else f"n>{_WORDS[-1]}"
    features = _features(columns.schema)
    return {
        "pretty_name": name,
        **({"language": languages} if languages else {}),
        "task_categories": ["text-generation"],
        "size_categories": [category],
        "tags": ["corpusmill"],
        "configs": [
            {"config_name": config, "data_files": list(_data_files(of, written, suffix))}
            for config, of in configs
        ],
        **(
            {}
            if features is None
            else {
                "dataset_info": [
                    {"config_name": config, "features": features, "splits": list(_splits(of, written))}
                    for config, of in configs
                ]
            }
        ),
    }


def _data_files(sources: Sequence[str], written: Written, suffix: str) -> Iterator[dict[str, Any]]:
    for split in (TRAIN, TEST):
        paths = [f"data/{name}/{split}-*.{suffix}" for name in sources if (name, split) in written]
        if paths:
            yield {"split": split, "path": paths if len(paths) > 1 else paths[0]}


def _splits(sources: Sequence[str], written: Written) -> Iterator[dict[str, Any]]:
    for split in (TRAIN, TEST):
        there = [written[name, split] for name in sources if (name, split) in written]
        if there:
            yield {
                "name": split,
                "num_bytes": sum(one["text_bytes"] for one in there),
                "num_examples": sum(one["documents"] for one in there),
            }


def _features(schema: pa.Schema) -> list[dict[str, Any]] | None:
    """The columns as `datasets` writes them; None where it has no word for a type."""
    found = [_feature(field) for field in schema]
    return None if None in found else [one for one in found if one is not None]


def _feature(field: pa.Field) -> dict[str, Any] | None:
    told = _type(field.type)
    return None if told is None else {"name": field.name, **told}


def _type(kind: pa.DataType) -> dict[str, Any] | None:
    if pa.types.is_struct(kind):
        inner = _features(pa.schema(list(kind)))
        return None if inner is None else {"struct": inner}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        told = _type(kind.value_type)
        if told is None:
            return None
        key = "list" if pa.types.is_list(kind) else "large_list"
        return {key: told["dtype"] if "dtype" in told else told.get("struct", told)}
    known = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind)
    if known or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return {"dtype": _NUMBERS.get(str(kind), str(kind))}
    return None


def _columns(columns: Columns) -> Iterator[str]:
    """The table of columns."""
    rows = [
        (f"`{name}`", str(columns.about[name].type), columns.about[name].about)
        for name in columns.names
        if name != SCORES
    ]
    rows += [
        (f"`{SCORES}.{name}`", str(field.type), f"score `{field.name}`")
        for name, field in columns.scores.items()
    ]
    yield "## Columns\n"
    yield markdown(("column", "type", "meaning"), rows)
    if SCORES in columns.names:
        yield (
            f"`{SCORES}` holds what filters measured; null where a document never came to the filter, or "
            "none is of its source.\n"
        )
