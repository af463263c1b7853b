"""Names that recipes give to reasons of removal."""

from typing import Annotated

from pydantic import Field

ReasonName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""A reason in the ledger and a part of a score column's name."""
