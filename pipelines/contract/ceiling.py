"""How much of a source an exchange may take out before a run stops and asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field

Share = Annotated[float, Field(ge=0, le=1)]
_NAME = "max_removed"


class Ceiling(BaseModel):
    """The option of all exchanges that limits what they take out of a source.

    It changes no output: a run that stopped goes on with another limit from where it was.
    """

    incidental: ClassVar[tuple[str, ...]] = (_NAME,)

    max_removed: Share | dict[str, Share] | None = Field(
        None,
        description="Share of a source, in documents or bytes, 0 to 1, or one by source: the run stops where "
        "more is taken out; null: never.",
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.incidental = tuple(dict.fromkeys((*cls.incidental, _NAME)))

    def ceiling(self, source: str) -> float | None:
        """The largest share of a source; None is any."""
        if isinstance(self.max_removed, Mapping):
            return self.max_removed.get(source)
        return self.max_removed
