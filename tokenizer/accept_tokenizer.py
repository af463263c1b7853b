"""`accept_tokenizer`: judge the tokenizer on documents it was not trained on, before anything is encoded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from corpusmill.pipelines.contract.stage import Context, Fold, Seeded
from corpusmill.tokenizer.evaluation.requirements import Requirements, nearest

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.contract.held_out import HeldOut


class Reference(BaseModel):
    """A tokenizer to compare with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(description="File of the tokenizer, as `inspect` takes it, relative to the recipe.")
    pattern: str | None = Field(
        None, description="Pre-tokenizer of a rank file whose name does not tell it, such as cl100k."
    )


_IN_FULL = ("judged", "groups", "tokenizers")  # what acceptance.json says beside the verdict in brief


class AcceptTokenizer(Seeded, Fold):
    """Measure the tokenizer on held-out documents and stop the run where it falls short of `require`.

    Documents: those `tokenizer_sample` held out, drawn by id (all, for a tokenizer that was loaded, which was
    trained on none). Of every stratum (source, language, language of code) those of smallest seeded draw
    within `stratum_bytes`; rates over several strata are weighted by the bytes each stands for. Memory:
    `stratum_bytes` for each stratum.

    Figures (definitions: `evaluation`): bytes, words and characters per token; fertility and continued words
    (Rust et al. 2021, How Good is Your Tokenizer?, with the words of `evaluation.word_classes`); unused and
    under-trained entries; round trip of all code points, bytes and byte sequences; grouping of digits; cost
    of white space; entries by script; unreachable and partial entries (Land and Bartolo 2024); traces of
    persons and secrets; compression at every vocabulary size up to this one. `references` are measured
    beside it on the same documents; paths as `inspect` takes them.

    That every text comes back as it was is always required. Artefact: acceptance.json, which holds every
    figure and threshold. Raises UserError naming each threshold missed with its value, limit and cure.
    """

    libraries: ClassVar[tuple[str, ...]] = ("tokenizers", "gigatoken", "numba", "pyarrow")
    consumes: ClassVar[tuple[str, ...]] = ("text",)
    artefacts: ClassVar[tuple[str, ...]] = ("tokenizer",)

    require: Requirements = Field(
        default_factory=Requirements,
        description="Thresholds to reach on held-out documents; one that is missed stops the run.",
    )
    references: dict[str, Path | Reference] = Field(
        default_factory=dict,
        description="Tokenizers to compare with, by a name of your choice: a file, or its options.",
    )
    held_out: float = Field(
        1.0, ge=0.0, le=1.0, description="Share of documents that the tokenizer was not trained on."
    )
    stratum_bytes: int = Field(
        4 * 2**20, ge=2**10, le=2**32, description="Most bytes of text of a stratum that are judged on."
    )
    max_document_bytes: int = Field(
        2**18, ge=2**8, le=2**30, description="Bytes at the start of a document that are judged on."
    )
    rare: int = Field(10, ge=1, description="Occurrences under which an entry counts as under-trained.")

    _tokenizer: Path | None = PrivateAttr(default=None)
    _apart: HeldOut | None = PrivateAttr(default=None)  # None: it saw none of the documents

    @field_validator("references")
    @classmethod
    def _names(cls, given: dict[str, Path | Reference]) -> dict[str, Path | Reference]:
        """Every reference in full; a bare path stands for `{path: ...}`."""
        if "tokenizer" in given:
            raise ValueError("`tokenizer` is the name of the tokenizer judged; call the reference otherwise")
        return {name: Reference(path=it) if isinstance(it, Path) else it for name, it in given.items()}

    @model_validator(mode="after")
    def _compared_with_what_there_is(self) -> Self:
        for name in self.require.against:
            if name not in self.references:
                raise ValueError(
                    f"require.against: no reference {name!r}; {nearest(name, self.references)}; "
                    "name its file under `references`"
                )
        return self

    def compared(self) -> dict[str, Reference]:
        """References by name, in the order of names."""
        return {name: it for name, it in sorted(self.references.items()) if isinstance(it, Reference)}

    def external_files(self) -> tuple[Path, ...]:
        return tuple(reference.path for reference in self.compared().values())

    def prepare(self, context: Context) -> Self:
        from corpusmill.pipelines.contract.held_out import HeldOut

        ready = super().prepare(context)
        ready._tokenizer = context.artefact("tokenizer", "tokenizer.json")
        if 0.0 < self.held_out < 1.0:
            ready._apart = HeldOut.of(context, "tokenizer", self.held_out)
        elif self.held_out == 0.0:
            ready._apart = HeldOut(context.seed, {"tokenizer": 0.0})
        return ready

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        from corpusmill.tokenizer.evaluation.held_sample import sample

        return sample(batches, self.known_seed(), self._apart, self.stratum_bytes, self.max_document_bytes)

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        import pyarrow as pa

        from corpusmill.tokenizer.evaluation.held_sample import smallest

        return smallest(pa.concat_tables(parts), self.stratum_bytes)

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Measure on `part` (JUDGED), write acceptance.json, and return its verdict in brief."""
        from corpusmill.pipelines.contract.errors import UserError
        from corpusmill.pipelines.records.codec import encode
        from corpusmill.pipelines.records.tokenizer_figures import Judgement
        from corpusmill.tokenizer.evaluation.evaluate import compared, evaluate
        from corpusmill.tokenizer.evaluation.held_sample import offered, sampled_texts, weights
        from corpusmill.tokenizer.evaluation.open_tokenizer import open_tokenizer
        from corpusmill.tokenizer.evaluation.requirements import judge, told

        if self._tokenizer is None:
            raise RuntimeError("accept_tokenizer must be prepared with the tokenizer artefact")
        opened = [open_tokenizer(self._tokenizer, name="tokenizer")]
        opened += [
            open_tokenizer(reference.path, reference.pattern, name)
            for name, reference in self.compared().items()
        ]
        available = offered(part)
        found = evaluate(opened, sampled_texts(part), weights=weights(part), rare=self.rare)
        groups = compared(found, "tokenizer")
        judged = judge(self.require, found["tokenizer"], groups)
        missed = [one for one in judged if not one.met]
        whole = groups[0] if groups else None
        judgement = Judgement(
            accepted=not missed,
            held_out=self.held_out,
            documents=whole.documents if whole is not None else 0,
            bytes=whole.bytes if whole is not None else 0,
            bytes_offered=sum(available.values()),
            bytes_per_token=whole.bytes_per_token if whole is not None else None,
            fertility=whole.fertility if whole is not None else None,
            thresholds=len(judged),
            judged=judged,
            groups=groups,
            tokenizers=found,
        )
        written = encode(judgement)
        text = json.dumps(written, indent=1, ensure_ascii=False)
        (folder / "acceptance.json").write_text(text + "\n", encoding="utf-8")
        if missed:
            head = f"the tokenizer misses {len(missed)} of {len(judged)} thresholds of `tokenizer: require`"
            raise UserError("\n".join([f"{head}:", *(f"  {told(one)}" for one in missed)]))
        return {name: value for name, value in written.items() if name not in _IN_FULL}
