"""What the condition language of auto_rollback promises."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensei import conditions, errors

NUMBERS = st.floats(min_value=0, max_value=1e12, allow_nan=False)
_PLAIN_METRICS = [name for name, unit in conditions.METRICS.items() if unit != "seconds"]
_TIME_METRICS = [name for name, unit in conditions.METRICS.items() if unit == "seconds"]


def _terms(seconds: bool) -> st.SearchStrategy[conditions.Term]:
    names = _TIME_METRICS if seconds else _PLAIN_METRICS
    units = ["s"] if seconds else ["", "%"]
    leaf = st.builds(conditions.Metric, st.sampled_from(names)) | st.builds(
        conditions.Number, NUMBERS, st.sampled_from(units)
    )
    return st.recursive(
        leaf,
        lambda inner: st.builds(conditions.Arithmetic, inner, st.sampled_from("+-"), inner),
        max_leaves=4,
    )


def _readable(condition: conditions.Comparison) -> bool:
    if not condition.names or len(str(condition)) > conditions.MAX_LENGTH:
        return False
    # A bare rate against a bare number above 1 is refused on purpose.
    return not any(
        isinstance(a, conditions.Metric) and isinstance(b, conditions.Number) and not b.unit
        for a, b in ((condition.left, condition.right), (condition.right, condition.left))
    )


COMPARISONS = (
    st.booleans()
    .flatmap(
        lambda time: st.builds(
            conditions.Comparison,
            _terms(time),
            st.sampled_from([">", ">=", "<", "<=", "==", "!="]),
            _terms(time),
        )
    )
    .filter(_readable)
)


@given(COMPARISONS)
def test_a_condition_reads_back_from_its_own_text(condition: conditions.Comparison) -> None:
    assert conditions.parse(str(condition)) == condition


@given(st.text(max_size=60))
def test_any_text_is_either_a_condition_or_bad_input_with_a_column(text: str) -> None:
    try:
        condition = conditions.parse(text)
    except errors.BadInput as problem:
        assert 1 <= problem.details["column"] <= len(text) + 1
    else:
        assert conditions.parse(str(condition)) == condition


@given(NUMBERS, NUMBERS, NUMBERS)
def test_arithmetic_is_that_of_numbers(a: float, b: float, c: float) -> None:
    values = {"errors": a, "rows_quarantined": b, "lag_changes": c}
    for text, expected in (
        ("errors + rows_quarantined * 2 > lag_changes", a + b * 2 > c),
        ("(errors + rows_quarantined) * 2 > lag_changes", (a + b) * 2 > c),
        ("errors - rows_quarantined - lag_changes < 0", a - b - c < 0),
        ("errors / 4 / 2 >= lag_changes", a / 4 / 2 >= c),
        ("errors == rows_quarantined", a == b),
        ("errors != rows_quarantined", a != b),
    ):
        assert conditions.parse(text).holds(values) is expected, text


@given(NUMBERS, NUMBERS)
def test_opposite_comparisons_never_agree(a: float, b: float) -> None:
    values = {"errors": a, "rows_quarantined": b}
    for one, other in ((">", "<="), ("<", ">="), ("==", "!=")):
        first = conditions.parse(f"errors {one} rows_quarantined").holds(values)
        second = conditions.parse(f"errors {other} rows_quarantined").holds(values)
        assert first != second


@given(st.floats(min_value=0, max_value=1e300, allow_nan=False))
def test_a_duration_reads_back_exactly(seconds: float) -> None:
    assert conditions.parse_duration(conditions.format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4h", 14400),
        ("30m", 1800),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("7d", 604800),
        ("2w", 1209600),
        ("0s", 0),
    ],
)
def test_durations_mean_what_they_say(text: str, seconds: float) -> None:
    assert conditions.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "4", "h", "4 h", "4x", "-4h", "4h30", "1e999h", "4H"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(errors.BadInput, match="expected a duration"):
        conditions.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "holds", "holds_not"),
    [
        ("error_rate > 5%", {"error_rate": 0.051}, {"error_rate": 0.05}),
        ("row_count_mismatch > 1%", {"row_count_mismatch": 0.02}, {"row_count_mismatch": 0.0}),
        ("validation_failure", {"validation_failure": True}, {"validation_failure": False}),
        (
            "duration > planned_duration * 2",
            {"duration": 21.0, "planned_duration": 10.0},
            {"duration": 20.0, "planned_duration": 10.0},
        ),
        ("lag > 30m", {"lag": 1801.0}, {"lag": 1800.0}),
    ],
)
def test_the_documented_conditions_hold_when_they_should(
    text: str, holds: dict[str, float], holds_not: dict[str, float]
) -> None:
    condition = conditions.parse(text)
    assert condition.names == frozenset(holds)
    assert condition.holds(holds) is True
    assert condition.holds(holds_not) is False


@pytest.mark.parametrize("text", ["error_rate > 5%", "error_rate != 5%", "error_rate < 5%", "validation_failure"])
def test_nothing_fires_on_what_was_not_measured(text: str) -> None:
    assert conditions.parse(text).holds({}) is False
    assert conditions.parse(text.replace("5%", "errors / 0")).holds({"error_rate": 1.0, "errors": 1}) is False


def test_nan_never_fires() -> None:
    assert conditions.parse("errors != 0").holds({"errors": math.nan}) is False


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("eror_rate > 5%", 1, "did you mean 'error_rate'"),
        ("duration > planed_duration * 2", 12, "did you mean 'planned_duration'"),
        ("validation_failed", 1, "did you mean 'validation_failure'"),
        ("error_rate >", 13, "expected a metric"),
        ("error_rate", 11, "expected a comparison"),
        ("error_rate = 5%", 12, "'=' can't be read"),
        ("error_rate > 5", 14, "which is 500%"),
        ("duration > 5%", 12, "is a time"),
        ("duration > 3600", 12, "is a time"),
        ("duration * lag > 5m", 12, "multiplied by a time"),
        ("lag > 30x", 7, "'30x' can't be read"),
        ("5 > 3", 1, "names no metric"),
        ("(lag > 5m", 6, "is not closed"),
        ("error_rate > 5% and lag > 5m", 17, "one comparison a condition"),
        ("validation_failure > 3", 20, "nothing may follow"),
        ("validation_failure and lag > 5m", 20, "nothing may follow"),
        ("lag > validation_failure", 7, "stands alone"),
        ("", 1, "a condition is missing"),
        ("(" * 30 + "lag", 21, "parentheses"),
        ("lag > 1e999s", 7, "too large"),
        ("errors > " + "1" * 400, 201, "at most 200 characters"),
    ],
)
def test_a_wrong_condition_names_its_column(text: str, column: int, says: str) -> None:
    with pytest.raises(errors.BadInput) as caught:
        conditions.parse(text)
    assert caught.value.details["column"] == column
    assert says in caught.value.message
