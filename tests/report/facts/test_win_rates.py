import pytest

from bench.report.facts.win_rates import cell_of, plain_win_rates, shift_of
from tests.report.synthetic import contrast, records


def test_a_controlled_win_rate_is_held_against_the_plain_one_of_its_cell() -> None:
    plain = contrast(records({}), ("dpo", "sft"), "win_rate").model_copy(update={"estimate": 0.7})
    equal = plain.model_copy(update={"metric": "length_controlled_win_rate", "estimate": 0.6})
    found = plain_win_rates([plain, equal])
    assert found == {cell_of(equal): plain}
    assert shift_of(found.get(cell_of(equal)), equal) == pytest.approx(-0.1)
    assert shift_of(None, equal) is None
    assert shift_of(plain, equal.model_copy(update={"estimate": None})) is None
