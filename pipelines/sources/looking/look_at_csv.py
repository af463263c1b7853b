"""Look at the first records of a CSV file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.sources.looking.fields_seen import shown
from corpusmill.pipelines.sources.looking.formats import head_of, wrong_format
from corpusmill.pipelines.sources.looking.look import EMPTY, NOTHING, Look
from corpusmill.pipelines.sources.looking.unreadable import unreadable

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.csv import Csv

_EXPECTED = "names of fields in its first line, in UTF-8"
_DELIMITERS = ("\t", ";", "|", ",")


def look_at_csv(path: Path, reader: Csv) -> Look:
    """Whether the names of a file's fields hold the text. Raises OSError."""
    head, whole = head_of(path)
    if whole and not head.strip(b"\xef\xbb\xbf\r\n"):
        return EMPTY
    if not head:
        return NOTHING  # nothing can be unpacked
    if fault := wrong_format(head, "csv"):
        return Look(fault=fault)
    try:
        names, begin = reader.header(path)
    except UnicodeDecodeError:
        return Look(fault=unreadable(head, _EXPECTED))
    except DataError as error:
        return Look(fault=str(error).split(": ", 1)[-1])
    outer = reader.text_field.split(".")[0]
    if {reader.text_field, *reader.text_from} & set(names) or (
        reader.template is None and outer in names and outer != reader.text_field
    ):
        return EMPTY if whole and not head[begin:].strip() else Look(sound=True)
    if names[0].lower().startswith("sep="):
        first = shown(names[0])
        return Look(
            fault=f"its first line, `{first}`, is a mark for spreadsheets; delete it, such as with "
            "`tail -n +2`, and name that character with `delimiter`"
        )
    there = ", ".join(f"`{shown(name)}`" for name in names[:12])
    other = next((one for one in _DELIMITERS if one != reader.delimiter and one in names[0]), None)
    if len(names) == 1 and other is not None:
        return Look(fault=f"its first line is one field, {there}; write `delimiter: {json.dumps(other)}`")
    return Look(
        fault=f"its fields are {there}, none is called `{shown(reader.text_field)}`; write `text_field` with "
        "the one that is the text, or `columns` where the first line names none"
    )
