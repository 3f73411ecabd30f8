"""Documents with a split for examples, long ones among them."""

from __future__ import annotations

from typing import Any


def one(number: int, filler: str = "") -> dict[str, Any]:
    words = ["red cat", "blue dog", "green tea"]
    return {
        "question": f"{filler}Who saw story {number}?",
        "choices": [f"the {words[(number + place) % 3]}." for place in range(3)],
        "answer": number % 3,
        "target": f"the {words[number % 3]}.",
    }


def rows(**_settings: Any) -> dict[str, Any]:
    import datasets

    examples = [one(number) for number in range(100, 106)] + [one(1)]
    return {
        "examples": datasets.Dataset.from_list(examples),
        "test": datasets.Dataset.from_list([one(number) for number in range(3)]),
    }


def long_rows(**_settings: Any) -> dict[str, Any]:
    import datasets

    endless = {**one(1), "choices": ["the cat " * 100 + ".", "a.", "b."]}
    return {"test": datasets.Dataset.from_list([one(0), endless, one(2, "a long tale " * 40)])}
