"""What can be wrong with one page."""

from __future__ import annotations

from corpusmill.pipelines.contract.errors import DataError


class PageFault(DataError):  # noqa: N818 - a fault is what quarantines a row
    """One page that cannot be extracted soundly; `why` is the short code the ledger counts.

    Codes: `bad_charset`, `binary_content`, `too_large`, `too_deep`, `too_many_attributes`, `parse_error`.
    """

    def __init__(self, why: str, detail: str) -> None:
        super().__init__(f"{why}: {detail}")
        self.why = why
