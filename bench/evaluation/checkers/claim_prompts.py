"""Prompts about claims: plain text files with places to fill."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import DataError
from bench.core.frozen import digest_of_file
from bench.evaluation.fenced import fenced, marks_of

FOLDER = Path(__file__).resolve().parent / "prompts"
# The places whose text is from a response.
OF_RESPONSES = ("claim", "sentence")
_PLACE = re.compile(r"\{([a-z_]+)\}")


def shipped(name: str) -> Path:
    """Return the file of a prompt that comes with this program."""
    return FOLDER / f"{name}.txt"


def shipped_digest(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a value's fields with the digest of a shipped prompt where they name no file of their own."""
    if fields.get("path") is not None or fields.get("digest") is not None:
        return dict(fields)
    return {**fields, "digest": digest_of_file(shipped(name))}


def template_text(name: str, path: str | None, digest: str, places: frozenset[str]) -> str:
    """Return the text of a prompt: the file at ``path``, or the shipped one of that name.

    Raises DataError when it is missing, has changed, or has other places than ``places``.
    """
    file = shipped(name) if path is None else Path(path)
    if not file.is_file():
        raise DataError(f"{file}: no prompt there. Give a text file with {_listed(places)} in it.")
    if digest_of_file(file) != digest:
        raise DataError(f"{file}: the file has changed since the comparison was planned. Plan it again.")
    text = file.read_text(encoding="utf-8").rstrip("\n")
    found = set(_PLACE.findall(text))
    if found != places:
        raise DataError(f"{file}: has the places {_listed(found)}, wanted {_listed(places)}.")
    return text


def filled(template: str, texts: Mapping[str, str]) -> str:
    """Return a template with the texts at their places; what stands in a text is never a place itself.

    A claim or a sentence that holds what parts the template stands within a fence (``bench.evaluation.fenced``).
    """
    shown, fence = fenced(texts, OF_RESPONSES, marks_of(template))
    text = _PLACE.sub(lambda place: shown[place[1]], template)
    return f"{fence}\n\n{text}" if fence else text


def _listed(places: set[str] | frozenset[str]) -> str:
    return ", ".join(f"{{{place}}}" for place in sorted(places)) or "none"
