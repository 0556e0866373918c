import math
from collections.abc import Mapping

import pytest

from sandbox.metrics.labels import labels_of
from sandbox.metrics.promql import engine
from sandbox.metrics.promql.values import (
    BadDataError,
    Dialect,
    ExecutionError,
    Kind,
    Value,
    text_of_number,
)
from sandbox.metrics.tsdb import STALE, Tsdb, is_stale

Rows = Mapping[str, list[tuple[float, float]]]


def store(rows: Rows) -> Tsdb:
    """Make a store of `name{pod}` series given as {"name/pod": [(seconds, value)]}."""
    db = Tsdb()
    for series, samples in rows.items():
        name, _, pod = series.partition("/")
        for at, value in samples:
            db.append(labels_of({"__name__": name, "pod": pod}), round(at * 1000), value)
    return db


def ask(query: str, rows: Rows, at: float, dialect: Dialect = Dialect.V3) -> Value:
    return engine.instant(query, store(rows), round(at * 1000), dialect).value


def number(query: str, rows: Rows, at: float, dialect: Dialect = Dialect.V3) -> float | None:
    vector = ask(query, rows, at, dialect)
    assert isinstance(vector, list)
    return vector[0].value if vector else None


COUNTER = {"hits/a": [(float(second), second * 2.0 + 100) for second in range(0, 121, 10)]}


@pytest.mark.parametrize(
    ("query", "version_2", "version_3"),
    [
        pytest.param("count_over_time(hits[30s])", 4.0, 3.0, id="the beginning of a range"),
        pytest.param("count_over_time(hits[30s:10s])", 4.0, 3.0, id="the beginning of a subquery"),
        pytest.param("count_over_time(hits[10s])", 2.0, 1.0, id="a range of one interval"),
        pytest.param("rate(hits[10s])", 2.0, None, id="no rate of one sample"),
        pytest.param("rate(hits[30s])", 2.0, 2.0, id="rate reaches both bounds"),
        pytest.param("increase(hits[30s])", 60.0, 60.0, id="increase reaches both bounds"),
    ],
)
def test_a_sample_at_the_beginning_of_a_range_counts_in_version_2_only(
    query: str, version_2: float | None, version_3: float | None
) -> None:
    assert number(query, COUNTER, 120, Dialect.V2) == version_2
    assert number(query, COUNTER, 120, Dialect.V3) == version_3


@pytest.mark.parametrize(("dialect", "value"), [(Dialect.V2, 7.0), (Dialect.V3, None)])
def test_a_sample_as_old_as_the_lookback_counts_in_version_2_only(
    dialect: Dialect, value: float | None
) -> None:
    rows = {"x": [(100.0, 7.0)]}

    assert number("x", rows, 400, dialect) == value
    assert number("x", rows, 399.999, dialect) == 7.0
    assert number("x", rows, 400.001, dialect) is None


@pytest.mark.parametrize(("dialect", "value"), [(Dialect.V2, 26.5), (Dialect.V3, 24.0)])
def test_a_counter_born_in_the_range_is_not_stretched_below_zero(dialect: Dialect, value: float) -> None:
    # Zero lies 6.67 s before the first sample: version 2 goes there, version 3 half an interval.
    rows = {"x": [(50.0, 10.0), (60.0, 25.0)]}

    assert number("increase(x[50s])", rows, 61, dialect) == pytest.approx(value)


def test_a_counter_reset_adds_what_came_before_it() -> None:
    rows = {"x": [(0.0, 5.0), (10.0, 15.0), (20.0, 3.0), (30.0, 13.0)]}

    assert number("increase(x[31s])", rows, 30) == pytest.approx(23.0 * (30 + 1) / 30)


def test_a_series_ends_with_its_mark_and_not_after_five_minutes() -> None:
    rows = {"x": [(10.0, 1.0), (20.0, STALE)]}

    assert number("x", rows, 19.9) == 1.0
    assert number("x", rows, 20) is None
    assert number("count_over_time(x[30s])", rows, 25) == 1.0


def test_the_mark_of_an_end_is_told_from_other_nans() -> None:
    [series] = store({"x": [(1.0, STALE), (2.0, math.nan)]}).select([])

    assert [is_stale(value) for value in series.values] == [True, False]


