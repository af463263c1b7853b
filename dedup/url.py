"""Documents of one address: pages whose URLs are equal once they are normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from corpusmill.dedup.matching.urls import TRACKING
from corpusmill.pipelines.contract.stage import Deduplicate, Emitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.dedup.matching.urls import UrlRules
    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.contract.stage import Round, WithSides


class Url(Deduplicate):
    """Remove documents whose URL equals another's after normalisation, keeping one of each group.

    Each `ignore_*` option names a difference that does not count. White space at the ends of a URL never
    does, nor do a `?` without parameters and an `@` without a user. Of URLs other than http and https nothing
    else is changed. Documents without a URL stay. Normal forms are compared by 128 bits of XXH3.

    Survivor: first by place of its source in `priority` (sources not named come last), then, with `keep:
    longest`, more bytes, then smaller id, then smaller address. Reason `same_url`, similarity 1.0. Memory:
    100 bytes a document of the partition.
    """

    name: ClassVar[str] = "url"
    libraries: ClassVar[tuple[str, ...]] = ("xxhash",)
    consumes: ClassVar[tuple[str, ...]] = ("text", "url")
    address_only: ClassVar[bool] = True
    remembers: ClassVar[int | None] = 1

    ignore_scheme: bool = Field(True, description="`http` and `https` are one.")
    ignore_host_case: bool = Field(True, description="Host names in small and capital letters are one.")
    ignore_host_forms: bool = Field(
        True,
        description="A name in Punycode (`xn--`) and in Unicode, a dot at its end, forms of IPv6 are one.",
    )
    ignore_www: bool = Field(False, description="A host name with and without a leading `www.` is one.")
    ignore_default_port: bool = Field(
        True, description="Port 80 of http, 443 of https, and zeros before a port may be left out."
    )
    ignore_path_dots: bool = Field(True, description="`.` and `..` in paths are followed (RFC 3986, 5.2.4).")
    ignore_trailing_slash: bool = Field(True, description="Slashes at the end of a path do not count.")
    ignore_escapes: bool = Field(
        True, description="`%7E` and `~`, `%c3` and `%C3`, `é` and `%C3%A9` are one (RFC 3986, 6.2.2)."
    )
    ignore_fragment: bool = Field(
        True, description="What follows `#` does not count, unless it begins with `!` or `/`."
    )
    ignore_query_order: bool = Field(
        True, description="Parameters are sorted by name; those of one name keep their order."
    )
    ignore_parameters: list[str] = Field(
        list(TRACKING),
        description="Names of parameters that do not count, any case, in paths after `;` too; `*` at the end "
        "stands for anything.",
    )
    keep: Literal["longest", "first"] = Field(
        "longest", description="The survivor has the most bytes, or the smallest id whatever its length."
    )
    priority: list[str] = Field(
        [], description="Sources, the one most worth keeping first; others come after these."
    )

    def rules(self) -> UrlRules:
        """The options as `matching.urls.normal_form` takes them."""
        from corpusmill.dedup.matching.urls import UrlRules

        return UrlRules(
            scheme=self.ignore_scheme,
            host_case=self.ignore_host_case,
            host_forms=self.ignore_host_forms,
            www=self.ignore_www,
            default_port=self.ignore_default_port,
            path_dots=self.ignore_path_dots,
            trailing_slash=self.ignore_trailing_slash,
            escapes=self.ignore_escapes,
            fragment=self.ignore_fragment,
            query_order=self.ignore_query_order,
            without=tuple(name.lower() for name in self.ignore_parameters),
        )

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        """One row a document with a URL: key is the low half of its normal form's hash, `high` the other."""
        import numpy as np
        import pyarrow as pa
        from xxhash import xxh3_128_intdigest

        from corpusmill.dedup.matching.urls import normal_form

        urls, rules = docs.column("url").to_pylist(), self.rules()
        some = np.array([at for at, url in enumerate(urls) if url and url.strip()], np.int64)
        digests = [
            xxh3_128_intdigest(normal_form(urls[at], rules).encode("utf-8", "surrogatepass")) for at in some
        ]
        columns = {
            "key": pa.array([digest & (2**64 - 1) for digest in digests], pa.uint64()),
            "unit": np.full(len(some), unit, np.uint32),
            "row": rows[some].astype(np.uint32),
            "high": pa.array([digest >> 64 for digest in digests], pa.uint64()),
            "id": docs.column("id").take(pa.array(some)),
            "source": docs.column("source").take(pa.array(some)),
            "bytes": docs.sizes()[some],
        }
        return Emitted(pa.table(columns))

    def rounds(self) -> Sequence[Round | WithSides]:
        """One round, which learns the best document of each group first where copies are very many."""
        from corpusmill.dedup.matching.equals import keeping_one

        return (keeping_one(self.reduce, ("key", "high"), self._ranks),)

    def reduce(self, rows: pa.Table) -> pa.Table:
        """Every document of a group but its best, as `DUPLICATES`."""
        from corpusmill.dedup.matching.equals import removals_of_equals

        return removals_of_equals(rows, ("key", "high"), self._ranks(rows), "same_url")

    def _ranks(self, rows: pa.Table) -> npt.NDArray[np.int64]:
        import numpy as np
        import pyarrow as pa

        from corpusmill.pipelines.contract.survivors import ranks

        if self.keep == "first":
            at = rows.column_names.index("bytes")
            rows = rows.set_column(at, "bytes", pa.array(np.zeros(len(rows), np.int64)))
        return ranks(rows, self.priority)
