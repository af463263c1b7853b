"""Limits that may differ by language, and languages that a filter is not meant for.

A filter with limits has a field for each; `languages`, those that these limits are meant for; and
`by_language`, from a language code to limits that replace the filter's own for documents of that language;
what an entry leaves out is the filter's own. A document of any other language is not judged, since limits
chosen on one language remove another without a word. Which limits hold is written as the score column
`limits` (null: the filter's own, `none`: not judged), so that judging needs nothing but the scores. Entries
are completed when a filter is validated, so that one written out and read back is the same.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from corpusmill.pipelines.contract.documents import Columns, Documents
from corpusmill.pipelines.contract.rules import LIMITS, NOT_JUDGED, judged
from corpusmill.pipelines.contract.stage import Filter, Stage
from corpusmill.pipelines.text.bounds import bounds_of


def meant_for(docs: Documents, languages: Sequence[str] | None) -> npt.NDArray[np.bool_]:
    """bool[n]: documents of one of `languages`, null being any; without a language, those whose script does
    not speak against it (as `LimitsByLanguage` has it).
    """
    from corpusmill.filters.rules.language_codes import code_meant
    from corpusmill.pipelines.text.scripts import language_of_script, main_scripts

    found = np.ones(len(docs), np.bool_)
    if languages is None:
        return found
    codes = docs.column("lang").cast(pa.string()).to_pylist()
    known = {code: code in languages or code_meant(code) in languages for code in {*codes} - {None}}
    unknown = np.array([n for n, code in enumerate(codes) if code is None], np.int64)
    for n, code in enumerate(codes):
        found[n] = known.get(code, True)
    if len(unknown):
        scripts = main_scripts(bounds_of(docs).scripts[unknown])
        found[unknown] = [
            script in (None, "Latn") or language_of_script(script) in languages for script in scripts
        ]
    return found


class Limits(BaseModel):
    """Base of groups of limits; null switches one off, 0 is a limit like any other."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


L = TypeVar("L", bound=Limits)
_SHOWN = 4  # limits in a remark

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Languages = Annotated[
    tuple[str, ...] | None,
    Field(
        description="Languages, by code, that these limits are meant for; documents of one that is neither "
        "here nor in `by_language` are kept, not judged. null: any language.",
    ),
]
ByLanguage = Annotated[
    dict[str, L],
    Field(
        validate_default=True,
        description="Limits for documents of a language, by code; {}: the same limits for all languages.",
    ),
]
Scaling = Literal["tokens", "characters", "word_length"]


