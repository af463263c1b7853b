"""What `corpusmill inspect` says of a tokenizer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corpusmill.pipelines.records.tokenizer_figures import InspectedTokenizer


def inspect_tokenizer(
    path: Path,
    files: Sequence[Path] = (),
    references: Mapping[str, Path] | None = None,
    pattern: str | None = None,
) -> InspectedTokenizer:
    """Every figure of the tokenizer at `path` and of `references` (by name), on the texts of `files`.

    `pattern` is the pre-tokenizer of a rank file. Of the result, `tokenizers` holds the figures by name, the
    first being the one asked about, `groups` its groups with their ratios to the references, and `lost` what
    the readers could not read, by reason. Raises UserError for a file that is no tokenizer or holds no text.
    """
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.records.tokenizer_figures import InspectedTokenizer
    from corpusmill.tokenizer.evaluation.evaluate import compared, evaluate
    from corpusmill.tokenizer.evaluation.open_tokenizer import open_tokenizer
    from corpusmill.tokenizer.evaluation.read_files import read_texts

    opened = [open_tokenizer(path, pattern)]
    opened += [open_tokenizer(file, None, name) for name, file in (references or {}).items()]
    lost: Counter[str] = Counter()
    found = evaluate(opened, read_texts(files, lost))
    name = opened[0].name
    groups = compared(found, name)
    if files and not groups:
        why = f" ({', '.join(f'{n} {reason}' for reason, n in sorted(lost.items()))})" if lost else ""
        raise UserError(
            f"{', '.join(map(str, files))}: no document to measure on{why}; "
            "give text files, or JSON Lines or Parquet with a field `text`"
        )
    return InspectedTokenizer(
        path=str(path),
        name=name,
        files=tuple(str(file) for file in files),
        lost=dict(sorted(lost.items())),
        groups=groups,
        tokenizers=found,
    )
