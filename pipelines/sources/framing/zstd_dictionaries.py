"""Dictionaries of zstd frames: the one at the head of a .warc.zst, and one that an option names.

The IIPC's "Zstandard Compression for WARC Files 1.0" puts the dictionary into a skippable frame (magic
0x184D2A5D) at the file's beginning, as it is or as one zstd frame. Each frame of such a file is decoded with
it, also where reading begins in the middle of the file. Frames name the number of the dictionary they need.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.sources.framing.damage import FETCH_AGAIN, Damage
from corpusmill.pipelines.sources.framing.frames import Stored

if TYPE_CHECKING:
    import zstandard

WINDOW_LIMIT = 2**31  # bytes: the largest window `zstd --long=31` writes
DICTIONARY_LIMIT = 2**26  # bytes, stored and decoded; the specification asks of decoders for 2**23
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
DICTIONARY_MAGIC = b"\x37\xa4\x30\xec"  # RFC 8878, section 5
DICTIONARY_FRAME = b"\x5d\x2a\x4d\x18"
FRAME_HEAD = 18  # bytes: the longest head of a zstd frame
_CURE = (
    "dictionaries in files of their own are not supported but by the option `dictionary` of the reader "
    "`warc`; name the file there, or recompress the file without a dictionary"
)


def decoded_dictionary(data: bytes) -> bytes:
    """The dictionary that `data` is, or holds as one zstd frame. Raises ValueError with the cause."""
    import zstandard

    if data.startswith(ZSTD_MAGIC):
        try:
            size = zstandard.frame_content_size(data)
            if size > DICTIONARY_LIMIT:
                raise ValueError(f"it has more than {DICTIONARY_LIMIT >> 20} MiB")
            unpacker = zstandard.ZstdDecompressor(max_window_size=DICTIONARY_LIMIT)
            data = unpacker.decompress(data, max_output_size=DICTIONARY_LIMIT, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise ValueError(f"it cannot be decompressed: {error}") from error
    if not data.startswith(DICTIONARY_MAGIC):
        raise ValueError(f"it begins with {data[:4]!r}, not with {DICTIONARY_MAGIC!r} as dictionaries do")
    return data


def dictionary_of_option(path: Path | None) -> bytes | None:
    """The dictionary in the file that an option names. Raises DataError."""
    if path is None:
        return None
    with path.open("rb") as file:
        data = file.read(DICTIONARY_LIMIT + 1)
    try:
        if len(data) > DICTIONARY_LIMIT:
            raise ValueError(f"it has more than {DICTIONARY_LIMIT >> 20} MiB")
        return Dictionaries(None, decoded_dictionary(data)).given
    except ValueError as error:
        raise DataError(f"{path}: no zstd dictionary: {error}; correct the option `dictionary`") from error


class Dictionaries:
    """The dictionaries that frames of one file may need: its `own`, and one `given` from outside.

    Raises ValueError for bytes that are no dictionary.
    """

    def __init__(self, own: bytes | None, given: bytes | None) -> None:
        import zstandard

        self.given = given
        self._stored: bytes | None = None  # the file's own as it stands there
        self._plain = zstandard.ZstdDecompressor(max_window_size=WINDOW_LIMIT)
        self._by_number: dict[int, zstandard.ZstdDecompressor] = {}
        for data in (given, own):
            if data is not None:
                number, unpacker = _unpacker(data)
                self._by_number[number] = unpacker
                if data is own:
                    self._plain = unpacker  # also for frames that name no dictionary, as the format has it

    @classmethod
    def of(cls, file: Stored, given: bytes | None = None) -> Dictionaries:
        """Those of an open zstd file, read from its beginning. Raises Damage where its own is broken."""
        file.seek(0)
        try:
            stored = _stored(file)
            found = cls(None if stored is None else decoded_dictionary(stored), given)
        except ValueError as error:
            cause = f"the zstd dictionary at the file's beginning cannot be read: {error}"
            raise Damage(0, cause, FETCH_AGAIN) from error
        found._stored = stored
        return found

    def unpacker(self, head: bytes, frame: int, start: int) -> zstandard.ZstdDecompressor:
        """What decodes the frame that begins with `head`. Raises Damage where its dictionary is missing."""
        number = _number(head)
        if number == 0:
            return self._plain
        if number in self._by_number:
            return self._by_number[number]
        if self._by_number:
            there = f"there is only number {', '.join(map(str, self._by_number))}"
        else:
            there = "the file does not begin with one"
        cause = f"its zstd frames need dictionary number {number}, and {there} (frame at byte {frame})"
        raise Damage(frame, cause, _CURE, sound=start, frame=frame)

    def pass_second(self, file: Stored, frame: int, start: int) -> None:
        """Check a dictionary frame at stored offset `frame`, which is not the beginning.

        One that repeats the file's own is passed. The file stands where it stood. Raises Damage for another.
        """
        here = file.tell()
        file.seek(frame)
        try:
            if _stored(file) == self._stored:
                return
        except ValueError:
            pass  # a dictionary that cannot be read is another one
        finally:
            file.seek(here)
        cause = f"a second zstd dictionary begins at byte {frame}, so files of two dictionaries were joined"
        raise Damage(frame, cause, "cut the file there, or recompress it", sound=start, frame=frame)


def _stored(file: Stored) -> bytes | None:
    """What the dictionary frame at hand holds; None where another kind of frame begins. Raises ValueError."""
    head = file.read(8)
    if head[:4] != DICTIONARY_FRAME:
        return None
    size = int.from_bytes(head[4:8], "little")
    if size > DICTIONARY_LIMIT:
        raise ValueError(f"it has {size} bytes, more than {DICTIONARY_LIMIT >> 20} MiB")
    data = file.read(size)
    if len(head) < 8 or len(data) < size:
        raise ValueError("the file ends inside it")
    return data


def _unpacker(data: bytes) -> tuple[int, zstandard.ZstdDecompressor]:
    """Number and decoder of a dictionary. Raises ValueError."""
    import zstandard

    try:
        loaded = zstandard.ZstdCompressionDict(data, dict_type=zstandard.DICT_TYPE_FULLDICT)
        unpacker = zstandard.ZstdDecompressor(dict_data=loaded, max_window_size=WINDOW_LIMIT)
        unpacker.decompressobj()  # its tables are read here
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    return int(loaded.dict_id()), unpacker


def _number(head: bytes) -> int:
    """The number of the dictionary that a zstd frame names; 0 for none, and for a head that is cut."""
    import zstandard

    try:
        return int(zstandard.get_frame_parameters(head).dict_id)
    except zstandard.ZstdError:
        return 0
