"""The prompts that the page carries: as many as fit, and if not all, a sample of every kind."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import Any

from bench.report.samples.prompt_view import PromptView, Tables, prompt_views
from bench.results.wording import NONE, value_text

# The page stays under 5 MB: base64 makes 2 MB of this, and the pictures of many methods need the rest.
COMPRESSED_BYTES = 1_500_000
# zlib's default: 9 takes several times as long for a few prompts more.
LEVEL = 6
TEXT_BYTES = 40_000_000
AT_ONCE = 32


@dataclass(frozen=True)
class Samples:
    """What the sample browser shows: ``shown`` of ``of`` prompts.

    ``packed`` is base64 of raw deflate of JSON Lines, one prompt a line. ``claims``: whether a response has any.
    """

    packed: str
    shown: int
    of: int
    claims: bool


def take_samples(tables: Tables, most: int = COMPRESSED_BYTES) -> Samples:
    """Return as many prompts with all their responses as ``most`` compressed bytes hold.

    They are taken in an order of which every beginning has all tasks and kinds in their proportions, drawn by the
    digest of the prompts' ids, so the same prompts are shown each time and whatever the methods wrote.
    """
    order = stratified(tables)
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed, shown, text, size = b"", 0, 0, 1
    views: list[PromptView] = []
    while shown < len(order) and size:
        # What did not fit is tried again with fewer of the same prompts.
        views = views[:size] if len(views) > size else prompt_views(order[shown : shown + size], tables)
        lines = "".join(json.dumps(as_data(view), ensure_ascii=False) + "\n" for view in views).encode()
        before = packer.copy()
        more = packer.compress(lines) + packer.flush(zlib.Z_SYNC_FLUSH)
        if shown and (len(packed) + len(more) > most or text + len(lines) > TEXT_BYTES):
            # Fewer may still fit: down to one, after which the rest is left out.
            packer, size = before, size // 2
            continue
        packed += more
        shown, views = shown + len(views), []
        text += len(lines)
        size = min(2 * size, AT_ONCE)
    packed += packer.flush()
    return Samples(base64.b64encode(packed).decode("ascii"), shown, len(order), tables.claims.num_rows > 0)


def stratified(tables: Tables) -> list[tuple[str, str]]:
    """Return every prompt as (task, id), in an order of which every beginning is a stratified sample."""
    rows = tables.responses.select(["task", "kind", "prompt"]).group_by(["task", "kind", "prompt"]).aggregate([])
    strata: dict[tuple[str, str], list[str]] = {}
    for row in rows.to_pylist():
        strata.setdefault((row["task"], row["kind"]), []).append(row["prompt"])
    placed = []
    for (task, kind), names in strata.items():
        names.sort(key=lambda name: (hashlib.sha256(name.encode()).digest(), name))
        placed += [((place + 0.5) / len(names), task, kind, name) for place, name in enumerate(names)]
    return [(task, name) for _, task, _, name in sorted(placed)]


def as_data(view: PromptView) -> dict[str, Any]:
    """Return a prompt as the page reads it: short keys, scores as a reader sees them, claims in character offsets."""
    return {
        "task": view.task,
        "id": view.prompt,
        "kind": view.kind,
        "chat": view.chat,
        "answers": [
            {
                "m": one.method,
                "r": one.seed,
                "d": one.draw,
                "text": one.text,
                "end": one.finish,
                "scores": {named(score.metric, score.judge): score_text(score.value) for score in one.scores},
                "said": {named(score.metric, score.judge): score.text for score in one.scores if score.text},
                "claims": [[c.start, c.end, c.label, c.text, c.evidence] for c in one.claims],
            }
            for one in view.responses
        ],
        "ballots": [
            [one.judge, one.method, one.versus, one.seed, one.draw, one.order, one.value, one.status, one.text]
            for one in view.ballots
        ],
    }


def score_text(value: float | None) -> str:
    """Return a score of one response with four significant digits, a dash where there is none."""
    return NONE if value is None else value_text(float(f"{value:.4g}"))


def named(metric: str, judge: str | None) -> str:
    """Return a score's name, with the judge that gave it."""
    words = metric.replace("_", " ")
    return words if judge is None else f"{words} ({judge})"
