"""Unseen characters are spelt out, and what scripts and emoji are written with stays."""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path

import pytest

from bench.report.page.html import WEB
from bench.results.unseen import UNSEEN, visible

# Format characters that are seen: signs over Arabic and Kaithi numbers, the Syriac mark, hieroglyphs put together.
SEEN = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"


@pytest.mark.parametrize("letter", ["\u202e", "\u2028", "\x1b", "\u200b", "\ufeff", "\u061c", "\ufdd0", "\U000e0041"])
def test_what_a_reader_cannot_see_is_spelt_out(letter: str) -> None:
    assert visible(f"a{letter}b") == f"a\u27e8U+{ord(letter):04X}\u27e9b"


def test_every_control_every_format_character_and_every_non_character_is_unseen() -> None:
    for code in range(sys.maxunicode + 1):
        letter = chr(code)
        kind = unicodedata.category(letter)
        is_format = kind == "Cf" and letter not in SEEN and not 0x13430 <= code <= 0x1345F
        is_none = 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
        if (kind in ("Cc", "Cs", "Zl", "Zp") and letter not in "\n\t") or is_format or is_none:
            assert UNSEEN.fullmatch(letter), hex(code)
        elif kind[0] in "LNPS" and UNSEEN.fullmatch(letter) is not None:
            assert letter in "\u115f\u1160\u3164\uffa0", hex(code)  # letters that are blanks


@pytest.mark.parametrize(
    "text",
    [
        "tab\tand line\nstay, \u0644 too",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian
        "\u0915\u094d\u200d\u0937",  # Devanagari
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
        "\u2764\ufe0f\u200d\U0001f525 \u263a\ufe0f \xa9\ufe0f 1\ufe0f\u20e3",
        "\u845b\U000e0100",  # a variant of an ideograph
        "non\u00a0breaking\u3000spaces, e\u0301, \ue000",
    ],
)
def test_what_is_written_so_stays(text: str) -> None:
    assert visible(text) == text


def test_joiners_and_selectors_elsewhere_are_unseen() -> None:
    assert visible("a\u200db") == "a\u27e8U+200D\u27e9b"
    assert visible("\u263a\ufe0f\ufe01\ufe02") == "\u263a\ufe0f\u27e8U+FE01\u27e9\u27e8U+FE02\u27e9"
    assert visible("a\ufe0f") == "a\u27e8U+FE0F\u27e9"
    assert visible("x\U000e0100") == "x\u27e8U+E0100\u27e9"


def test_the_page_knows_the_same_characters() -> None:
    script = (Path(WEB) / "words.js").read_text(encoding="utf-8")
    (list_of_kinds,) = re.findall(r"const UNSEEN = new RegExp\(\s*\[(.*?)\]\.join\(\"\|\"\)", script, re.DOTALL)
    kinds = [re.sub(r"`\s*\+ String\.raw`", "", kind) for kind in re.split(r"`,\s*", list_of_kinds)]
    pattern = "|".join(kind.strip().removeprefix("String.raw`") for kind in kinds if kind.strip())
    assert re.sub(r"\\u\{([0-9a-f]+)\}", lambda found: f"\\U{int(found[1], 16):08x}", pattern) == UNSEEN.pattern
