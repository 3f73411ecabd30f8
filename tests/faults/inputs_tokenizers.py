"""Tokenizers and chat templates that nobody can use; a template is a program that may never end."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.faults._model_folders import Change, _loaded, _planned, _put, _right, _text
from tests.faults.case import Case

TITLE = "tokenizers and chat templates that cannot be used"
IN_SUITE = 4

TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<eos>{% endfor %}"
LOOPS = "{% for i in range(99999) %}{% for j in range(99999) %}{% for k in range(99999) %}"
ENDS = "{% endfor %}{% endfor %}{% endfor %}"


def cases() -> list[Case]:
    """Return the cases: every tokenizer planned, then loaded, and every template planned."""
    templates = {f"template: {name}": _template(text) for name, text in TEMPLATES.items()}
    tokenizers = {f"tokenizer: {name}": change for name, change in TOKENIZERS.items()}
    return [
        *(_planned(name, change) for name, change in {**tokenizers, **templates}.items()),
        *(_loaded(name, change) for name, change in tokenizers.items()),
        _right("with a chat template", _template(TEMPLATE)),
        _right("with a chat template that loops", _template("{% for i in range(500) %}{% endfor %}" + TEMPLATE)),
    ]


def _larger_tokenizer(folder: Path) -> None:
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    vocabulary = content["model"]["vocab"]
    letters = {token: number for token, number in vocabulary.items() if len(token) == 1}
    content["model"]["vocab"] = {
        token: number + 1000 if token in letters else number for token, number in vocabulary.items()
    }
    file.write_text(json.dumps(content))


def _end_beyond(folder: Path) -> None:
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    content["added_tokens"] = [
        *[token for token in content["added_tokens"] if token["content"] != "<eos>"],
        {**content["added_tokens"][0], "content": "<eos>", "id": 5000},
    ]
    content["model"]["vocab"]["<eos>"] = 5000
    file.write_text(json.dumps(content))


def _settings(keys: dict[str, Any]) -> Change:
    def change(folder: Path) -> None:
        file = folder / "tokenizer_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))

    return change


TOKENIZERS: dict[str, Change] = {
    "none": lambda folder: [(folder / name).unlink() for name in ("tokenizer.json", "tokenizer_config.json")],
    "only its settings": lambda folder: (folder / "tokenizer.json").unlink(),
    "empty": _text("tokenizer.json", ""),
    "not JSON": _text("tokenizer.json", "{"),
    "an empty object": _text("tokenizer.json", "{}"),
    "a list": _text("tokenizer.json", "[]"),
    "deep": _text("tokenizer.json", "[" * 100_000),
    "settings not JSON": _text("tokenizer_config.json", "{"),
    "settings of a list": _text("tokenizer_config.json", "[]"),
    "settings deep": _text("tokenizer_config.json", "[" * 100_000),
    "a class of a number": _settings({"tokenizer_class": 3}),
    "larger than the model": _larger_tokenizer,
    "its end beyond the model": _end_beyond,
    "no end": _settings({"eos_token": None}),
    "a folder": _put("tokenizer.json", Path.mkdir),
    "a pipe": _put("tokenizer.json", os.mkfifo),
    "special tokens of lists": _settings({"eos_token": [1, 2]}),
}


def _template(text: Any) -> Change:
    def change(folder: Path) -> None:
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        _settings({"chat_template": text})(folder)

    return change


TEMPLATES: dict[str, Any] = {
    "raises": "{{ raise_exception('no such role') }}",
    "raises long": "{{ raise_exception('x' * 100000) }}",
    "not closed": "{% for m in messages %}",
    "unknown tag": "{% nonesuch %}",
    "unknown filter": "{{ messages | nonesuch }}",
    "divides by 0": "{{ 1 / 0 }}",
    "of a number": "{{ messages + 1 }}",
    "undefined": "{{ nonesuch.a.b }}",
    "unsafe": "{{ messages.__class__.__mro__ }}{{ ''.__class__.__bases__[0].__subclasses__() }}",
    "a range too far": "{% for i in range(10**9) %}x{% endfor %}",
    "loops in loops": LOOPS + ENDS + TEMPLATE,
    "loops in loops that write": LOOPS + "x" + ENDS + TEMPLATE,
    "loops behind an if": "{% if messages %}" + LOOPS + ENDS + "{% endif %}",
    "loops for a system turn": "{% if messages[0].role == 'user' %}" + LOOPS + ENDS + "{% endif %}" + TEMPLATE,
    "a text of 10^9": "{{ 'a' * 10**9 }}",
    "a text of 10^12": "{{ 'a' * 10**12 }}",
    "a list of 10^10": "{{ ([0] * 10**10) | length }}",
    "a power": "{{ 10 ** (10 ** 9) }}",
    "a power within": "{% set x = 10 ** (10 ** 9) %}" + TEMPLATE,
    "doubling": "{% set n = namespace(x='a' * 1000) %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubling lists": "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "a wide format": "{{ '%1000000000d' % 3 }}",
    "a wide centre": "{{ 'a' | center(10**10) }}",
    "words without end": "{{ lipsum(n=10**7) }}",
    "calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "calls itself twice": "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "500 MB": "{% for i in range(50000) %}" + "x" * 10_000 + "{% endfor %}",
    "a template of 20 MB": "x" * 20_000_000,
    "deep": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "deep ifs": "{% if 1 %}" * 5000 + "{% endif %}" * 5000,
    "a number": 3,
    "a list": [1],
    "of names": [{"name": "default"}],
}
