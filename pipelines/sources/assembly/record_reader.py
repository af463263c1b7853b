"""What readers of records with named fields (JSONL, Parquet) share: which field is which column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from corpusmill.pipelines.sources.assembly.presets import Preset
from corpusmill.pipelines.sources.reader import Reader

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.assembly.fields import FieldMap

DECODED_BYTES = 2**26  # what rows of a table that are mapped at a time may take as Python values


class RecordReader(Reader):
    """Options of readers whose records have named fields.

    A value inside mappings and lists is named by its path, `metadata.content` or `messages.0.content`: see
    `field_paths` for the rule. With `template`, `text_field` holds messages (mappings), each of which becomes
    a text by it.

    `fields` may name `code_language` too, for `meta.code_language` in lower case. A `license` that is a list
    becomes an SPDX expression, all of them joined by AND. The preset `the_stack_v2` expects contents added as
    `content`.
    """

    preset: Preset | None = Field(
        None, description="Well-known data set whose names of fields to use; null: those given here."
    )
    text_field: str = Field(
        "text", min_length=1, description="Field of the text, by its path, such as `metadata.content`."
    )
    text_from: list[str] = Field(
        [],
        description="Fields whose strings, or lists of them, make the text of a record without `text_field`; "
        "they stay in `meta` too.",
    )
    id_field: str = Field("id", min_length=1, description="Field of the record's own id, by its path.")
    fields: dict[str, str | None] = Field(
        default_factory=dict,
        description="Field of each column, such as {url: link}; null leaves the field in `meta`.",
    )
    template: str | None = Field(
        None, min_length=1, description='Text of one message, such as "{role}: {content}"; null: no messages.'
    )
    between_messages: str = Field("\n\n", description="Text between two messages, with `template`.")
    max_record_bytes: int = Field(
        64 * 2**20,
        ge=1,
        description="Most bytes of a record (Parquet, Arrow: of its text); larger ones are quarantined.",
    )

    @property
    def _row_bytes(self) -> int:
        """What one row of a table may take as Python values, its text and all other columns together."""
        return 4 * max(DECODED_BYTES, self.max_record_bytes)

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, options: Any) -> Any:
        from corpusmill.pipelines.sources.assembly.presets import with_preset

        return with_preset(options) if isinstance(options, dict) else options

    @model_validator(mode="after")
    def _known_columns(self) -> Self:
        self._field_map()
        return self

    def _field_map(self) -> FieldMap:
        from corpusmill.pipelines.sources.assembly.fields import FieldMap
        from corpusmill.pipelines.sources.assembly.messages import MessageTemplate

        template = None
        if self.template is not None:
            template = MessageTemplate(self.template, self.between_messages)
            template.check()
        return FieldMap.of(self.text_field, self.id_field, self.fields, template, self.text_from)
