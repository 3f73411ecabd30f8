"""The key of a server, hidden in whatever the server says, in the forms that a text is written in."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

HIDDEN = "[key]"
# Shorter ones are words that a text may hold anyway: no key that a server gives out is so short.
_SHORTEST = 4
# From this length on it is found in other alphabets, and from the next one in other cases and with spaces in it: a
# shorter one would be found where nobody wrote it.
_LONG_ENOUGH_TO_CODE = 8
_LONG_ENOUGH_TO_FOLD = 16
# A text in a text in a text: an answer that quotes an error that quotes a request.
_WRAPPED = 3
_ESCAPE = re.compile(r"\\+(?:u\{?0*([0-9a-fA-F]{1,6})\}?|x([0-9a-fA-F]{2}))?")
_SPACES = re.compile(
    "[\\s\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]+"
)


class Secret:
    """A key. ``hide`` gives texts back without it, as they are where they do not hold it."""

    def __init__(self, key: str) -> None:
        self._key = key if len(key) >= _SHORTEST else ""
        self._coded = tuple(_coded(key)) if len(key) >= _LONG_ENOUGH_TO_CODE else ()

    def hide(self, text: str) -> str:
        """Return a text without the key: ``[key]`` in its place, and in place of a text that holds it in other words.

        Those are escapes of JSON, addresses and HTML, also within each other, base64, and hexadecimal digits; of a key
        of 16 characters and more also other cases, and spaces and unseen characters between its own.
        """
        if not self._key:
            return text
        text = text.replace(self._key, HIDDEN)
        return HIDDEN if self.is_in(text) else text

    def hide_in(self, value: Any) -> Any:
        """Return what was read from JSON without the key, wherever it stands in it."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, dict):
            return {self.hide(name): self.hide_in(part) for name, part in value.items()}
        if isinstance(value, list):
            return [self.hide_in(part) for part in value]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return HIDDEN if is_number and self._key and self._key in str(value) else value

    def is_in(self, text: str) -> bool:
        """Tell whether a text holds the key in any form."""
        return bool(self._key) and any(map(self._is_written, _unwrapped(text)))

    def _is_written(self, text: str) -> bool:
        if self._key in text or any(form in text for form in self._coded):
            return True
        if len(self._key) < _LONG_ENOUGH_TO_FOLD:
            return False
        joined = _SPACES.sub("", text)
        key = _SPACES.sub("", self._key)
        return key.casefold() in joined.casefold() or any(form in joined for form in self._coded)


def _coded(key: str) -> Iterator[str]:
    """Yield what a text holds wherever the key is in it in base64, at each of three places, or in hexadecimal."""
    for before in range(3):
        # Without the characters that what stands before and behind it has a share in.
        whole = base64.b64encode(b"\0" * before + key.encode()).decode().rstrip("=")
        length = (before + len(key.encode())) * 8 // 6
        inner = whole[-(-before * 8 // 6) : length]
        yield inner
        yield inner.translate(str.maketrans("+/", "-_"))
    yield key.encode().hex()
    yield key.encode().hex().upper()


def _unwrapped(text: str) -> Iterator[str]:
    """Yield the text, and what it says where its escapes are read, until there are none."""
    yield text
    for _ in range(_WRAPPED):
        read = _ESCAPE.sub(_letter, html.unescape(unquote(text)))
        if read == text:
            return
        yield (text := read)


def _letter(found: re.Match[str]) -> str:
    digits = found[1] or found[2]
    if digits is None:
        return ""
    code = int(digits, 16)
    return chr(code) if code <= 0x10FFFF else found.group()
