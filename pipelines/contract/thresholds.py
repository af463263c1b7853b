"""Which options of a filter only judge: they may change, and the scores that are stored hold.

`what-if` answers from stored scores, and draws the limits into the distributions of scores; a rerun takes
scores over from the version before. All three ask here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from corpusmill.pipelines.contract.rules import Rule


@dataclass(frozen=True)
class Line:
    """A limit on a score: documents `under` or `over` it are removed for `reason`.

    `option` is the dotted path of the option that holds it; `group` the key of the entry of limits that it
    stands in, such as a language, None for the filter's own."""

    score: str
    side: Literal["under", "over"]
    option: str
    value: float
    reason: str
    group: str | None = None


class Thresholds:
    """What a filter says of its options.

    `rules` (see `contract.rules`) says which scores remove a document. `measured`: the options that `score`
    reads, for a filter whose other options only judge; None: all of them, but the limits of its rules.
    """

    rules: ClassVar[tuple[Rule, ...]] = ()
    measured: ClassVar[tuple[str, ...] | None] = None

    def listed_rules(self) -> tuple[Rule, ...]:
        """The rules in order; more than those of the class where they follow from options."""
        return self.rules

    def thresholds(self) -> frozenset[str]:
        """Names of the options that only judge. The keys of one that is a mapping may still be read."""
        if self.measured is not None:
            return frozenset(_dump(self)) - frozenset(self.measured)
        limits = (rule.limit for rule in self.listed_rules())
        return frozenset(limit.partition(".")[0] for limit in limits if limit is not None)

    def only_scores(self) -> bool:
        """Whether it has rules and all of them are switched off, so that it removes nothing."""
        rules = self.listed_rules()
        return bool(rules) and not self.lines() and all(rule.side != "missing" for rule in rules)

    def measuring(self) -> dict[str, Any]:
        """The options that scores follow from, ready for JSON: equal ones give equal scores of a text."""
        options = _dump(self)
        if self.measured is not None:
            return {name: options[name] for name in self.measured}
        return _without(options, self.thresholds())

    def lines(self) -> tuple[Line, ...]:
        """Every limit of the rules that is not switched off, as it holds for each group of limits."""
        options = _dump(self)
        groups: list[tuple[str, Mapping[str, Any], str | None]] = [("", options, None)]
        for name, value in options.items():
            if _is_group(value):
                groups += [(f"{name}.{key}.", inner, key) for key, inner in value.items()]
        return tuple(
            Line(rule.score, rule.side, f"{path}{rule.limit}", float(value), rule.reason, group)
            for path, limits, group in groups
            for rule in self.listed_rules()
            if rule.limit is not None
            and rule.side != "missing"
            and (value := _at(limits, rule.limit)) is not None
        )


def _dump(stage: Any) -> dict[str, Any]:
    found: dict[str, Any] = stage.model_dump(mode="json")
    return found


def _is_group(value: Any) -> bool:
    """Whether an option holds groups of limits by name, such as languages."""
    return isinstance(value, dict) and bool(value) and all(isinstance(one, dict) for one in value.values())


def _without(options: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return dict(_left(options, names))


def _left(options: Mapping[str, Any], names: frozenset[str]) -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if _is_group(value):
            yield name, {key: _without(inner, names) for key, inner in value.items()}
        elif name not in names:
            yield name, value
        elif isinstance(value, dict):
            yield name, sorted(value)


def _at(options: Mapping[str, Any], path: str) -> float | None:
    name, _, item = path.partition(".")
    value = options.get(name)
    if item:
        value = value.get(item) if isinstance(value, dict) else None
    return value if isinstance(value, (int, float)) else None
