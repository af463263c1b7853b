"""The model file of SentencePiece, of tokenizers that were trained or loaded as one."""

from __future__ import annotations

from pathlib import Path

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.tokenizer.export.exported import tokenizer_export
from corpusmill.tokenizer.export.source import MODEL, Source


def write(folder: Path, source: Source) -> tuple[str, ...]:
    """Write the model into `folder`; returns its name.

    Raises UserError where there is none, or where tokenizer.json was not made from it.
    """
    from corpusmill.tokenizer.pieces.definition import definition_of_model
    from corpusmill.tokenizer.pieces.model_file import read_model

    if source.model is None:
        raise UserError("only a tokenizer trained or loaded as a SentencePiece model can be exported as one")
    if definition_of_model(read_model(source.model)) != source.text:
        raise UserError(
            "tokenizer.model is not the model that tokenizer.json was made from; make the tokenizer again"
        )
    (folder / MODEL).write_bytes(source.model)
    return (MODEL,)


EXPORT = tokenizer_export("sentencepiece")
