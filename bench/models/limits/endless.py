"""Chat templates that never end, or that write without end: found by a trial before they lay out anything here."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from bench.core.errors import StageError
from bench.models.limits.template_trial import MOST_CHARACTERS, MOST_SECONDS, TOO_LARGE

MOST_OF_A_TEMPLATE = 1_000_000  # characters; the longest that are known have 20,000
_PATIENCE = 60  # seconds that a trial may wait for a processor


@lru_cache(maxsize=256)
def check_it_ends(name: str, template: str, tokens: tuple[tuple[str, str], ...]) -> None:
    """Raise StageError for a chat template that takes too long, or becomes too large, on short chats.

    ``name`` is the model's, for the message. ``tokens``: the special tokens that the template may write, by name. The
    trial is a process of its own (a fifth of a second), once for a template.
    """
    if len(template) > MOST_OF_A_TEMPLATE:
        raise StageError(_refused(name, f"has {len(template):,} characters, and may have {MOST_OF_A_TEMPLATE:,}"))
    found = find_spec("bench")
    root = Path(found.origin).parents[1] if found is not None and found.origin is not None else Path()
    try:
        status = subprocess.run(
            [sys.executable, "-m", "bench.models.limits.template_trial"],
            input=json.dumps({"template": template, "tokens": dict(tokens)}).encode("utf-8", "replace"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
            cwd=root,
        ).returncode
    except subprocess.TimeoutExpired:
        status = -1
    if status == TOO_LARGE:
        raise StageError(_refused(name, f"makes more than {MOST_CHARACTERS:,} characters of a short chat"))
    if status < 0:
        raise StageError(_refused(name, f"does not end: it was stopped after {MOST_SECONDS} s on a short chat"))


def _refused(name: str, what: str) -> str:
    return f"the chat template of {name!r} {what}. Give the model another chat template."
