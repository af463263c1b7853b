"""What is said of a tokenizer, as text for a terminal: the tokenizers side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.records.tokenizer_figures import (
    GroupFigures,
    Growth,
    InspectedTokenizer,
    TokenizerFigures,
    Usage,
)

Tokenizers = Mapping[str, TokenizerFigures]

_GROUPS = 24  # of a kind, the largest
_SCRIPTS = 16
_EXAMPLES = 8
_SIZES = 12  # rows of the growth table
_CURVES = 8  # columns of it


def render_tokenizer(found: InspectedTokenizer) -> str:
    """All tables: figures of the whole, groups, growth, scripts, and entries to look at."""
    tokenizers, own = found.tokenizers, found.tokenizers[found.name]
    lines = [f"tokenizer {text.printable(found.name)} in {found.path}"]
    if found.files:
        whole = found.groups[0]
        lines.append(
            f"measured on {whole.documents:,} documents, {text.size(whole.bytes)}, "
            f"of {len(found.files)} file{'s' * (len(found.files) != 1)}"
        )
    lines += [f"lost: {count:,} {text.printable(why, 160)}" for why, count in found.lost.items()]
    lines += [
        f"{text.printable(name)}: {heading}: {text.printable(part, 200)}"
        for name, figures in tokenizers.items()
        for parts, heading in ((figures.dropped, "not used"), (figures.lossy, "changes texts"))
        for part in parts
    ]
    lines += ["", _figures(tokenizers)]
    for by, heading in (("source", "source"), ("language", "language"), ("code language", "code language")):
        table = _groups(found, by, heading)
        lines += ["", table] if table else []
    lines += _growth(found, own.growth)
    lines += ["", _scripts(tokenizers), *_examples(own)]
    return "\n".join(lines)


def _whole(figures: TokenizerFigures) -> GroupFigures:
    """Figures of all texts together, of a tokenizer that was measured on texts."""
    assert figures.groups
    return figures.groups[0]


def _used(figures: TokenizerFigures) -> Usage:
    assert figures.usage is not None
    return figures.usage


def _figures(tokenizers: Tokenizers) -> str:
    """One row a figure, one column a tokenizer."""
    first = next(iter(tokenizers.values()))
    rows: list[tuple[str, Callable[[TokenizerFigures], Any]]] = [
        ("ids", lambda t: t.vocabulary.ids),
        ("merges", lambda t: t.vocabulary.merges),
    ]
    if first.groups is not None:
        rows += [
            ("bytes per token", lambda t: _fixed(_whole(t).bytes_per_token)),
            ("characters per token", lambda t: _fixed(_whole(t).characters_per_token)),
            ("words per token", lambda t: _fixed(_whole(t).words_per_token)),
            ("fertility (tokens touching a word)", lambda t: _fixed(_whole(t).fertility)),
            ("words of several tokens", lambda t: _share(_whole(t).continued_words)),
            ("entries unused", lambda t: _share(_used(t).unused_share)),
            (
                f"entries seen under {_used(first).rare_below} times",
                lambda t: _share(_used(t).under_trained_share),
            ),
            ("documents not given back", lambda t: _whole(t).altered_documents),
        ]
    rows += [
        ("code points not given back", lambda t: t.round_trip.code_points_changed),
        ("bytes without an entry", lambda t: len(t.round_trip.bytes_without_token)),
        ("invalid bytes decoded otherwise", lambda t: t.round_trip.invalid_sequences_decoded_otherwise),
        ("1234567 is cut", lambda t: " ".join(t.digits.examples["1234567"])),
        ("numbers of one length align", lambda t: t.digits.consistent),
        ("digits in one token, most", lambda t: t.digits.largest_group),
        ("indentation of 4, 8, 16 spaces", lambda t: _indents(t, "4 spaces", "8 spaces", "16 spaces")),
        ("indentation of 1, 2, 4 tabs", lambda t: _indents(t, "1 tab", "2 tabs", "4 tabs")),
        ("three lines, LF and CRLF", lambda t: _counts(t.white_space.line_ends, "LF", "CRLF")),
        ("final line break", lambda t: t.white_space.trailing["line break"]),
        ("punctuation with line break", lambda t: t.vocabulary.line_break_combinations),
        ("unreachable entries", lambda t: t.suspicious.unreachable.count),
        ("entries of partial UTF-8", lambda t: t.suspicious.partial_utf8.count),
        ("long repeats", lambda t: t.suspicious.long_repeats.count),
        ("traces of persons and secrets", lambda t: t.suspicious.traces.count),
    ]
    shown = [(name, *(_cell(figure(figures)) for figures in tokenizers.values())) for name, figure in rows]
    return text.table(("figure", *tokenizers), shown)


def _groups(found: InspectedTokenizer, by: str, heading: str) -> str | None:
    """Bytes per token of each tokenizer, and what words are like in the first; the largest groups first."""
    groups = [group for group in found.groups if group.by == by]
    if by != "source":  # one source's languages are in the JSON
        groups = [group for group in groups if group.group.startswith("*/")]
    if not groups or (by == "language" and {group.group for group in groups} == {"*/und"}):
        return None
    values = {
        name: {group.group: group.bytes_per_token for group in figures.groups or ()}
        for name, figures in found.tokenizers.items()
    }
    largest = sorted(groups, key=lambda group: (-group.bytes, group.group))
    rows = [
        (
            text.printable(group.group.removeprefix("*/"), 32),
            text.size(group.bytes),
            *(_fixed(of_groups[group.group]) for of_groups in values.values()),
            _fixed(group.fertility),
            _share(group.continued_words),
        )
        for group in largest[:_GROUPS]
    ]
    table = text.table((heading, "bytes", *values, "fertility", "continued"), rows)
    rest = len(largest) - _GROUPS
    lead = "bytes per token; fertility and continued words are of the first tokenizer\n" * (by == "source")
    return lead + table + (f"\nand {rest} smaller ones (--json has them)" if rest > 0 else "")


def _growth(found: InspectedTokenizer, growth: Growth | None) -> list[str]:
    """Bytes per token of the first tokenizer at some vocabulary sizes, for the largest groups."""
    if growth is None:
        return []
    if growth.why_not is not None:
        return ["", f"growth with the vocabulary: not told, {text.printable(growth.why_not)}"]
    sizes = growth.vocabulary
    chosen = sorted({round(k * (len(sizes) - 1) / (_SIZES - 1)) for k in range(_SIZES)})
    groups = sorted(found.groups, key=lambda group: (-group.bytes, group.group))
    names = [group.group for group in groups if group.group in growth.groups][:_CURVES]
    rows = [(f"{sizes[at]:,}", *(_fixed(growth.groups[name][at]) for name in names)) for at in chosen]
    headers = ("ids", *(text.printable(name, 20) for name in names))
    return ["", "bytes per token by vocabulary size (prefixes of the merges)", text.table(headers, rows)]


def _scripts(tokenizers: Tokenizers) -> str:
    total: dict[str, int] = {}
    for figures in tokenizers.values():
        for script, count in figures.vocabulary.scripts.items():
            total[script] = max(total.get(script, 0), count)
    shown = sorted(total, key=lambda script: (-total[script], script))[:_SCRIPTS]
    rows = [
        (script, *(figures.vocabulary.scripts.get(script, 0) for figures in tokenizers.values()))
        for script in shown
    ]
    return text.table(("entries by script", *tokenizers), rows)


def _examples(figures: TokenizerFigures) -> list[str]:
    """Entries of a tokenizer to be judged by eye."""
    strange = figures.suspicious
    kinds = [
        ("longest", [entry.token for entry in figures.vocabulary.longest]),
        ("unreachable", [entry.token for entry in strange.unreachable.examples]),
        ("partial UTF-8", [entry.token for entry in strange.partial_utf8.examples]),
        *((name, [entry.token for entry in examples]) for name, examples in strange.trace_examples.items()),
    ]
    if figures.usage is not None:
        kinds.append(("unused", list(figures.usage.unused_examples)))
    lines = [
        (name, "  ".join(_quoted(entry) for entry in entries[:_EXAMPLES]))
        for name, entries in kinds
        if entries
    ]
    return ["", text.facts(lines)] if lines else []


def _quoted(entry: str) -> str:
    """An entry between quotes, runs of one character told by their length."""
    if len(entry) > 12 and len(set(entry)) == 1:
        return f"{_quoted(entry[0])}*{len(entry)}"
    if not entry.strip():
        return repr(entry)
    space = " " * entry.startswith(" ")  # `printable` would drop it, but it is part of the entry
    return f"'{space}{text.printable(entry, 40)}'"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return text.count(value) if not isinstance(value, str) else value


def _fixed(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else text.percent(value, 1.0)


def _indents(figures: TokenizerFigures, *names: str) -> str:
    return _counts(figures.white_space.indentation, *names)


def _counts(counts: Mapping[str, int], *names: str) -> str:
    return " ".join(str(counts[name]) for name in names)
