"""`datatrove`: files read by a reader of datatrove."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from pydantic import Field, model_validator

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.sources.reader import Batch, Label, Reader, Split

if TYPE_CHECKING:
    from datatrove.data import Document

    from corpusmill.pipelines.sources.assembly.batches import Collector

# Options of datatrove's readers that the recipe decides otherwise, and by what.
_OURS = {
    "data_folder": "`files`",
    "paths_file": "`files`",
    "glob_pattern": "`files`",
    "recursive": "`files`",
    "shuffle_files": "the mixture's shuffle",
    "limit": "the mixture",
    "skip": "the mixture",
    "adapter": "a block of your own in a plugin",
    "file_progress": "the run's own progress",
    "doc_progress": "the run's own progress",
    "add_file_path": "nothing: where a file lies must not change the output",
}


class _Libraries:
    """`Datatrove.libraries`: those of its block."""

    def __get__(self, reader: Datatrove | None, owner: type[Datatrove]) -> tuple[str, ...]:
        if reader is None:
            return ("datatrove",)
        from corpusmill.pipelines.sources.datatrove_blocks.block_class import block_class, distributions

        return distributions(block_class(reader.block))


class Datatrove(Reader):
    """Read files with a reader of datatrove 0.10 (`pip install 'corpusmill[datatrove]'`).

    `block` is one that reads files (a `BaseDiskReader`). A file is one range of work, whatever its size; a
    compressed one is proved whole before. Ids and columns come from the record's id and metadata as with
    `jsonl`. What the block passes over is counted, not lost: `no_text` (records whose text is missing or
    empty, which datatrove drops) and `block_warning` (everything that it warns of, such as a line that is no
    JSON). Quarantined besides: `bad_utf8`, `binary` (NUL). Where the block gives up a file without a word, as
    `JsonlReader` does at bytes that are no UTF-8, that is one `block_warning` for the rest of the file: our
    own readers quarantine single records.
    """

    name: ClassVar[str] = "datatrove"
    libraries: ClassVar[tuple[str, ...]] = cast("tuple[str, ...]", _Libraries())

    block: str = Field(
        min_length=3,
        description="Full name of the class, as `datatrove.pipeline.readers.JsonlReader`, "
        "or `STEM.Class` for one in the plugin STEM.py.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Arguments of the block's constructor, by name, but for those on where files lie.",
    )
    network: bool = Field(False, description="Let the block download.")

    @model_validator(mode="after")
    def _known(self) -> Self:
        from corpusmill.pipelines.sources.datatrove_blocks.block_class import (
            block_class,
            kind_of_block,
            need_options,
        )

        found = block_class(self.block)
        if kind_of_block(found) != "reader":
            raise ValueError(
                f"`{self.block}` is no reader of files; write filters and the like under `steps`"
            )
        for name in self.options:
            if name in _OURS:
                raise ValueError(f"leave out `{name}`: {_OURS[name]} decides that")
        need_options(found, {"data_folder": "", **self.options})
        return self

    def external_files(self) -> tuple[Path, ...]:
        """The plugin that the block is defined in."""
        from corpusmill.pipelines.contract.plugins import plugin_file
        from corpusmill.pipelines.sources.datatrove_blocks.block_class import block_class

        plugin = plugin_file(block_class(self.block).__module__)
        return () if plugin is None else (plugin,)

    def index(self, path: Path) -> list[Split]:
        """One split; a compressed file is proved whole."""
        from corpusmill.pipelines.sources.framing.whole_files import index_whole

        return index_whole(path)

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of the documents of one file. Raises what the block raises."""
        from corpusmill.pipelines.sources.assembly.batches import Collector

        collector = Collector(label)
        place = name.replace("\\", "/")
        warnings: list[str] = []
        with _warnings_to(warnings):
            for number, document in enumerate(self._documents(path, place, collector)):
                self._add(document, f"{place}, document {number}", collector)
                _note(warnings, place, collector)
                if collector.full:
                    yield collector.take()
            _note(warnings, place, collector)
        yield collector.take()

    def _documents(self, path: Path, place: str, collector: Collector) -> Iterator[Document]:
        """What the block reads; its own id is empty where the record has none."""
        import fsspec

        from corpusmill.pipelines.sources.datatrove_blocks.block_class import block_class
        from corpusmill.pipelines.sources.datatrove_blocks.offline import offline

        os.fspath(path)  # of a remote file: fetch all of it, which the block opens by its name
        folder = (str(path.parent), fsspec.filesystem("file"))
        end = object()
        try:
            with offline(self.name, allowed=self.network):
                block = block_class(self.block)(data_folder=folder, **self.options)
            made = block.get_document_from_dict

            def counted(data: dict[str, Any], source_file: str, id_in_file: int | str) -> Document | None:
                document: Document | None = made(data, source_file, id_in_file)
                if document is None:
                    collector.quarantine(
                        "no_text", 0, f"{place}, record {id_in_file}", "no text, or an empty one"
                    )
                elif document.id == f"{source_file}/{id_in_file}":
                    document.id = ""
                return document

            block.add_file_path = False
            block._empty_warning = True  # it warns of the first record without text alone; all are counted
            block.get_document_from_dict = counted
            documents = iter(block.read_file(path.name))
            while True:
                with offline(self.name, allowed=self.network):
                    document = next(documents, end)
                if document is end:
                    return
                yield cast("Document", document)
        except ImportError as error:
            raise UserError(f"{self.block}: {error}") from error

    def _add(self, document: Document, position: str, collector: Collector) -> None:
        from corpusmill.pipelines.sources.assembly.fields import FieldMap
        from corpusmill.pipelines.sources.datatrove_blocks.document_map import record_of

        text = document.text
        if not isinstance(text, str):
            collector.quarantine("no_text", 0, position, f"its text is of the type {type(text).__name__}")
            return
        if "\0" in text:
            collector.quarantine("binary", len(text), position, "NUL in the text")
            return
        try:
            content = text.encode()
            record = record_of(document)
        except UnicodeEncodeError as error:
            collector.quarantine("bad_utf8", len(text), position, str(error))
            return
        except ValueError as error:
            collector.quarantine("bad_metadata", len(content), position, str(error), content)
            return
        row = FieldMap().row({**record, **({"id": document.id} if document.id != "" else {})})
        collector.add(row.locator, content, text=content, meta=row.meta, **row.columns)


