"""Personal data: found, and masked, counted or a reason to drop the document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from corpusmill.filters.rules.personal_tables import COUNTRIES, KINDS, PLACEHOLDERS
from corpusmill.pipelines.contract.documents import SCHEMA, Documents, nothing, reason_where
from corpusmill.pipelines.contract.stage import Edit, Outcome

if TYPE_CHECKING:
    import numpy.typing as npt

    from corpusmill.filters.kernels.personal_data import Spans

Action = Literal["mask", "drop", "count"]
SPAN = pa.list_(pa.struct([("kind", pa.string()), ("start", pa.int64()), ("end", pa.int64())]))


def _action(what: str) -> Any:
    return Field("mask", description=f"What is done about {what}: mask, drop (the document) or count.")


class PersonalData(Edit):
    """Find personal data and secrets in texts; mask them, drop the document, or only count them.

    Kinds: `email`, `ip` (public IPv4 and IPv6 addresses), `phone`, `card` (Luhn), `iban` (mod 97),
    `national_id` (checks of 12 countries), `key` (keys, tokens, passwords and private keys in code). What
    each takes and leaves alone, such as example.com, versions, ISBNs and hashes: docs/personal_data.md.

    `mask` writes a placeholder such as `<email>`; the ledger counts the bytes it replaces as cut, by kind.
    `drop` removes the document (`personal_<kind>`), whose excerpt and spans are kept masked. The columns
    `personal_data.<kind>` count what was found, `personal_data.spans` lists kind, first byte and end of each
    in the text as it came. Only the text is looked at, not `meta`, `url` or `path`.

    Rules, not a model: names, postal addresses and dates of birth are not found. datatrove 0.10's
    PIIFormatter differs: it replaces e-mail addresses, those of example.com among them, and public IPv4
    addresses, versions among them, and nothing else. Time is linear in the text. Memory: another copy of the
    texts of a batch in which something is masked, and 60 bytes a span.
    """

    produces: ClassVar[tuple[str, ...]] = (
        "text",
        *(f"personal_data.{kind}" for kind in KINDS),
        "personal_data.spans",
    )

    email: Action = _action("addresses of mail")
    ip: Action = _action("public IPv4 and IPv6 addresses")
    phone: Action = _action("telephone numbers")
    card: Action = _action("numbers of payment cards")
    iban: Action = _action("numbers of bank accounts")
    national_id: Action = _action("personal numbers of countries")
    key: Action = _action("keys, tokens, passwords and private keys")
    placeholders: dict[str, Annotated[str, Field(max_length=64)]] = Field(
        {}, description="What stands in the place of a kind, by its name; left out: `<email>` and so on."
    )
    countries: tuple[Literal[COUNTRIES], ...] = Field(  # type: ignore[valid-type]
        COUNTRIES, description="Codes of the countries whose personal numbers are looked for."
    )
    min_entropy: float = Field(
        3.2,
        ge=0.0,
        le=7.0,
        description="Least entropy of a secret without a known beginning, in bits a byte (gitleaks: 3.5).",
    )

    @field_validator("placeholders")
    @classmethod
    def _known_kinds(cls, value: dict[str, str]) -> dict[str, str]:
        for kind in value:
            if kind not in KINDS:
                raise ValueError(f"there is no kind `{kind}`; there are {', '.join(KINDS)}")
        return value

    def edit(self, docs: Documents) -> Outcome:
        """The masked texts, with counts int64[n] by kind, and the spans."""
        from corpusmill.filters.kernels import personal_data as kernel

        offsets, data = docs.utf8()
        countries = sum(1 << k for k, country in enumerate(COUNTRIES) if country in self.countries)
        spans = kernel.find_spans(offsets, data, countries, self.min_entropy)
        n = len(docs)
        counts = np.bincount(spans.document * len(KINDS) + spans.kind, minlength=n * len(KINDS))
        counts = counts.reshape(n, len(KINDS)).astype(np.int64)
        actions = [getattr(self, kind) for kind in KINDS]
        reasons = reason_where(
            *(
                (counts[:, k] > (0 if action == "drop" else np.inf), f"personal_{kind}")
                for k, (kind, action) in enumerate(zip(KINDS, actions, strict=True))
            )
        )
        dropped = reasons.is_valid().to_numpy(zero_copy_only=False)
        masked = np.array([action == "mask" for action in actions])
        # Of a document that is dropped everything is masked, so that no sample shows what it is dropped for.
        chosen = masked[spans.kind] | dropped[spans.document]
        columns: dict[str, Any] = {f"{self.name}.{kind}": counts[:, k] for k, kind in enumerate(KINDS)}
        columns[f"{self.name}.spans"] = _listed(spans, n)
        if chosen.any():
            columns["text"] = self._masked(docs, offsets, data, spans, chosen)
        cut = {
            kind: _bytes_cut(spans, k, n) for k, kind in enumerate(KINDS) if masked[k] and counts[:, k].any()
        }
        return Outcome(docs.with_columns(columns), reasons, nothing(n), cut)

    def _masked(
        self,
        docs: Documents,
        offsets: npt.NDArray[np.int64],
        data: npt.NDArray[np.uint8],
        spans: Spans,
        chosen: npt.NDArray[np.bool_],
    ) -> pa.Array:
        from corpusmill.filters.kernels import personal_data as kernel

        words = [{**PLACEHOLDERS, **self.placeholders}[kind].encode() for kind in KINDS]
        starts = np.cumsum([0, *map(len, words)])
        joined = np.frombuffer(b"".join(words) or b"\0", np.uint8)
        ends, texts = kernel.with_placeholders(offsets, data, spans, chosen, starts, joined)
        known = docs.text.is_valid() if docs.text.null_count else None
        whole = pa.LargeStringArray.from_buffers(len(docs), pa.py_buffer(ends), pa.py_buffer(texts))
        if known is None:
            return whole
        import pyarrow.compute as pc

        return pc.if_else(known, whole, pa.scalar(None, pa.large_string()))

    def warm(self) -> None:
        """Compile the kernels, on a text with an address."""
        rows = {
            name: [None if field.nullable else "-"] for name, field in zip(SCHEMA.names, SCHEMA, strict=True)
        }
        self.edit(Documents(pa.table({**rows, "text": ["mail a@b.org"]}, schema=SCHEMA)))


def _listed(spans: Spans, n: int) -> pa.Array:
    """The spans of n documents as lists."""
    offsets = np.searchsorted(spans.document, np.arange(n + 1)).astype(np.int32)
    kinds = pa.array(KINDS, pa.string()).take(pa.array(spans.kind))
    fields = [kinds, pa.array(spans.start), pa.array(spans.end)]
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.StructArray.from_arrays(fields, fields=list(SPAN.value_type))
    )


def _bytes_cut(spans: Spans, kind: int, n: int) -> npt.NDArray[np.int64]:
    """int64[n]: bytes in spans of a kind."""
    mine = spans.kind == kind
    sizes = (spans.end - spans.start)[mine]
    return np.bincount(spans.document[mine], sizes, minlength=n).astype(np.int64)
