"""The feasible mixture that is nearest to one that asks for more than there is, as YAML to write."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction

from corpusmill.mixtures.plan.division import below_caps
from corpusmill.mixtures.plan.groups import Group
from corpusmill.mixtures.plan.tree import Node
from corpusmill.pipelines.records.mixture_plan import Nearest

MOST_VALUES = 64  # of a column, whose weights are written out


def missed(root: Node) -> list[Node]:
    """The leaves that give less than they are asked for."""
    return [leaf for leaf in root.leaves() if leaf.requested > leaf.most]


def nearest(root: Node, again: Callable[[Group], Node], tokens: int) -> Nearest | None:
    """What can be had instead of `tokens` of the tree, which was asked for them; None where they can be had.

    Values above their caps get what the caps allow, and what is left goes to the others by their shares, at
    every node: none of these shares changes relative to another. Weights are written in tokens, so that they
    are exact. `again` makes the tree anew, of another group.
    """
    if not missed(root):
        return None
    had = min(tokens, root.most)
    group = root.group
    assert group is not None
    entries = [f"tokens: {had}", *_entries(root, had)] if had else []
    return Nearest(had, "{" + ", ".join(entries) + "}" if had else "", _as_asked(again(group), root))


def _entries(node: Node, tokens: int) -> list[str]:
    """The keys of a group that gives `tokens`."""
    group = node.group
    assert group is not None
    own = [f"by: {_plain(group.by)}"] if group.by != "source" else []
    if group.max_epochs is not None:
        own.append(f"max_epochs: {group.max_epochs:g}")
    caps = {child.values[-1]: child.most if child.share > 0 else 0 for child in node.children}
    shares = {child.values[-1]: child.share for child in node.children}
    given = below_caps(tokens, shares, caps)
    written = {value: count for value, count in given.items() if count or group.named is not None}
    if len(written) <= MOST_VALUES:
        own.append("weights: {" + ", ".join(f"{_plain(v)}: {n}" for v, n in written.items()) + "}")
        own.append("normalize: true")
    else:
        own.append("policy: unimax")
    within = [
        f"{_plain(child.values[-1])}: {{{', '.join(_entries(child, given[child.values[-1]]))}}}"
        for child in node.children
        if child.children and given[child.values[-1]]
    ]
    return [*own, *([f"within: {{{', '.join(within)}}}"] if within else [])]


def _as_asked(fresh: Node, root: Node) -> int | None:
    """The largest budget for which no leaf is asked for more than it may give; None for none."""
    shares = _whole_shares(root, Fraction(1))
    most = [leaf.most / share for leaf, share in shares if share > 0]
    tokens = int(min(most, default=0))
    # Remainders may lift a leaf by one token a level of the tree.
    for less in range(2 + max(len(leaf.values) for leaf, _ in shares)):
        if tokens - less < 1:
            return None
        fresh.ask(tokens - less)
        if not missed(fresh):
            return tokens - less
    return None


def _whole_shares(node: Node, share: Fraction) -> list[tuple[Node, Fraction]]:
    """Leaves with their share of the whole, and groups whose shares follow from their caps."""
    if not node.children or (node.group is not None and node.group.way == "unimax"):
        return [(node, share)]
    total = sum(Fraction(child.share) for child in node.children)
    return [
        found
        for child in node.children
        for found in _whole_shares(child, share * Fraction(child.share) / (total or 1))
    ]


def _plain(value: str) -> str:
    """A value as a key of YAML: quoted where it might be read as something else."""
    plain = value.replace(" ", "").replace("_", "").replace("-", "")
    bare = plain.isalnum() and plain.isascii() and plain[0].isalpha()
    words = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
    return value if bare and value.lower() not in words and value == value.strip() else json.dumps(value)
