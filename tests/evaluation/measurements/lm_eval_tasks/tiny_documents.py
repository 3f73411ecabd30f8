"""Six documents, of which two are the same."""

from __future__ import annotations

from typing import Any

ROWS: list[dict[str, Any]] = [
    {"question": "ask one?", "choices": ["red.", "green tea.", "a cat."], "answer": 0},
    {"question": "ask two?", "choices": ["so.", "green tea.", "blue sky."], "answer": 1},
    {"question": "say three?", "choices": ["red.", "no.", "yes no."], "answer": 1},
    {"question": "say four?", "choices": ["one.", "two.", "three."], "answer": 0},
    {"question": "tell five?", "choices": ["pink.", "a.", "none."], "answer": 1},
    {"question": "tell five?", "choices": ["pink.", "a.", "none."], "answer": 1},
]


def rows(**_settings: Any) -> dict[str, Any]:
    import datasets

    return {"test": datasets.Dataset.from_list(ROWS)}
