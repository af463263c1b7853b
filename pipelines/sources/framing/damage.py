"""The one exception of broken framing: where, why, and what to do about it."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.contract.errors import DataError

FETCH_AGAIN = "fetch or copy the file again; what lies before this point is still read"


class Damage(DataError):  # noqa: N818  # named for what it is: a fact about a file
    """A file whose framing breaks.

    `position` is the byte offset in the stored (compressed) file, `cause` what is wrong there, `cure` what
    the user can do. `sound` is the position in the uncompressed stream up to which the bytes given so far
    may be trusted: all but the last stretch of what was decoded where the file merely ends too early, and
    only what lies before the failing frame where a checksum or the decoder disagrees (nobody can say where
    inside it the error is).
    `frame` is the stored offset of the failing frame, `cut` whether the file simply ends too early.
    """

    def __init__(
        self,
        position: int,
        cause: str,
        cure: str = FETCH_AGAIN,
        *,
        sound: int = 0,
        frame: int = 0,
        cut: bool = False,
    ) -> None:
        super().__init__(f"byte {position}: {cause}; {cure}")
        self.position = position
        self.cause = cause
        self.sound = sound
        self.frame = frame
        self.cut = cut

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), str(self), self.__dict__)

    @property
    def fault(self) -> str:
        """Position, cause and cure in one line, for `Split.fault`."""
        return str(self)


class BrokenRecord(Damage):
    """The frames are sound so far, but the record at uncompressed position `position` is not."""

    def __init__(self, position: int, cause: str, cure: str = FETCH_AGAIN) -> None:
        super().__init__(position, cause, cure, sound=position)


def _restored(kind: type[Damage], message: str, facts: dict[str, Any]) -> Damage:
    """A Damage back from another process, whose constructor takes more than the message."""
    damage = kind.__new__(kind, message)
    damage.__dict__.update(facts)
    return damage
