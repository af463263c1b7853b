"""How a page is extracted: the options of `Extract`, as the extractors see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Extractor = Literal["corpusmill", "resiliparse", "trafilatura"]


@dataclass(frozen=True)
class Extraction:
    """See `Extract` for the meaning of each option."""

    extractor: Extractor = "corpusmill"
    format: Literal["text", "markdown"] = "text"
    main_content: bool = True
    precision: bool = False
    comments: bool = False
    links: bool = False
    alt_texts: bool = False
    formulas: bool = True
