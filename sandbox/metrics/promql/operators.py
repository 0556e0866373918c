"""Binary operators: arithmetic, comparison and sets, between scalars and vectors."""

import dataclasses
from collections.abc import Callable

import promql_parser as ast

from sandbox.metrics.labels import NAME, Labels, only, text_of, value_of, with_values, without, without_name
from sandbox.metrics.promql.arithmetic import ARITHMETIC, COMPARISON
from sandbox.metrics.promql.values import (
    BadDataError,
    ExecutionError,
    Kind,
    Moment,
    Plan,
    Sample,
    Vector,
    mapped,
    unique,
)

Signature = Callable[[Labels], Labels]
# What two elements make: the value, or None where a comparison filters the element out.
Combine = Callable[[float, float], float | None]

SETS = {"and", "or", "unless"}


@dataclasses.dataclass(frozen=True)
class Operator:
    """A binary operator with its modifiers.

    Matching is one-to-one, or grouped: many of the left side (swapped: of the right) to one of the other.
    """

    name: str
    returns_bool: bool = False
    is_on: bool = False
    names: frozenset[str] = frozenset()
    is_grouped: bool = False
    is_swapped: bool = False
    included: tuple[str, ...] = ()

    @classmethod
    def of(cls, expr: ast.BinaryExpr) -> "Operator":
        """Read the operator of an expression."""
        modifier = expr.modifier
        if modifier is None:
            return cls(str(expr.op))
        if modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None:
            raise BadDataError("parse error: binop fill modifiers are not enabled")
        matching = modifier.matching
        return cls(
            name=str(expr.op),
            returns_bool=modifier.return_bool,
            is_on=matching is not None and matching.type == ast.LabelModifierType.Include,
            names=frozenset(matching.labels if matching is not None else ()),
            is_grouped=modifier.card != ast.VectorMatchCardinality.OneToOne,
            is_swapped=modifier.card == ast.VectorMatchCardinality.OneToMany,
            included=tuple(modifier.group_labels or ()),
        )

    @property
    def drops_name(self) -> bool:
        """Whether the result is another metric than the operands."""
        return self.name in ARITHMETIC or self.returns_bool

    @property
    def signature(self) -> Signature:
        """What two elements must share to be matched."""
        if self.is_on:
            return lambda labels: only(labels, self.names)
        dropped = self.names | {NAME}
        return lambda labels: without(labels, dropped)

    @property
    def combine(self) -> Combine:
        """The operation on two numbers, of which a comparison keeps the left."""
        if self.name in ARITHMETIC:
            return ARITHMETIC[self.name]
        compare = COMPARISON[self.name]
        if self.returns_bool:
            return lambda a, b: float(compare(a, b))
        return lambda a, b: a if compare(a, b) else None


def plan_binary(expr: ast.BinaryExpr, left: Plan, right: Plan) -> Plan:
    """Plan a binary expression."""
    operator = Operator.of(expr)
    if operator.name in SETS:
        return _plan_sets(operator, left, right)
    if Kind.SCALAR in {left.kind, right.kind} and (operator.is_on or operator.names):
        raise BadDataError("parse error: vector matching only allowed between instant vectors")
    if left.kind == right.kind == Kind.SCALAR:
        return _plan_scalars(operator, left, right)
    if left.kind == right.kind:
        a, b = left.vector, right.vector
        return Plan(Kind.VECTOR, lambda moment: _match(operator, a(moment), b(moment)))
    return _plan_mixed(operator, left, right)


def plan_negation(inner: Plan) -> Plan:
    """Plan a unary minus."""
    if inner.kind is Kind.SCALAR:
        scalar = inner.scalar
        return Plan(Kind.SCALAR, lambda moment: -scalar(moment))
    vector = inner.vector
    return Plan(Kind.VECTOR, lambda moment: mapped(vector(moment), lambda value: -value))


