import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.results.wording import (
    amount,
    decimals_for,
    duration,
    interval,
    listed,
    markdown,
    markdown_line,
    number,
    p_clause,
    p_value,
    percent,
    signed,
    value_text,
)
from tests.report.synthetic import contrast, records


@pytest.mark.parametrize(
    ("spread", "decimals"), [(0.05, 2), (0.016, 3), (12.0, 0), (0.00036, 4), (0.0951, 2), (355, 0), (None, 3), (0, 3)]
)
def test_digits_follow_the_uncertainty(spread: float | None, decimals: int) -> None:
    assert decimals_for(spread) == decimals


def test_a_bound_is_never_rounded_onto_the_null_value() -> None:
    one = contrast(records({}), ("dpo", "sft"), "win_rate").model_copy(
        update={"low": 0.5003, "high": 0.6203, "estimate": 0.56}
    )
    assert interval(one) == "[0.5003, 0.6203]"


def test_p_values_never_round_onto_alpha() -> None:
    assert p_value(0.0496, 0.95) == "0.0496"
    assert p_value(0.05, 0.95) == "0.050"
    assert p_value(0.0004, 0.95) == "< 0.001"
    assert p_clause(0.43, 0.95) == "p = 0.43"
    assert p_value(None, 0.95) == "\u2013"


def test_small_forms() -> None:
    assert number(-0.0004, 2) == "0.00"
    assert signed(-0.25, 1) == "\u22120.2"
    assert signed(0.0, 2) == "0.00"
    assert amount(4.12e12) == "4.12 T"
    assert amount(999.7) == "1 k"
    assert amount(0) == "0"
    assert duration(200) == "3 min 20 s"
    assert duration(7500) == "2 h 05 min"
    assert duration(3599.8) == "1 h 00 min"
    assert percent(0.973) == "97.3%"
    assert percent(1.0) == "100%"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert value_text(1e-4) == "0.0001"
    assert value_text((0, 1)) == "0, 1"


@given(st.text(max_size=60))
def test_markdown_leaves_no_markup_and_no_line_break(text: str) -> None:
    out = markdown(text)
    assert "\n" not in out
    assert not re.search(r"(?<!\\)(\\\\)*[`*|$~]", out)
    assert not re.search(r"<[A-Za-z/!?]", out)
    assert not re.search(r"^(#|- |\d+\. )", markdown_line(text))


def test_intervals_and_dashes_stay_readable() -> None:
    assert markdown("0.71 [0.66, 0.76], p < 0.001; a_b -> c") == "0.71 [0.66, 0.76], p < 0.001; a_b -> c"
