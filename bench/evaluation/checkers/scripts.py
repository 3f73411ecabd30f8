"""What scripts write otherwise than Latin does: marks that end a sentence, and words without spaces between them."""

from __future__ import annotations

import re
import unicodedata


def characters(ranges: str) -> str:
    """Return the inside of a character class of ranges of code points in hexadecimal: ``3041-309f 30fc``."""
    ends = [one.partition("-") for one in ranges.split()]
    return "".join(f"\\U{int(first, 16):08x}-\\U{int(last or first, 16):08x}" for first, _, last in ends)


# Unicode's property Sentence_Terminal (PropList.txt of Unicode 17; UAX #44), without the marks of Latin (. ! ?) and the
# full stops that look like its own (U+2024, U+FE52, U+FF0E), which stand within numbers too.
SENTENCE_ENDS = characters(
    "589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e 1735-1736 17d4-17d5 "
    "1803 1809 1944-1945 1aa8-1aab 1b4e-1b4f 1b5a-1b5b 1b5e-1b5f 1b7d-1b7f 1c3b-1c3c 1c7e-1c7f 203c-203d "
    "2047-2049 2cf9-2cfb 2e2e 2e3c 2e53-2e54 2e60-2e61 3002 a4ff a60e-a60f a6f3 a6f7 a876-a877 a8ce-a8cf a92f "
    "a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe12 fe15-fe16 fe56-fe57 ff01 ff1f ff61 10a56-10a57 10f55-10f59 "
    "10f86-10f89 11047-11048 110be-110c1 11141-11143 111c5-111c6 111cd 111de-111df 11238-11239 1123b-1123c "
    "112a9 113d4-113d5 1144b-1144c 115c2-115c3 115c9-115d7 11641-11642 1173c-1173e 11944 11946 11a42-11a43 "
    "11a9b-11a9c 11c41-11c42 11ef7-11ef8 11f43-11f44 16a6e-16a6f 16af5 16b37-16b38 16b44 16d6e-16d6f 16e98 "
    "1bc9f 1da88 "
)
# Scripts in which words follow one another without a space (UAX #14 classes them ID, CJ, or SA, which needs a
# dictionary): Han, Bopomofo, Kana, Yi; Thai, Lao, Myanmar, Khmer, New Tai Lue, Tai Le, Tai Tham; Tibetan, Javanese,
# Balinese.
UNSPACED = characters(
    "2e80-2fdf 3005-3007 3021-3029 3041-312f 31a0-31bf 31f0-31ff 3400-4dbf 4e00-9fff a000-a4cf f900-faff "
    "20000-323af e00-eff f00-fff 1000-109f 1780-17ff 1950-19df 1a20-1aaf 1b00-1b7f a980-a9ff aa60-aa7f "
)
HIRAGANA = characters("3041-309f")
KATAKANA = characters("30a1-30fa 30fc-30ff 31f0-31ff")
HAN_NUMBERS = (
    "\u3007\u96f6\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d"  # 0 to 9
    "\u5341\u767e\u5343\u842c\u4e07\u5104\u4ebf\u5146"  # ten to 10^12, in both spellings
)

# Vowels of Thai and Lao that are written before, and behind, the consonant that they belong to.
_BEFORE, _BEHIND = characters("e40-e44 ec0-ec4"), characters("e30 e32-e33 e45 eb0 eb2-eb3 ebd")
_VIRAMA = 9  # the combining class of what joins two consonants
_UNSPACED = re.compile(f"[{UNSPACED}]")
_RUNS = (re.compile(f"[{KATAKANA}]{{2}}"), re.compile(f"[{HAN_NUMBERS}]{{2}}"))


def joined(before: str, after: str) -> bool:
    """Return whether two characters that stand side by side are one syllable's, so that no word ends between them."""
    if unicodedata.category(after).startswith("M") or unicodedata.combining(before) == _VIRAMA:
        return True
    return re.fullmatch(f"[{_BEFORE}].|.[{_BEHIND}]", before + after, re.DOTALL) is not None


def parts_words(before: str, after: str) -> bool:
    """Return whether a word may end between two characters that stand side by side.

    It may beside a character of a script without spaces, except within a word in Katakana and a number in Han, which
    are one thing however long.
    """
    if any(run.fullmatch(before + after) for run in _RUNS):
        return False
    return _UNSPACED.match(before) is not None or _UNSPACED.match(after) is not None


def words_of(text: str) -> list[str]:
    """Return the words of a text; in scripts without spaces each character counts as one."""
    return re.findall(f"[{UNSPACED}]|[^\\s{UNSPACED}]+", text)
