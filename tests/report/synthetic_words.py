"""What the methods of the synthetic run wrote and what the judge said, with some texts that try to break out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from bench.core.policy import Message
from bench.results.claims import CLAIMS, CLAIMS_SCHEMA
from bench.results.responses import RESPONSES, RESPONSES_SCHEMA, VERDICTS, VERDICTS_SCHEMA, chat_text
from tests.records import Record

HIT = "window.hit=1"
# One per arm, all answers to prompt q000: each would set window.hit where a page took it for markup.
PLANTED = (
    f"<script>{HIT}</script>",
    f"\x1b[31mred [bold]x[/bold] \u202etfel\u202c\u2028</script><script>{HIT}</script>",
    f'<img src=x onerror="{HIT}">',
    f'--><svg onload="{HIT}"><iframe src="javascript:{HIT}"></iframe>]]>',
)
SAID = f'I prefer the first answer. <b onmouseover="{HIT}">'


def write_words(folder: Path, rows: Sequence[Record], arms: Sequence[str], rename: Mapping[str, str]) -> None:
    """Write the responses, verdicts and claims that belong to the records."""
    cells = {(row.prompt, row.kind, row.method, row.run, row.draw): row.task for row in rows if row.versus is None}
    names = [rename.get(arm, arm) for arm in arms]
    responses, claims = [], []
    for (prompt, kind, method, run, draw), task in cells.items():
        text = written(int(prompt[1:]), names.index(method), run)
        chat = chat_text((Message(role="user", content=question(int(prompt[1:]))),))
        cell = {"task": task, "prompt": prompt, "method": method, "run": run, "draw": draw}
        finish = "end" if text else "length"
        responses.append({**cell, "kind": kind, "chat": chat, "text": text, "finish": finish})
        if prompt == "q011" and text:
            one = {"index": 0, "text": "In the north", "start": 0, "end": 12, "label": "supported", "evidence": ""}
            two = {"index": 1, "text": "in 1900", "start": 14, "end": 21, "label": "not_supported"}
            claims += [{**cell, **one}, {**cell, **two, "evidence": "the record says 1911"}]
    verdicts = [
        {**row.model_dump(include=set(VERDICTS_SCHEMA.names)), "judge": row.source, "text": SAID}
        for row in rows
        if row.versus is not None
    ]
    RESPONSES.write(pa.Table.from_pylist(responses, schema=RESPONSES_SCHEMA), folder)
    VERDICTS.write(pa.Table.from_pylist(verdicts, schema=VERDICTS_SCHEMA), folder)
    CLAIMS.write(pa.Table.from_pylist(claims, schema=CLAIMS_SCHEMA), folder)


def question(number: int) -> str:
    """The prompt of that number; q001 tries to end the script that carries it."""
    return f"</script><script>{HIT}</script>" if number == 1 else f"Where was person {number} born?"


def written(number: int, place: int, run: int) -> str:
    """What the arm at that place answers."""
    if number == 0:
        return PLANTED[place]
    if number == 11:
        return "In the north, in 1900." if place else ""
    if number == 12:
        return "Nobody knows."
    return f"Person {number} was born in {('Rome', 'Oslo', 'Lima', 'Lima')[place]}, I think, in {1900 + run}."