def _note(warnings: list[str], place: str, collector: Collector) -> None:
    for words in warnings:
        collector.quarantine("block_warning", 0, place, words)
    warnings.clear()


@contextlib.contextmanager
def _warnings_to(found: list[str]) -> Iterator[None]:
    """Within, what a block of this thread warns of is added to `found`, and not shown besides."""
    import threading

    from loguru import logger

    _spare_the_terminal()
    here = threading.get_ident()

    def sink(message: Any) -> None:
        found.append(str(message.record["message"]).splitlines()[0][:300])

    handler = logger.add(sink, level="WARNING", filter=lambda record: record["thread"].id == here)
    _reading.add(here)
    try:
        yield
    finally:
        _reading.discard(here)
        logger.remove(handler)


_reading: set[int] = set()  # threads whose warnings are counted


@cache
def _spare_the_terminal() -> None:
    """Put a handler in the place of datatrove's that leaves out what is counted, a line for each record.

    Where there are others beside it, somebody has set up logging as they want it, and nothing is changed.
    """
    import sys

    from loguru import logger

    alone = re.fullmatch(r"<loguru\.logger handlers=\[\(id=(\d+), level=10, sink=<stderr>\)\]>", repr(logger))
    if alone is not None:
        logger.remove(int(alone[1]))
        logger.add(sys.stderr, filter=lambda record: record["thread"].id not in _reading)