class LimitsByLanguage(Filter):
    """Base of filters with fields `languages` and `by_language`; `measure` gives the scores.

    The language of a document is its column `lang`, other forms of codes (`eng`, `zh-CN`) taken for those of
    the model. Where that is null, the script of its letters speaks (`text.scripts`): a document mostly in
    Kana and Han, Hangul, Thai, Arabic, Devanagari or Cyrillic letters is judged as Japanese, Korean and so
    on, and one in Latin letters by the filter's own limits.

    `scaled` names the options that count words or characters, or the characters of words, of which another
    language needs more or fewer for the same text: `corpusmill calibrate` multiplies them.
    """

    scaled: ClassVar[Mapping[str, Scaling]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.produces = (*cls.produces, f"{cls.name}.{LIMITS}")

    @field_validator("by_language", check_fields=False)
    @classmethod
    def _complete(cls, value: dict[str, L], info: ValidationInfo) -> dict[str, L]:
        """With what an entry leaves out taken from the filter's own options."""
        return {
            code: limits.model_copy(
                update={
                    name: info.data[name]
                    for name in type(limits).model_fields
                    if name not in limits.model_fields_set and name in info.data
                }
            )
            for code, limits in sorted(value.items())
        }

    def conflicts(self, before: Sequence[Stage]) -> list[tuple[str, str]]:
        """Languages whose limits no document can keep, since an entry's `min_...` is above a `max_...` of the
        filter's own; and those that no document can have, where a stage before this one identifies them."""
        from corpusmill.filters.rules.language_codes import unknown_codes

        if crossed := self._crossed():
            return crossed
        if not any(stage.name == "language" for stage in before):
            return []  # documents have whatever codes the input gives them
        return [
            *(("by_language", wrong) for wrong in unknown_codes(self._languages())),
            *(("languages", wrong) for wrong in unknown_codes(dict(self)["languages"] or ())),
        ]

    def _crossed(self) -> list[tuple[str, str]]:
        """(option of the filter, what is wrong) for limits that meet no value in some languages."""
        found: dict[str, tuple[float, list[str]]] = {}
        for code, limits in self._languages().items():
            for name, least in dict(limits).items():
                option = f"max_{name.removeprefix('min_')}"
                most = getattr(limits, option, None) if name.startswith("min_") else None
                if isinstance(least, (int, float)) and isinstance(most, (int, float)) and least > most:
                    found.setdefault(option, (most, []))[1].append(f"{code} {least:g}")
        return [
            (
                option,
                f"is {most:g}, under the least of some languages ({', '.join(codes)}), so that all of "
                "their documents would be removed; write limits for them in `by_language`, or "
                "`by_language: {}` to judge every language alike",
            )
            for option, (most, codes) in found.items()
        ]

    def remarks(self, before: Sequence[Stage]) -> list[str]:
        """Which limits judge texts of any language, where no step before this one tells languages."""
        own = dict(self)["languages"]
        if own is None or any("lang" in stage.produces for stage in before):
            return []
        limits = [f"{line.option} {line.value:g}" for line in self.lines() if line.group is None]
        more = f" and {len(limits) - _SHOWN} more" if len(limits) > _SHOWN else ""
        return [
            "no step before it identifies languages; unless the data say them, texts in Latin letters are "
            f"judged by the limits for {', '.join(own)}, whatever their language "
            f"({', '.join(limits[:_SHOWN])}{more}); put `language` before it"
        ]

    @abstractmethod
    def measure(self, docs: Documents, numbers: npt.NDArray[np.int64]) -> Columns:
        """Score columns of n rows each; `numbers` int64[n] says which of `alternatives` hold for each."""

    def score(self, docs: Documents) -> Columns:
        """What is measured, and `limits` string[n]: the key of `by_language` that holds, null for the
        filter's own, `none` for no limits.
        """
        limits = self._limits_of(docs)
        return {**self.measure(docs, self._numbers(limits)), LIMITS: limits}

    def judge(self, scores: Columns) -> pa.Array:
        """The first rule broken, in their order."""
        limits = scores[LIMITS]
        numbers = self._numbers(limits if isinstance(limits, pa.Array) else pa.array(limits, pa.string()))
        return judged(self.listed_rules(), scores, partial(self._limit, numbers))

    def alternatives(self, option: str) -> list[Any]:
        """The values of an option: the filter's own, that of each language, and, for the rest, its own."""
        own = getattr(self, option)
        return [own, *(getattr(limits, option) for limits in self._languages().values()), own]

    def _languages(self) -> Mapping[str, Limits]:
        found: Mapping[str, Limits] = self.__dict__["by_language"]
        return found

    def _limits_of(self, docs: Documents) -> pa.Array:
        """string[n], the column `limits`."""
        import pyarrow.compute as pc

        entries, own = self._languages(), self.__dict__["languages"]
        if not entries:
            return pa.nulls(len(docs), pa.string())
        codes = docs.column("lang").cast(pa.string()).dictionary_encode()
        chosen = [self._entry(code, own) for code in codes.dictionary.to_pylist()]
        limits = pa.array(chosen, pa.string()).take(codes.indices)
        unknown = np.flatnonzero(np.asarray(codes.is_null().to_numpy(zero_copy_only=False)))
        if len(unknown) == 0:
            return limits
        by_script = self._by_script(docs, unknown, own)
        return pc.replace_with_mask(limits, pc.is_null(codes), pa.array(by_script, pa.string()))

    def _entry(self, code: str, own: Sequence[str] | None) -> str | None:
        """What `limits` says of documents of a language."""
        from corpusmill.filters.rules.language_codes import code_meant

        for name in (code, code_meant(code)):
            if name in self._languages():
                return name
            if own is not None and name in own:
                return None
        return None if own is None else NOT_JUDGED

    def _by_script(
        self, docs: Documents, rows: npt.NDArray[np.int64], own: Sequence[str] | None
    ) -> list[str | None]:
        """What `limits` says of documents without a language."""
        from corpusmill.pipelines.text.scripts import language_of_script, main_scripts

        scripts = main_scripts(bounds_of(docs).scripts[rows])
        chosen: dict[str | None, str | None] = {}
        for script in dict.fromkeys(scripts):
            language = language_of_script(script)
            if language is not None:
                chosen[script] = self._entry(language, own)
            else:
                chosen[script] = None if script in (None, "Latn") or own is None else NOT_JUDGED
        return [chosen[script] for script in scripts]

    def _numbers(self, limits: pa.Array) -> npt.NDArray[np.int64]:
        """int64[n]: 0 for the filter's own limits, 1 + the position in `by_language` for others, and the
        number behind those for none.
        """
        import pyarrow.compute as pc

        names = [*self._languages(), NOT_JUDGED]
        found = pc.index_in(limits.cast(pa.string()), pa.array(names, pa.string()))
        return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), np.int64) + 1

    def _limit(self, numbers: npt.NDArray[np.int64], option: str) -> npt.NDArray[np.float64]:
        """float64[n]: an option, or item `n` of one (`option.n`), as it holds for each row; NaN for null."""
        name, _, item = option.partition(".")
        values = [value.get(int(item)) if item else value for value in self.alternatives(name)]
        values[-1] = None
        return np.array([np.nan if value is None else float(value) for value in values])[numbers]
