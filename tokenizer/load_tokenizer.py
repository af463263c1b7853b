"""`load_tokenizer`: bring a tokenizer.json of one's own instead of training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from corpusmill.pipelines.stage import Task

Role = Literal["bos", "eos", "pad", "fim_hole", "fim_begin", "fim_end"]


class LoadTokenizer(Task):
    """Use the byte-level BPE tokenizer in the file `path` (a tokenizer.json of the `tokenizers` library).

    `special_tokens` maps roles (bos, eos, pad, fim_hole, fim_begin, fim_end) to the spellings of this
    tokenizer's added tokens; a role not given takes DeepSeek-V3's spelling if the tokenizer has it, and is
    otherwise left out (what needs it then says so). With `add_missing`, spellings that the tokenizer lacks
    are appended as new special tokens after its largest id.

    Makes the artefact that `train_bpe` makes: tokenizer.json (unchanged but for added ones),
    tokenizer_config.json and encoder.json; training.json is replaced by loading.json. Raises UserError
    for a file that is no such tokenizer, for a spelling it lacks, and for one that does not give texts
    back as they were.
    """

    libraries: ClassVar[tuple[str, ...]] = ("tokenizers", "gigatoken")
    consumes: ClassVar[tuple[str, ...]] = ()

    path: Path
    special_tokens: dict[Role, str] = Field(default_factory=dict)
    add_missing: bool = False

    def external_files(self) -> tuple[Path, ...]:
        return (self.path,)

    def run(self, inputs: Mapping[str, Sequence[Path]], folder: Path) -> dict[str, Any]:
        """Write the artefact into `folder`; `inputs` is not used. Returns what loading.json says."""
        import pyarrow as pa

        from corpusmill.tokenizer.bpe.encoders import write_tokenizer

        text = self._text()
        spellings = self._spellings(text)
        encoder = write_tokenizer(folder, text, spellings, pa.array([], pa.large_string()))
        facts = {"path": self.path.name, "special_tokens": spellings, "encoder": encoder}
        (folder / "loading.json").write_text(
            json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        return facts

    def _text(self) -> str:
        """The tokenizer.json, with missing special tokens added where that was asked for."""
        from tokenizers import AddedToken, Tokenizer

        from corpusmill.pipelines.errors import UserError

        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read the tokenizer {self.path}: {error}") from error
        try:
            tokenizer = Tokenizer.from_str(text)
        except Exception as error:
            # `tokenizers` raises bare Exception for whatever it cannot parse.
            raise UserError(f"{self.path} is not a tokenizer.json: {error}") from error
        present = _added(text)
        missing = [spelling for spelling in self.special_tokens.values() if spelling not in present]
        if missing and not self.add_missing:
            raise UserError(
                f"{self.path} has no added token {missing[0]!r}; "
                "correct `special_tokens` or set `add_missing: true`"
            )
        if not missing:
            return text
        tokenizer.add_special_tokens(
            [AddedToken(spelling, special=True, normalized=False) for spelling in missing]
        )
        return str(tokenizer.to_str(pretty=True))

    def _spellings(self, text: str) -> dict[str, str]:
        from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS

        present = _added(text)
        spellings = {role: spelling for role, spelling in SPECIAL_TOKENS.items() if spelling in present}
        spellings.update(self.special_tokens.items())
        return spellings


def _added(text: str) -> set[str]:
    return {token["content"] for token in json.loads(text).get("added_tokens") or []}