def test_a_late_sample_is_dropped() -> None:
    rows = {"x": [(10.0, 1.0), (10.0, 2.0), (9.0, 3.0)]}

    assert number("x", rows, 10) == 1.0
    assert number("count_over_time(x[1m])", rows, 10) == 1.0


def test_old_samples_and_empty_series_are_forgotten() -> None:
    db = Tsdb(retention=60_000)
    for at in (0, 30_000, 90_000):
        db.append(labels_of({"__name__": "kept"}), at, 1.0)
    db.append(labels_of({"__name__": "gone"}), 0, 1.0)
    db.forget_old(100_000)

    assert [(series.labels, list(series.times)) for series in db.select([])] == [
        ((("__name__", "kept"),), [90_000])
    ]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("foo(x)", 'invalid parameter "query": 1:1: parse error: unknown function with name "foo"'),
        (
            "sum(\n  rate_of(x))",
            'invalid parameter "query": 2:3: parse error: unknown function with name "rate_of"',
        ),
        (
            'sort_by_label(x, "pod")',
            'invalid parameter "query": parse error: function "sort_by_label" is not enabled',
        ),
        (
            "topk(1, x)",
            'invalid parameter "query": parse error: aggregation "topk" is not supported by the sandbox',
        ),
        ("x + fill(0) y", 'invalid parameter "query": parse error: binop fill modifiers are not enabled'),
        ('x{a="1" or a="2"}', 'invalid parameter "query": parse error: unexpected "or" in label matching'),
        (
            "1 + on () 2",
            'invalid parameter "query": parse error: vector matching only allowed between instant vectors',
        ),
        ("", 'invalid parameter "query": parse error: no expression found in input'),
        ("rate(x)", "expected type matrix in call to function 'rate', got vector"),
        ('x{a=~"*"}', "parse error"),
        ("deriv(x[1m])", 'function "deriv" is not supported by the sandbox'),
    ],
)
def test_a_query_that_cannot_be_understood_is_named(query: str, text: str) -> None:
    with pytest.raises(BadDataError) as raised:
        ask(query, COUNTER, 0)

    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (
            "x + on () x",
            "found duplicate series for the match group {} on the right hand-side of the operation: [",
        ),
        ("x + on (pod) group_left () y", None),
        ("y + on () x", "many-to-many matching not allowed: matching labels must be unique on one side"),
        ("x * on () y", "many-to-one matching must be explicit (group_left/group_right)"),
    ],
)
def test_a_query_that_the_data_contradict_is_an_execution_error(query: str, text: str | None) -> None:
    rows = {"x/a": [(0.0, 1.0)], "x/b": [(0.0, 2.0)], "y": [(0.0, 3.0)]}
    if text is None:
        assert ask(query, rows, 1) == []
        return
    with pytest.raises(ExecutionError) as raised:
        ask(query, rows, 1)

    assert text in str(raised.value)


def test_a_range_query_gathers_each_series_over_its_steps() -> None:
    rows = {"x/a": [(0.0, 1.0), (20.0, STALE)], "x/b": [(10.0, 2.0)]}
    found = engine.over_range("x * 2", store(rows), range(0, 30_001, 10_000))

    assert [(dict(series.labels), series.points) for series in found] == [
        ({"pod": "a"}, [(0, 2.0), (10_000, 2.0)]),
        ({"pod": "b"}, [(10_000, 4.0), (20_000, 4.0), (30_000, 4.0)]),
    ]


def test_a_range_query_of_a_scalar_is_one_series_without_labels() -> None:
    [series] = engine.over_range("time() + 1", Tsdb(), range(1000, 3001, 1000))

    assert series == ((), [(1000, 2.0), (2000, 3.0), (3000, 4.0)])


def test_vector_of_one_is_answered_by_an_empty_store() -> None:
    result = engine.instant("vector(1)", Tsdb(), 5000)

    assert (result.kind, result.value) == (Kind.VECTOR, [((), 1.0)])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.1, "0.1"),
        (-0.0, "-0"),
        (1e21, "1000000000000000000000"),
        (1.5e-7, "0.00000015"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_a_number_is_printed_without_exponent(value: float, text: str) -> None:
    assert text_of_number(value) == text
