"""Expressions over the columns of documents: a small grammar, checked, and computed by Arrow.

Expressions are read by Python's parser and walked by rules of our own; nothing is evaluated as Python. There
are numbers, texts, true and false; columns by name, scores as `stage.score`; `+ - * /`, comparisons, `in`
with a list, `and`, `or`, `not`; and the functions of `FUNCTIONS`. Null in, null out, as in SQL.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from corpusmill.pipelines.sources.assembly.field_paths import at_path

if TYPE_CHECKING:
    from corpusmill.pipelines.contract.documents import Documents

LONGEST = 2_000  # characters
_CONSTANTS = {"true": True, "false": False, "null": None}
_ARITHMETIC = {
    ast.Add: "add_checked",
    ast.Sub: "subtract_checked",
    ast.Mult: "multiply_checked",
    ast.Div: "divide",
}
_LARGEST = 2**63 - 1  # of the whole numbers that Arrow computes with
_COMPARISONS = {
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
}


class Function(NamedTuple):
    """A function of the grammar: how many arguments it takes, of which the last `texts` are written out."""

    arguments: int
    texts: int
    compute: Callable[..., Any]


def _compute(name: str) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        import pyarrow.compute as pc

        return getattr(pc, name)(*arguments)

    return call


def _meta(docs: Documents, key: str) -> pa.Array:
    """The field `key` of `meta`, by its path, as text; null where it is missing, null or neither text nor
    number."""
    found = [at_path(json.loads(meta), key) for meta in docs.column("meta").to_pylist()]
    texts = [str(value) if isinstance(value, (str, int, float)) else None for value in found]
    return pa.array([text.lower() if text in ("True", "False") else text for text in texts], pa.string())


def _number(values: Any) -> Any:
    """Texts as numbers; null where one is none."""
    found: list[float | None] = []
    one = isinstance(values, pa.Scalar)
    for value in [values.as_py()] if one else values.to_pylist():
        try:
            found.append(None if value is None else float(value))
        except ValueError:
            found.append(None)
    numbers = pa.array(found, pa.float64())
    return numbers[0] if one else numbers


FUNCTIONS: dict[str, Function] = {
    "length": Function(1, 0, _compute("utf8_length")),
    "bytes": Function(1, 0, _compute("binary_length")),
    "lower": Function(1, 0, _compute("utf8_lower")),
    "upper": Function(1, 0, _compute("utf8_upper")),
    "strip": Function(1, 0, _compute("utf8_trim_whitespace")),
    "contains": Function(2, 1, _compute("match_substring")),
    "starts_with": Function(2, 1, _compute("starts_with")),
    "ends_with": Function(2, 1, _compute("ends_with")),
    "matches": Function(2, 1, _compute("match_substring_regex")),
    "count": Function(2, 1, _compute("count_substring")),
    "is_null": Function(1, 0, _compute("is_null")),
    "coalesce": Function(2, 0, _compute("coalesce")),
    "abs": Function(1, 0, _compute("abs")),
    "least": Function(2, 0, _compute("min_element_wise")),
    "greatest": Function(2, 0, _compute("max_element_wise")),
    "number": Function(1, 0, _number),
    "meta": Function(1, 1, _meta),
}


class Expression:
    """A checked expression. `columns` are the names it reads.

    Raises ValueError, with the place and the cure, for what is not of the grammar.
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"the expression has {len(text):,} characters; write at most {LONGEST:,}")
        self.text = text
        try:
            self._root = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            place = f" at character {error.offset}" if isinstance(error, SyntaxError) else ""
            reason = error.msg if isinstance(error, SyntaxError) else str(error)
            raise ValueError(f"`{text}` is no expression{place}: {reason}") from None
        try:
            self.columns = tuple(dict.fromkeys(_checked(self._root)))
        except RecursionError:
            raise ValueError(
                f"`{text[:40]}...` is nested too deeply; write fewer signs and brackets"
            ) from None

    def over(self, docs: Documents) -> pa.Array:
        """Its values, of n rows. Raises pa.ArrowInvalid and pa.ArrowNotImplementedError for types that do not
        go together, KeyError for a column that is not there."""
        value = _value(self._root, docs)
        if isinstance(value, pa.Scalar):
            return pa.repeat(value, len(docs))
        return value.combine_chunks() if isinstance(value, pa.ChunkedArray) else value


def _wrong(node: ast.AST, cure: str) -> ValueError:
    at = getattr(node, "col_offset", 0) + 1
    return ValueError(f"`{ast.unparse(node)}` at character {at} is not of the grammar; {cure}")


