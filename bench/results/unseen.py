"""Characters that no reader sees, and how they are written so that everybody does."""

from __future__ import annotations

import re

# What a joiner or a selector may stand beside, so that it is part of how a script or an emoji is written.
_LETTER = r"[^\x00-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
_KINDS = (
    # Controls, format characters, marks of direction, blanks that are letters, tags, halves of characters, and
    # non-characters, without those format characters that are seen (Arabic number signs and the like).
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U0001fffe\U0001ffff\U0002fffe\U0002ffff\U0003fffe\U0003ffff\U0004fffe\U0004ffff"
    r"\U0005fffe\U0005ffff\U0006fffe\U0006ffff\U0007fffe\U0007ffff\U0008fffe\U0008ffff\U0009fffe\U0009ffff"
    r"\U000afffe\U000affff\U000bfffe\U000bffff\U000cfffe\U000cffff\U000dfffe\U000dffff\U000e0000-\U000e00ff"
    r"\U000e01f0-\U000e0fff\U000efffe\U000effff\U000ffffe\U000fffff\U0010fffe\U0010ffff]",
    # Joiners of letters (Persian, Indic scripts) and of emoji, anywhere else.
    rf"(?<!{_LETTER})(?<!\ufe0f)[\u200c\u200d]",
    rf"[\u200c\u200d](?!{_LETTER})",
    # Selectors of a variant, where there is nothing to vary: not a digit's of a keycap.
    rf"(?<!{_LETTER})(?![\ufe0e\ufe0f]\u20e3)[\u180b-\u180d\u180f\ufe00-\ufe0f]",
    r"(?<![\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]",
)
UNSEEN = re.compile("|".join(_KINDS))


def visible(text: str) -> str:
    r"""Return the text with every unseen character written as its code point (``⟨U+202E⟩``); ``\n`` and tabs stay.

    Nothing in it can mislead a reader, steer a terminal, or fail to be encoded.
    """
    return UNSEEN.sub(lambda found: f"\u27e8U+{ord(found.group()):04X}\u27e9", text)
