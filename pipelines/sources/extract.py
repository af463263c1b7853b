"""Web pages to text."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from corpusmill.pipelines.contract.stage import Edit, Outcome
from corpusmill.pipelines.system.time_limit import limited

if TYPE_CHECKING:
    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.extraction.main_text import Page
    from corpusmill.pipelines.extraction.options import Extraction

_MARKUP = ("<!doctype html", "<html", "<head", "<body", "<div", "<p>", "<p ", "<table", "<article", "<?xml")
_SNIFFED = 4096
_warmed: set[str] = set()  # extractors that are loaded in this process


class Extract(Edit):
    """Extract the main content of raw pages as text, with mathematics kept as TeX.

    Reads the columns `raw` and `content_type` (an HTTP Content-Type), fills `text`, and adds `title`,
    `html_lang` and `charset` to `meta` (keys that are there already win). Plain-text media types pass
    through decoded; other media types are removed as `not_text`, pages without any main content as
    `empty`. Rows whose `raw` is null keep the text they have.

    `extractor: corpusmill` is a model learned from pages of seven kinds whose main text people marked
    (`extraction.content_model`); the others are resiliparse (Bevendorff et al. 2018) and trafilatura
    (Barbaresi 2021). Ours as `markdown` (CommonMark with GitHub's tables) has headings, lists, quotations,
    code with its language, tables of data, emphasis; a parser reads every character of the text again.
    `precision`: ours weighs precision twice as much as recall; trafilatura's is `favor_precision`;
    resiliparse's also leaves out captions, credits and teasers. Ours keeps the posts of a forum whatever
    `comments` says; trafilatura has no `alt_texts`. `formulas` knows MathML, KaTeX, MathJax, formula images,
    exponents and indices (`extraction.formulas`).

    Ours adds the score `extract.kept_share`, the share of the words shown on a page that its text holds, and
    to `meta` of a page below `little_kept` the key `little_kept` (true). `meta` holds `stated_text` (true)
    where a page's text is what it states for machines (docs/extraction.md).

    Bounds against run-away pages; each fault quarantines the page: `max_html_bytes` (`too_large`),
    `max_depth` (`too_deep`), `max_attributes` (`too_many_attributes`), `max_replaced`, where non-ASCII
    characters count as 2% of all and as 40 at least (`bad_charset`, told with the first such byte; so is text
    that reads as no language).
    Further faults: `binary_content` (text that holds NUL), `parse_error`. A page that takes over
    `max_page_seconds` of processor time ends its worker, and is quarantined as what did (not with the engine
    `inline`, which has no worker to end).
    """

    consumes: ClassVar[tuple[str, ...]] = ("raw", "content_type")
    produces: ClassVar[tuple[str, ...]] = ("text",)
    libraries: ClassVar[tuple[str, ...]] = ("resiliparse", "trafilatura", "lxml")

    extractor: Literal["corpusmill", "resiliparse", "trafilatura"] = Field(
        "corpusmill", description="Our own model of main content, or a library."
    )
    format: Literal["text", "markdown"] = Field(
        "text", description="Form of the text; Markdown with the extractor `corpusmill` alone."
    )
    main_content: bool = Field(
        True, description="Leave out navigation, headers and footers; false keeps all visible text."
    )
    precision: bool = Field(False, description="Prefer losing text to keeping boilerplate.")
    comments: bool = Field(False, description="Keep the comments that visitors left on a page.")
    links: bool = Field(False, description="Append the targets of links as the page writes them.")
    alt_texts: bool = Field(False, description="Keep the alternative texts of images.")
    formulas: bool = Field(True, description="Keep mathematics as TeX in `$...$` and `$$...$$`.")
    little_kept: float = Field(
        0.05, ge=0.0, le=1.0, description="Share of a page's words in its text under which `meta` marks it."
    )
    max_page_seconds: float = Field(
        60.0, ge=0.1, description="Most seconds of processor time for a page, which else is quarantined."
    )
    max_html_bytes: int = Field(
        8 * 2**20, ge=1024, description="Most bytes of a page; a larger one is quarantined."
    )
    max_depth: int = Field(
        512, ge=16, le=10_000, description="Most levels of nested elements; a deeper page is quarantined."
    )
    max_attributes: int = Field(
        2048, ge=16, description="Most attributes of one tag; a page with more is quarantined."
    )
    max_replaced: float = Field(
        0.05, ge=0.0, le=1.0, description="Largest share of non-ASCII characters that cannot be decoded."
    )

    def edit(self, docs: Documents) -> Outcome:
        """Text from each row's `raw`; drops `raw` and `content_type`."""
        import pyarrow as pa

        from corpusmill.pipelines.extraction.faults import PageFault
        from corpusmill.pipelines.extraction.options import Extraction

        self.warm()  # once a process: what is compiled or loaded is no page's time
        how = Extraction(
            extractor=self.extractor,
            format=self.format,
            main_content=self.main_content,
            precision=self.precision,
            comments=self.comments,
            links=self.links,
            alt_texts=self.alt_texts,
            formulas=self.formulas,
        )
        raws, kinds = docs.column("raw"), docs.column("content_type")
        olds, metas = docs.column("text"), docs.column("meta")
        texts: list[str | None] = []
        new_metas: list[str] = []
        reasons: list[str | None] = []
        faults: list[str | None] = []
        shares: list[float | None] = []
        for row in range(len(docs)):
            raw, text, meta = raws[row].as_py(), None, metas[row].as_py()
            reason = fault = share = None
            if raw is None:
                text = olds[row].as_py()
                reason = None if text and text.strip() else "empty"
            else:
                try:
                    with limited(self.max_page_seconds, row):
                        page, charset = self._page(raw, kinds[row].as_py(), how)
                except PageFault as error:
                    fault = str(error)
                else:
                    if page is None:
                        reason = "not_text"
                    else:
                        text, share = page.text, page.kept
                        little = share is not None and share < self.little_kept
                        meta = _merged(meta, page, charset, little)
                        reason = None if text else "empty"
            texts.append(text)
            new_metas.append(meta)
            reasons.append(reason)
            faults.append(fault)
            shares.append(share)
        edited = docs.with_columns(
            {"text": pa.array(texts, pa.large_string()), "meta": pa.array(new_metas, pa.string())}
        )
        if self.extractor == "corpusmill":
            edited = edited.with_columns({"extract.kept_share": pa.array(shares, pa.float64())})
        return Outcome(
            edited.drop("raw", "content_type"), pa.array(reasons, pa.string()), pa.array(faults, pa.string())
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.format == "markdown" and self.extractor != "corpusmill":
            raise ValueError(f"`format: markdown` is not for {self.extractor}: leave `extractor` out")
        if self.alt_texts and self.extractor == "trafilatura":
            raise ValueError("`alt_texts` has no effect with trafilatura: leave it or `extractor` out")
        return self

    def warm(self) -> None:
        """Compile the kernels and load the extractor; again, in this process, is free."""
        if self.extractor in _warmed:
            return
        _warmed.add(self.extractor)
        from corpusmill.pipelines.extraction.options import Extraction

        how = Extraction(self.extractor)
        self._page(b"<html><body><p>warm</p></body></html>", "text/html", how)

    def _page(self, raw: bytes, content_type: str | None, how: Extraction) -> tuple[Page | None, str]:
        """The page and its character set; no page if it is not text. Raises PageFault."""
        from corpusmill.pipelines.extraction.bounded_parse import bounded_parse
        from corpusmill.pipelines.extraction.decode import ascii_in_place, decode
        from corpusmill.pipelines.extraction.faults import PageFault
        from corpusmill.pipelines.extraction.inner_pages import with_inner_pages
        from corpusmill.pipelines.extraction.main_text import SIGNS, Page, extract_page
        from corpusmill.pipelines.extraction.media_type import media_type

        kind = media_type(content_type).essence
        if kind and not _is_text(kind):
            return None, ""
        if len(raw) > self.max_html_bytes:
            raise PageFault("too_large", f"{len(raw)} bytes, max_html_bytes is {self.max_html_bytes}")
        text, charset = decode(raw, content_type, self.max_replaced)
        if not _is_html(kind, text):
            if "\0" in text:
                raise PageFault("binary_content", f"NUL at character {text.index(chr(0))}")
            return Page(text.strip(), "", ""), charset
        parse = partial(bounded_parse, max_depth=self.max_depth, max_attributes=self.max_attributes)
        markup = raw if ascii_in_place(charset) else text.encode()
        whole = with_inner_pages(text, markup)
        tree, seen = parse(whole, markup if whole is text else whole.encode(), SIGNS)
        try:
            page = extract_page(whole, tree, how, seen, parse)
            page.text.encode()  # lone surrogates cannot become a document
        except (RecursionError, ValueError, RuntimeError) as error:
            raise PageFault("parse_error", f"{type(error).__name__}: {error}") from error
        return page, charset


def _is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind in (
        "application/xhtml+xml",
        "application/xml",
        "application/octet-stream",
    )


def _is_html(kind: str, text: str) -> bool:
    if kind in ("text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"):
        return True
    if kind in ("", "application/xml", "text/xml", "application/octet-stream"):
        return any(mark in text[:_SNIFFED].lower() for mark in _MARKUP)
    return False


def _merged(meta: str, page: Page, charset: str, little: bool) -> str:
    """`meta` with what the page says of itself, as JSON with sorted keys; present keys win."""
    import json

    stated = {
        "charset": charset,
        "html_lang": page.lang,
        "little_kept": little,
        "stated_text": page.stated,
        "title": page.title,
    }
    known = json.loads(meta) if meta else {}
    return json.dumps({**{k: v for k, v in stated.items() if v}, **known}, ensure_ascii=False, sort_keys=True)