def _checked(node: ast.expr) -> Iterator[str]:
    """The columns of an expression; raises ValueError."""
    if isinstance(node, ast.Constant):
        if not isinstance(node.value, (str, int, float, bool)):
            raise _wrong(node, "write a number, a text in quotes, true or false")
        _check_constant(node, node.value)
    elif isinstance(node, (ast.Name, ast.Attribute)):
        name = _column(node)
        if name not in _CONSTANTS:
            yield name
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _checked(value)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield from _checked(node.operand)
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        yield from _checked(node.left)
        yield from _checked(node.right)
    elif isinstance(node, ast.Compare):
        yield from _checked(node.left)
        for operator, value in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, (ast.In, ast.NotIn)):
                if not isinstance(value, (ast.List, ast.Tuple)) or not value.elts:
                    raise _wrong(value, 'write a list of values, such as ["mit", "bsd"]')
                if not all(isinstance(one, ast.Constant) for one in value.elts):
                    raise _wrong(value, "write numbers or texts in the list")
            elif type(operator) not in _COMPARISONS:
                raise _wrong(node, "use == instead of `is`; `is_null(x)` asks for null")
            elif any(
                isinstance(one, ast.Name) and one.id == "null" for one in (node.left, *node.comparators)
            ):
                raise _wrong(node, "a comparison with null is null; write is_null(x) or not is_null(x)")
            else:
                yield from _checked(value)
    elif isinstance(node, ast.Call):
        yield from _checked_call(node)
    else:
        raise _wrong(node, "there are comparisons, + - * /, and, or, not, in, and functions")


def _check_constant(node: ast.Constant, value: object) -> None:
    """Raise ValueError for a value that Arrow does not hold."""
    if isinstance(value, int) and value > _LARGEST:
        raise _wrong(node, f"whole numbers go to {_LARGEST}; write {float(value):.3g} for a larger one")
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise _wrong(node, "a text cannot hold half of a surrogate pair; write the character itself")


def _checked_call(node: ast.Call) -> Iterator[str]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in FUNCTIONS or node.keywords:
        raise _wrong(node, f"there are the functions {', '.join(FUNCTIONS)}, without named arguments")
    function = FUNCTIONS[name]
    if len(node.args) != function.arguments:
        raise _wrong(node, f"{name} takes {function.arguments} argument{'s' * (function.arguments > 1)}")
    split = function.arguments - function.texts
    for text in node.args[split:]:
        if not (isinstance(text, ast.Constant) and isinstance(text.value, str)):
            raise _wrong(text, f"the last argument of {name} is a text in quotes")
        if name == "matches":
            check_pattern(text.value)
    for value in node.args[:split]:
        yield from _checked(value)


def check_pattern(pattern: str) -> None:
    """Raise ValueError unless RE2 can compile a regular expression."""
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        raise ValueError(f"`{pattern}` is no regular expression of RE2: {error}") from None


def _column(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_column(node.value)}.{node.attr}"
    raise _wrong(node, "columns are names, with dots where they have some")


def _value(node: ast.expr, docs: Documents) -> Any:
    import pyarrow.compute as pc

    if isinstance(node, ast.Constant):
        return pa.scalar(node.value)
    if isinstance(node, (ast.Name, ast.Attribute)):
        name = _column(node)
        return pa.scalar(_CONSTANTS[name]) if name in _CONSTANTS else docs.column(name)
    if isinstance(node, ast.BoolOp):
        join = pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene
        return _joined(join, [_value(value, docs) for value in node.values])
    if isinstance(node, ast.UnaryOp):
        operand = _value(node.operand, docs)
        return pc.invert(operand) if isinstance(node.op, ast.Not) else pc.negate_checked(operand)
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, docs), _value(node.right, docs)
        if isinstance(node.op, ast.Div):
            left, right = left.cast(pa.float64()), right.cast(pa.float64())
        return getattr(pc, _ARITHMETIC[type(node.op)])(left, right)
    if isinstance(node, ast.Compare):
        return _compared(node, docs)
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    function = FUNCTIONS[node.func.id]
    split = function.arguments - function.texts
    values = [_value(argument, docs) for argument in node.args[:split]]
    texts = [argument.value for argument in node.args[split:] if isinstance(argument, ast.Constant)]
    return function.compute(*(values or [docs]), *texts)


def _compared(node: ast.Compare, docs: Documents) -> Any:
    import pyarrow.compute as pc

    found, left = [], _value(node.left, docs)
    for operator, value in zip(node.ops, node.comparators, strict=True):
        if isinstance(operator, (ast.In, ast.NotIn)):
            assert isinstance(value, (ast.List, ast.Tuple))
            items = [one.value for one in value.elts if isinstance(one, ast.Constant)]
            holds = pc.is_in(left, value_set=pa.array(items).cast(left.type))
            holds = pc.if_else(pc.is_valid(left), holds, pa.scalar(None, pa.bool_()))
            found.append(pc.invert(holds) if isinstance(operator, ast.NotIn) else holds)
            continue
        right = _value(value, docs)
        found.append(getattr(pc, _COMPARISONS[type(operator)])(left, right))
        left = right
    return _joined(pc.and_kleene, found)


def _joined(join: Callable[[Any, Any], Any], values: list[Any]) -> Any:
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result
