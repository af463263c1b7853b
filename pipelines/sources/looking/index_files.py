"""Look for the first line of an index file that names a record of a file that is there."""

from __future__ import annotations

from pathlib import Path

from corpusmill.pipelines.sources.assembly.cdx_lines import entry_of, is_heading, legend_of
from corpusmill.pipelines.sources.framing.record_at import RecordFault, WarcFolder
from corpusmill.pipelines.sources.looking.formats import format_of, head_of, wrong_format
from corpusmill.pipelines.sources.looking.look import EMPTY, NOTHING, Look
from corpusmill.pipelines.sources.looking.unreadable import unreadable

_EXPECTED = "lines of CDX or CDXJ"
_FILES = 100  # names of files looked for


def look_at_index(path: Path, folder: Path) -> Look:
    """What the first MiB of an index of WARC files in `folder` shows. Raises OSError."""
    head, whole = head_of(path)
    if format_of(head) is not None:
        return Look(fault=wrong_format(head, "cdx"))
    lines = head.split(b"\n")
    if not whole:
        lines.pop()  # it may go on
    lines = [line.rstrip(b"\r") for line in lines if line.strip() and not is_heading(line)]
    legend = legend_of(lines[0]) if lines else None
    if legend is not None:
        del lines[0]
    if not lines:
        return EMPTY if whole else NOTHING
    cause = None
    missing: dict[str, None] = {}
    warcs = WarcFolder(folder, 0)
    for line in lines:
        try:
            name = entry_of(line, legend).filename
        except ValueError as error:
            cause = cause or str(error)
            continue
        if name not in missing:
            try:
                warcs.place(name)
            except RecordFault:
                missing[name] = None
            else:
                return Look(sound=True)
            if len(missing) == _FILES:
                break
    if missing:
        first = next(iter(missing))
        return Look(
            fault=f"the file {first[:200]} that it names is not in {folder}; set `warcs` to the folder of "
            "the WARC files"
        )
    return Look(fault=unreadable(head, _EXPECTED, cause or ""))
