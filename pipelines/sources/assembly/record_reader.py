"""What readers of records with named fields (JSONL, Parquet) share: which field is which column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from corpusmill.pipelines.sources.assembly.presets import Preset
from corpusmill.pipelines.sources.reader import Reader

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.assembly.fields import FieldMap


class RecordReader(Reader):
    """Options of readers whose records have named fields.

    `text_field` and `id_field` name the fields of the text and of the record's own id. `fields` maps a column
    to the field it comes from, or to null to leave that field in `meta`. A value inside mappings and lists is
    named by its path, `metadata.content` or `messages.0.content`: see `field_paths` for the rule. With
    `template`, `text_field` holds messages (mappings), each of which becomes a text by it, such as `"{role}:
    {content}"`; `between_messages` stands between two. Texts over `max_record_bytes` are quarantined.

    `fields` may name `code_language` too, for `meta.code_language` in lower case. A `license` that is a list
    becomes an SPDX expression, all of them joined by AND. `preset` stands for the fields of a well-known data
    set: `the_stack`, `the_stack_v2` (with contents added as `content`), `starcoderdata`, `github_code`.
    """

    preset: Preset | None = None
    text_field: str = Field(default="text", min_length=1)
    id_field: str = Field(default="id", min_length=1)
    fields: dict[str, str | None] = Field(default_factory=dict)
    template: str | None = Field(default=None, min_length=1)
    between_messages: str = "\n\n"
    max_record_bytes: int = Field(default=64 * 2**20, ge=1)

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
        return FieldMap.of(self.text_field, self.id_field, self.fields, template)
