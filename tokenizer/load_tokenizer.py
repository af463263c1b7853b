"""`load_tokenizer`: bring a tokenizer of one's own instead of training."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.stage import Task
from corpusmill.pipelines.storage.verified import verified
from corpusmill.pipelines.text.tokenizer_json import parsed
from corpusmill.tokenizer.bpe.definition_parts import Normalizer
from corpusmill.tokenizer.pretokenizer.patterns import Name
from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer, in_full

Role = Literal["bos", "eos", "pad", "fim_hole", "fim_begin", "fim_end"]


class LoadTokenizer(Task):
    """Use the byte-level BPE tokenizer in the file `path`, which may be packed with zstd.

    Read are a tokenizer.json of the `tokenizers` library; a rank file of tiktoken, with the `pre_tokenizer`
    it was made for; GPT-2's merges.txt; and a SentencePiece BPE model with byte fallback that changes no
    text. The format is told from the content. Ids are those of the original (`imports.read_tokenizer`); what
    could not keep them is refused.

    A role that `special_tokens` leaves out takes what a SentencePiece model says, or else the spelling of a
    well-known family whose tokens the tokenizer has (`imports.special_tokens`), and is otherwise missing (an
    error where a stage needs it). Rank files and merges hold no special tokens: `add_missing` adds them.

    What is random, cuts texts or adds tokens to them (dropout, truncation, padding, post-processors) is left
    out of the tokenizer and named in loading.json (`dropped`) and in the report; what would change a text is
    refused by its name (`bpe.definition_parts` lists every part), but for a Unicode form, where `normalizer`
    says what to do, and spaces written as U+2581 (`imports.spaces`).

    Makes the artefact that `train_bpe` makes: tokenizer.json (unchanged but for what was added or dropped),
    tokenizer_config.json, special_tokens_map.json and encoder.json, and for a SentencePiece model to which
    nothing was added tokenizer.model; training.json is replaced by loading.json.
    Raises UserError for a file that is no such tokenizer, for a spelling it lacks, and for one that does not
    give texts back as they were; IntegrityError where another run wrote the file and it has changed since.
    """

    libraries: ClassVar[tuple[str, ...]] = ("tokenizers", "gigatoken")
    consumes: ClassVar[tuple[str, ...]] = ()

    path: Path = Field(
        description="File of the tokenizer, which may be packed with zstd, relative to the recipe."
    )
    pre_tokenizer: Name | PreTokenizer | None = Field(
        None, description="Pre-tokenizer of a rank file or of merges.txt; null: gpt2 for merges.txt."
    )
    special_tokens: dict[Role, str] = Field(
        default_factory=dict, description="Spelling of the tokenizer's special tokens, by role."
    )
    normalizer: Normalizer | None = Field(
        None,
        description="Unicode form of the tokenizer, such as Qwen's NFC: encode documents in it, or as they "
        "are; null: refuse it.",
    )
    add_missing: bool = Field(
        False, description="Append special tokens that the tokenizer lacks after its largest id."
    )
    pad_vocabulary_to: int | None = Field(
        None,
        ge=257,
        le=2**24,
        description="Ids that a model makes room for (DeepSeek-V3: 129,280); null: no more.",
    )

    _in_full = field_validator("pre_tokenizer")(in_full)

    def external_files(self) -> tuple[Path, ...]:
        return (self.path,)

    def faults(self, needed: Mapping[str, str]) -> list[str]:
        """All that is wrong with the file for a run that needs the roles `needed`, each with the cure.

        `needed`: role -> how to do without it, "" where nothing can. Reads the file, before any work.
        Raises IntegrityError where a run wrote it and it has changed since.
        """
        from corpusmill.tokenizer.imports.checked import faults_of
        from corpusmill.tokenizer.imports.special_tokens import known_roles, lacking_roles

        found = faults_of(verified(self.path), self._split, self.normalizer)
        faults, present = [f"{self.path}: {fault}" for fault in found.faults], found.added
        if found.unreadable:
            return faults
        absent = [spelling for spelling in self.special_tokens.values() if spelling not in present]
        if absent and not self.add_missing:
            faults.append(_absent(self.path, absent, present))
        roles = {*known_roles(present), *found.roles, *self.special_tokens}
        missing = {role: without for role, without in needed.items() if role not in roles}
        given = {str(role): spelling for role, spelling in self.special_tokens.items()}
        if missing:
            faults.append(lacking_roles(self.path, missing, present, given))
        return faults

    @property
    def _split(self) -> PreTokenizer | None:
        assert not isinstance(self.pre_tokenizer, str)  # the validator makes a PreTokenizer of a name
        return self.pre_tokenizer

    def run(self, inputs: Mapping[str, Sequence[Path]], folder: Path) -> dict[str, Any]:
        """Write the artefact into `folder`; `inputs` is not used. Returns what loading.json says."""
        import pyarrow as pa

        from corpusmill.tokenizer.bpe.artefact import write_tokenizer
        from corpusmill.tokenizer.imports.checked import in_our_form, refuse_odd_ids
        from corpusmill.tokenizer.imports.read_tokenizer import read_tokenizer

        imported = read_tokenizer(verified(self.path), self._split)
        refuse_odd_ids(self._parse(imported.text), json.loads(imported.text), self.path)
        definition, dropped = in_our_form(json.loads(imported.text), self.normalizer)
        plain = json.dumps(definition, ensure_ascii=False, indent=1) + "\n" if dropped else imported.text
        text = self._completed(plain)
        spellings = self._spellings(text, imported.special_tokens)
        encoder = write_tokenizer(
            folder,
            text,
            spellings,
            pa.array([], pa.large_string()),
            model_vocab_size=self.pad_vocabulary_to,
            normalize=self.normalizer == "apply",
        )
        if encoder["encoder"] == "tokenizers":
            dropped.append(_without_fast(encoder))
        if imported.model is not None and text == imported.text:
            (folder / "tokenizer.model").write_bytes(imported.model)
        facts = {
            "path": self.path.name,
            "format": imported.format,
            "special_tokens": spellings,
            "encoder": encoder,
            **({"dropped": dropped} if dropped else {}),
        }
        (folder / "loading.json").write_text(
            json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        return facts

    def _parse(self, text: str) -> Any:
        """The `tokenizers.Tokenizer` of a tokenizer.json."""
        try:
            return parsed(text)
        except ValueError as error:
            raise UserError(f"{self.path} is not a tokenizer.json: {error}") from error

    def _completed(self, text: str) -> str:
        """The tokenizer.json, with missing special tokens added where that was asked for."""
        from tokenizers import AddedToken

        from corpusmill.pipelines.contract.errors import UserError

        present = _added(text)
        missing = [spelling for spelling in self.special_tokens.values() if spelling not in present]
        if missing and not self.add_missing:
            raise UserError(_absent(self.path, missing, present))
        if not missing:
            return text
        tokenizer = self._parse(text)
        tokenizer.add_special_tokens(
            [AddedToken(spelling, special=True, normalized=False) for spelling in missing]
        )
        return str(tokenizer.to_str(pretty=True))

    def _spellings(self, text: str, named: Mapping[str, str]) -> dict[str, str]:
        from corpusmill.tokenizer.imports.special_tokens import known_roles

        spellings = known_roles(_added(text))
        spellings.update(named)
        spellings.update(self.special_tokens.items())
        return spellings


def _without_fast(encoder: Mapping[str, Any]) -> str:
    """Why documents take the slow encoder, and at what rate."""
    why = encoder["fault"] or f"it encodes {encoder['mismatches']} of {encoder['documents']} texts otherwise"
    return (
        f"gigatoken, the fast encoder ({why}): documents are encoded by `tokenizers`, at about 2 MB of text "
        "a second and core"
    )


def _absent(path: Path, spellings: Sequence[str], present: Collection[str]) -> str:
    from corpusmill.tokenizer.imports.special_tokens import listed

    lost = ", ".join(map(repr, spellings))
    cure = "correct `special_tokens` or set `add_missing: true`"
    return f"{path} has no added token {lost}; {listed(present)}; {cure}"


def _added(text: str) -> set[str]:
    return {token["content"] for token in json.loads(text).get("added_tokens") or []}