def _plan_scalars(operator: Operator, left: Plan, right: Plan) -> Plan:
    a, b, combine = left.scalar, right.scalar, operator.combine

    def run(moment: Moment) -> float:
        result = combine(a(moment), b(moment))
        assert result is not None
        return result

    return Plan(Kind.SCALAR, run)


def _plan_mixed(operator: Operator, left: Plan, right: Plan) -> Plan:
    """Plan a vector with a scalar: a filter keeps the vector's value, whichever side it stands on."""
    combine = operator.combine
    is_filter = operator.name in COMPARISON and not operator.returns_bool
    vector, scalar = (left.vector, right.scalar) if left.kind is Kind.VECTOR else (right.vector, left.scalar)

    def run(moment: Moment) -> Vector:
        number = scalar(moment)
        results = []
        for labels, value in vector(moment):
            result = combine(value, number) if left.kind is Kind.VECTOR else combine(number, value)
            if result is not None:
                kept = without_name(labels) if operator.drops_name else labels
                results.append(Sample(kept, value if is_filter else result))
        return unique(results)

    return Plan(Kind.VECTOR, run)


def _plan_sets(operator: Operator, left: Plan, right: Plan) -> Plan:
    a, b, signature = left.vector, right.vector, operator.signature

    def run(moment: Moment) -> Vector:
        ours, theirs = a(moment), b(moment)
        if operator.name == "or":
            known = {signature(sample.labels) for sample in ours}
            return unique(ours + [sample for sample in theirs if signature(sample.labels) not in known])
        known = {signature(sample.labels) for sample in theirs}
        wanted = operator.name == "and"
        return [sample for sample in ours if (signature(sample.labels) in known) == wanted]

    return Plan(Kind.VECTOR, run)


def _match(operator: Operator, left: Vector, right: Vector) -> Vector:
    """Match two vectors; the side with one element for each group is looked up from the other."""
    if not left or not right:
        return []
    many, one = (right, left) if operator.is_swapped else (left, right)
    by_signature = _index(operator, one, "left" if operator.is_swapped else "right")
    combine, signature = operator.combine, operator.signature
    results: list[Sample] = []
    matched: set[Labels] = set()
    for labels, value in many:
        found = by_signature.get(signature(labels))
        if found is None:
            continue
        result = combine(found.value, value) if operator.is_swapped else combine(value, found.value)
        if result is None:
            continue
        sample = Sample(_result_labels(operator, labels, found.labels), result)
        _take(operator, signature(labels), sample.labels, matched)
        results.append(sample)
    return results


def _index(operator: Operator, vector: Vector, side: str) -> dict[Labels, Sample]:
    index: dict[Labels, Sample] = {}
    for sample in vector:
        signature = operator.signature(sample.labels)
        if signature in index:
            raise ExecutionError(
                f"found duplicate series for the match group {text_of(signature) or '{}'} on the {side} "
                f"hand-side of the operation: [{text_of(sample.labels)}, {text_of(index[signature].labels)}]"
                ";many-to-many matching not allowed: matching labels must be unique on one side"
            )
        index[signature] = sample
    return index


def _take(operator: Operator, signature: Labels, labels: Labels, matched: set[Labels]) -> None:
    """Note a match, and refuse a second one of the same group (or, if grouped, with the same result)."""
    key = labels if operator.is_grouped else signature
    if key in matched:
        remedy = (
            "grouping labels must ensure unique matches"
            if operator.is_grouped
            else "many-to-one matching must be explicit (group_left/group_right)"
        )
        raise ExecutionError(f"multiple matches for labels: {remedy}")
    matched.add(key)


def _result_labels(operator: Operator, many: Labels, one: Labels) -> Labels:
    labels = without_name(many) if operator.drops_name else many
    if not operator.is_grouped:
        labels = only(labels, operator.names) if operator.is_on else without(labels, operator.names)
    if operator.included:
        labels = with_values(labels, [(name, value_of(one, name)) for name in operator.included])
    return labels
