"""The key is hidden in the forms that a text is written in, and nothing else is."""

from __future__ import annotations

import pytest

from bench.evaluation.api.secret import HIDDEN, Secret
from tests.faults.servers import KEY, forms


@pytest.mark.parametrize("form", forms(KEY))
def test_a_text_that_holds_the_key_is_told_without_it(form: str) -> None:
    told = Secret(KEY).hide(f"Your key: {forms(KEY)[form]}!")
    assert told == (f"Your key: {HIDDEN}!" if form == "as it is" else HIDDEN)


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("behind", ["", "a", "ab", "abc"])
def test_base64_is_known_wherever_the_key_stands_in_it(before: str, behind: str) -> None:
    written = forms(f"{before}{KEY}{behind}")["base64"]
    assert Secret(KEY).hide(f"x {written} y") == HIDDEN


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "The key to this question is \\u0041\\n, 100% of it &amp; more, aGVsbG8gd29ybGQ=",
        "\\" * 10_000,
        "%" * 10_000,
        "&#" * 10_000,
        "sk-Ab/c+d",
        "\u200b \u202e 猫 \ud800",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert Secret(KEY).hide(text) == text
    assert Secret("").hide(text) == text
    assert Secret("abc").hide("abc") == "abc"


def test_a_short_key_is_found_as_it_is_and_not_in_other_words() -> None:
    secret = Secret("EMPTY")
    assert secret.hide("key EMPTY") == f"key {HIDDEN}"
    assert secret.hide("\\u0045MPTY") == HIDDEN
    assert secret.hide("an empty answer, E M P T Y") == "an empty answer, E M P T Y"


def test_what_was_read_from_json_is_searched_through() -> None:
    number = "12345678901234567"
    assert Secret(number).hide_in({"a": [int(number), True, None, 1.5], number: {"b": number}}) == {
        "a": [HIDDEN, True, None, 1.5],
        HIDDEN: {"b": HIDDEN},
    }
