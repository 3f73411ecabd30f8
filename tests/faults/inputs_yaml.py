"""Comparison files, overrides and names on the command line that nobody can use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.faults._inputs import CHARACTERS, COMPARISON, comparison, planning, refused, warm_up
from tests.faults.case import Case

TITLE = "comparison files, overrides and names that cannot be used"
IN_SUITE = 10

DEEP = 100_000
LINE = "  seeds: [0]"


def cases() -> list[Case]:
    """Return the cases."""
    return [
        *(
            planning(f"yaml: {name}", _text(text), most=2 * CHARACTERS if name in TEN else CHARACTERS)
            for name, text in TEXTS.items()
        ),
        *(planning(f"given: {name}", _given(line)) for name, line in GIVEN.items()),
        *(planning(f"bytes: {name}", _bytes(content)) for name, content in BYTES.items()),
        *(planning(f"file: {name}", make) for name, make in FILES.items()),
        *(_override(name, override) for name, override in OVERRIDES.items()),
        *(_new(name, argument) for name, argument in NAMES.items()),
        *(_path(name, argument) for name, argument in PATHS.items()),
    ]


def _aliases(levels: int, width: int) -> str:
    lines = ["a0: &a0 [x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n" + COMPARISON


def _merges(levels: int, width: int) -> str:
    lines = ["m0: &m0 {" + ", ".join(f"k{n}: 0" for n in range(width)) + "}"]
    lines += [f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}], j{n}: *m{n - 1}}}" for n in range(1, levels)]
    return "\n".join(lines) + "\n" + COMPARISON


TEXTS: dict[str, str] = {
    "nothing": "",
    "spaces": "  \n \n",
    "a number": "3",
    "a text": "hello",
    "null": "null",
    "a list": "- a\n- b\n",
    "two documents": COMPARISON + "---\n" + COMPARISON,
    "open bracket": COMPARISON + "x: [\n",
    "open quote": COMPARISON + "x: 'a\n",
    "a tab": "question: a\n\tgiven: b\n",
    "deep brackets": COMPARISON + "x: " + "[" * DEEP,
    "deep closed brackets": COMPARISON + "x: " + "[" * DEEP + "]" * DEEP,
    "deep braces": COMPARISON + "x: " + "{a: " * DEEP,
    "deep quoted braces": COMPARISON + "x: " + '{"a": ' * DEEP,
    "deep dashes": "- " * DEEP + "x\n",
    "deep indents": "".join(" " * n + "a:\n" for n in range(700)),
    "deep by a little": COMPARISON + "x: " + "[" * 150 + "]" * 150 + "\n",
    "deep question": COMPARISON.replace("Is what is handed over refused in a line?", "[" * 90 + "]" * 90),
    "deep arms": COMPARISON.replace("sft: {}", "sft: " + "{a: " * 200 + "1" + "}" * 200),
    "deep keys": COMPARISON + "? " * 3000 + "x\n",
    "aliases of aliases": _aliases(9, 9),
    "aliases within the bound": _aliases(5, 9),
    "merges of merges": _merges(12, 40),
    "wide merge": _merges(2, 9000),
    "alias of itself": COMPARISON + "x: &a [*a]\n",
    "alias of nothing": COMPARISON + "x: *nowhere\n",
    "anchors without end": COMPARISON + "x: " + "&a " * 5000 + "1\n",
    "python tag": COMPARISON + "x: !!python/object/apply:os.system ['true']\n",
    "binary tag": COMPARISON + "x: !!binary aGVsbG8=\n",
    "unknown tag": COMPARISON + "x: !mine 3\n",
    "long tag": COMPARISON + "x: !" + "t" * 90_000 + " 3\n",
    "a key twice": COMPARISON + "question: again\n",
    "a key of a list": COMPARISON + "? [a, b]\n: 1\n",
    "a key of a number": COMPARISON + "1: 2\n",
    "a long key": COMPARISON + "k" * 900 + ": 1\n",
    "a longer key": COMPARISON + "? " + "k" * 200_000 + "\n: 1\n",
    "unknown keys, 90,000": COMPARISON + "".join(f"k{n}: {n}\n" for n in range(90_000)),
    "unknown keys, 9,000": COMPARISON + "".join(f"k{n}: {n}\n" for n in range(9_000)),
    "unknown keys near": COMPARISON + "".join(f"questio{n}: {n}\n" for n in range(3_000)),
    "unknown keys in a mapping": COMPARISON.replace(LINE, LINE + "".join(f"\n  k{n}: 0" for n in range(3_000))),
    "unknown arms": COMPARISON.replace("  sft: {}", "".join(f"  sf{n}: {{}}\n" for n in range(3_000))),
    "unknown fields": COMPARISON.replace("sft: {}", "sft: {" + ", ".join(f"f{n}: 1" for n in range(3_000)) + "}"),
    "unknown judges": COMPARISON.replace("[gold]", "[" + ", ".join(f"gol{n}" for n in range(3_000)) + "]"),
    "contrasts of nobody": COMPARISON + "  contrasts: [" + ", ".join(["[a, b]"] * 2_000) + "]\n",
    "many seeds": COMPARISON.replace("[0]", "[" + ", ".join(["x"] * 9_000) + "]"),
    "seeds twice": COMPARISON.replace("[0]", "[" + ", ".join(["7"] * 9_000) + "]"),
    "10 MB scalar": COMPARISON + "x: " + "a" * 10_000_000 + "\n",
    "10 MB quoted": COMPARISON + 'x: "' + "a" * 10_000_000 + '"\n',
    "10 MB block": COMPARISON + "x: |\n" + ("  " + "a" * 98 + "\n") * 100_000,
    "10 MB comment": COMPARISON + "# " + "a" * 10_000_000 + "\n",
    "10 MB lines": COMPARISON + "\n" * 10_000_000,
    "10 MB question": COMPARISON.replace("refused", "refused " + "a" * 10_000_000),
    "200 kB question, no text": COMPARISON.replace("question: ", "question: [") .replace("line?", "a" * 200_000 + "]"),
    "long dots": COMPARISON + "x: " + "1" * 100_000 + "\n",
    "surrogate": COMPARISON.replace("question: ", 'question: "\\ud800 ').replace("line?", 'line?"'),
    "surrogate pair of a key": COMPARISON + '"\\udc80": 1\n',
    "NUL in the question": COMPARISON.replace("question: ", 'question: "\\0 ').replace("line?", 'line?"'),
    "NUL in a key": COMPARISON + '"a\\0b": 1\n',
    "NUL in a path": COMPARISON.replace("rows.jsonl", '"rows\\0.jsonl"'),
    "surrogate in a path": COMPARISON.replace("rows.jsonl", '"rows\\ud800.jsonl"'),
    "surrogate as an arm": COMPARISON.replace("sft:", '"sf\\ud800":'),
    "variable that is not there": COMPARISON.replace("refused", "${NOT_THERE_AT_ALL}"),
    "variable cut off": COMPARISON.replace("refused", "${NOT"),
    "variables in variables": COMPARISON.replace("refused", "${" * 50_000),
    "extends itself": "extends: comparison.yaml\n" + COMPARISON,
    "extends nothing": "extends: nowhere.yaml\n" + COMPARISON,
    "extends a number": "extends: 3\n" + COMPARISON,
    "extends /dev/zero": "extends: /dev/zero\n" + COMPARISON,
    "extends a long path": f"extends: {'x' * 5000}\n" + COMPARISON,
    "extends a long name": f"extends: {'x' * 300}.yaml\n" + COMPARISON,
    "extends NUL": 'extends: "a\\0b"\n' + COMPARISON,
    "data over a long path": COMPARISON.replace("rows.jsonl", "x" * 5000 + ".jsonl"),
    "data over a deep path": COMPARISON.replace("rows.jsonl", "x/" * 3000 + "y.jsonl"),
    "data is /dev/zero": COMPARISON.replace("rows.jsonl", "/dev/zero"),
    "data is a folder": COMPARISON.replace("rows.jsonl", "/tmp"),
    "plug-in over a long path": COMPARISON.replace("sft: {}", f"x: {{method: ./{'x' * 5000}.py}}"),
    "plug-in is /dev": COMPARISON.replace("sft: {}", "x: {method: /dev/null/x.py}"),
    "plug-in with NUL": COMPARISON.replace("sft: {}", 'x: {method: "a\\0b.py"}'),
    "judge over a long path": COMPARISON.replace("gold", f"./{'x' * 5000}.py"),
    "method of dots": COMPARISON.replace("sft: {}", "x: {method: ../../sft}"),
    "method empty": COMPARISON.replace("sft: {}", "x: {method: ''}"),
    "method long": COMPARISON.replace("sft: {}", f"x: {{method: {'s' * 50_000}}}"),
    "task long": COMPARISON.replace("atlas_prompts", "s" * 50_000),
    "world of dots": COMPARISON.replace("world: atlas", "world: a.b.c"),
    "model of /dev": COMPARISON.replace("{world: atlas, size: base}", "{path: /dev}"),
    "model of /dev/zero": COMPARISON.replace("{world: atlas, size: base}", "{path: /dev/zero}"),
    "model over a long path": COMPARISON.replace("{world: atlas, size: base}", f"{{path: {'x' * 5000}}}"),
    "model repo of dots": COMPARISON.replace("{world: atlas, size: base}", "{repo: ../../x, revision: a}"),
}  # fmt: skip

TEN = ("unknown arms", "unknown judges")  # ten problems are shown, each with what is known
GIVEN: dict[str, str] = {
    "seed of 2^63": f"  seeds: [{2**63}]",
    "seed of 2^64": f"  seeds: [{2**64}]",
    "seed of 10^30": f"  seeds: [{10**30}]",
    "seed of 5,000 digits": f"  seeds: [{'9' * 5000}]",
    "seed below 0": "  seeds: [-1]",
    "seed far below 0": f"  seeds: [{-(2**70)}]",
    "seed of 1.5": "  seeds: [1.5]",
    "seed of 1e3": "  seeds: [1e3]",
    "seed of true": "  seeds: [true]",
    "seed of null": "  seeds: [null]",
    "seed of text": "  seeds: ['0']",
    "seed of a list": "  seeds: [[0]]",
    "seeds of a number": "  seeds: 3",
    "no seeds": "  seeds: []",
    "max_length of 10^30": LINE + f"\n  max_length: {10**30}",
    "max_length of 0": LINE + "\n  max_length: 0",
    "max_length of inf": LINE + "\n  max_length: .inf",
    "max_length of 1e999": LINE + "\n  max_length: 1e999",
    "budget of inf": LINE + "\n  budget: {axis: examples, value: .inf}",
    "budget of 1e999": LINE + "\n  budget: {axis: examples, value: 1e999}",
    "budget of nan": LINE + "\n  budget: {axis: examples, value: .nan}",
    "budget of -0.0": LINE + "\n  budget: {axis: examples, value: -0.0}",
    "rank of 10^30": LINE + f"\n  lora: {{rank: {10**30}}}",
    "rank below 0": LINE + "\n  lora: {rank: -1}",
    "alpha of 1e400": LINE + "\n  lora: {alpha: 1e400}",
    "dropout of nan": LINE + "\n  lora: {dropout: .nan}",
    "dtype of text": LINE + "\n  dtype: float99",
    "keep of a list": LINE + "\n  keep: [float32]",
    "labeller of nothing": LINE + "\n  labeller: {}",
    "limit of 10^40": f"  prompts: {{path: rows.jsonl, limit: {10**40}}}\n" + LINE,
    "limit below 0": "  prompts: {path: rows.jsonl, limit: -5}\n" + LINE,
    "columns of columns": "  prompts: {path: rows.jsonl, columns: {prompt: {a: b}}}\n" + LINE,
    "a column of a list": "  prompts: {path: rows.jsonl, columns: {prompt: [a]}}\n" + LINE,
    "a column left out": "  prompts: {path: rows.jsonl, columns: {prompt: null}}\n" + LINE,
    "two columns of one": "  prompts: {path: rows.jsonl, columns: {prompt: nowhere, kind: nowhere}}\n" + LINE,
}

BYTES: dict[str, bytes] = {
    "not UTF-8": b"question: \xff\xfe\n",
    "UTF-16": COMPARISON.encode("utf-16"),
    "UTF-32": COMPARISON.encode("utf-32"),
    "zeros": b"\0" * 4096,
    "zeros, 300 MB": b"",  # made sparse
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20,
    "gzip": b"\x1f\x8b\x08\x00" + b"a" * 100,
    "an escape": COMPARISON.encode() + b"x: \x1b[31m\n",
    "an encoded surrogate": COMPARISON.encode() + b"x: \xed\xa0\x80\n",
    "only a mark": b"\xef\xbb\xbf",
    "carriage returns": COMPARISON.replace("\n", "\r").encode() + b"x: 1\r",
}


def _text(text: str) -> Callable[[Path], Path]:
    return lambda folder: comparison(folder, text)


def _given(line: str) -> Callable[[Path], Path]:
    return lambda folder: comparison(folder, COMPARISON.replace(LINE, line))


def _bytes(content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        place = comparison(folder)
        file = place / "comparison.yaml"
        file.write_bytes(content)
        if not content:
            os.truncate(file, 300 * 10**6)
        return place

    return make


def _at_file(put: Callable[[Path], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        place = comparison(folder)
        file = place / "comparison.yaml"
        file.unlink()
        put(file)
        return place

    return make


def _long_chain(folder: Path) -> Path:
    place = comparison(folder)
    for number in range(3000):
        (place / f"{number}.yaml").write_text(f"extends: {number + 1}.yaml\n", encoding="utf-8")
    (place / "3000.yaml").write_text(COMPARISON, encoding="utf-8")
    return place / "0.yaml"


def _wide_layers(folder: Path) -> Path:
    wide = "x: {" + ", ".join(f"k{n}: {n}" for n in range(4_000)) + "}\n"
    place = comparison(folder, COMPARISON + wide)
    (place / "above.yaml").write_text("extends: comparison.yaml\n" + wide, encoding="utf-8")
    return place / "above.yaml"


FILES: dict[str, Callable[[Path], Path]] = {
    "nothing there": _at_file(lambda file: None),
    "a folder": _at_file(lambda file: file.mkdir()),
    "a link to itself": _at_file(lambda file: file.symlink_to(file)),
    "a link to nothing": _at_file(lambda file: file.symlink_to("nowhere")),
    "a link to /dev/zero": _at_file(lambda file: file.symlink_to("/dev/zero")),
    "a named pipe": _at_file(lambda file: os.mkfifo(file)),
    "a link to /proc/self/mem": _at_file(lambda file: file.symlink_to("/proc/self/mem")),
    "a link to /dev/tty": _at_file(lambda file: file.symlink_to("/dev/tty")),
    "extended 3,000 times": _long_chain,
    "two wide layers": _wide_layers,
}

OVERRIDES: dict[str, str] = {
    "nothing": "",
    "no value": "given.seeds",
    "no key": "=3",
    "only dots": "...=3",
    "deep": "given." + "a." * 50_000 + "b=1",
    "deep by a little": "given." + "a." * 400 + "b=1",
    "deep value": "given.x=" + "[" * DEEP,
    "long value": "question=[" + "a" * 100_000 + "]",
    "long key": "a" * 100_000 + "=1",
    "below a number": "given.seeds.0.x=1",
    "beyond a list": "given.seeds.99=1",
    "index of many digits": "given.seeds." + "9" * 5000 + "=1",
    "index in other digits": "given.seeds.²=1",
    "extends": "extends=x.yaml",
    "surrogate key": "giv\udcffen=1",
    "surrogate value": "question=\udcff",
    "NUL": "given.base.path=a\0b",
    "seed of 2^63": f"given.seeds=[{2**63}]",
    "seed of many digits": f"given.seeds=[{'9' * 5000}]",
    "newline": "given\n.seeds=[0]",
    "not YAML": "given.seeds=[0",
}

NAMES: dict[str, str] = {
    "empty": "",
    "a space": " ",
    "a dot": ".",
    "dots": "..",
    "dots below": "a/..",
    "a slash": "/",
    "slashes": "//",
    "a newline": "a\nb",
    "a tab": "a\tb",
    "an escape": "a\x1b[31mb",
    "NUL": "a\0b",
    "surrogate": "a\udcffb",
    "300 characters": "a" * 300,
    "300 characters below": "x/" + "a" * 300,
    "5,000 characters": "a" * 5000,
    "a long path": "x/" * 3000 + "a",
    "an option": "-a",
    "a quote": "a'b",
    "a percent": "%s",
    "unseen characters": "a\u202eb",
    "in a file": "/dev/null/x",
    "below /proc": "/proc/x",
    "there already": "there",
    "a file there": "file",
    "a link to itself": "loop",
    "below a link to itself": "results/loop/x",
    "below a file": "results/file/x",
}

PATHS: dict[str, str] = {
    "empty": "",
    "long": "x" * 5000,
    "long name": "x" * 300,
    "NUL": "a\0b",
    "surrogate": "a\udcffb",
    "/dev/zero": "/dev/zero",
    "/dev/null": "/dev/null",
    "/proc/self/mem": "/proc/self/mem",
    "dots": "..",
    "newline": "a\nb",
}


def _override(name: str, override: str) -> Case:
    def do(folder: Path) -> None:
        warm_up()
        refused(["plan", str(comparison(folder)), "--set", override])

    return Case(f"--set: {name}", do)


def _new(name: str, argument: str) -> Case:
    def do(folder: Path) -> None:
        warm_up()
        os.chdir(folder)
        results = folder / "results"
        results.mkdir()
        (results / "file").write_text("")
        (results / "loop").symlink_to("loop")
        (results / "there").mkdir()
        (results / "there" / "comparison.yaml").write_text("")
        before = sorted(path.name for path in folder.rglob("*"))
        refused(["new", argument])
        assert sorted(path.name for path in folder.rglob("*")) == before, "accepted: something was written"

    return Case(f"new: {name}", do)


def _path(name: str, argument: str) -> Case:
    def do(folder: Path) -> None:
        warm_up()
        os.chdir(folder)
        refused(["plan", argument])

    return Case(f"plan: {name}", do)
