"""What README and docs show works: comparison files load, commands parse, links lead somewhere, lists are complete.

What they and the docstrings of the three packages name of the code is there.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml
from safetensors.numpy import save_file

from bench.cli.app import app
from bench.config.load import ROOT_KEYS, load_comparison
from bench.core.frozen import digest_of_file
from bench.evaluation.judges._prompt_file import read_prompt
from tests import stage_lock
from tests.cli.test_cli import bench

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
# What these name may be gone.
OF_THE_PAST = {"CHANGELOG.md", "trips.md"}
DOCUMENTS = [*TEXTS, *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = r"^( *)```(\w*)\n(.*?)^\1```"
COMMAND: Any = typer.main.get_command(app)  # of click, or of the copy of it that newer versions of typer hold
# What a part of a comparison file is shown without.
AROUND = """\
question: Is this right?
given:
  base: {world: atlas, size: base}
  small: {world: atlas, size: small}
  demonstrations: {world: atlas, split: demonstrations}
  preferences: {world: atlas, split: preferences}
  prompts: {world: atlas, split: train_prompts}
  labeller: {judge: likelihood, policy: {world: atlas, size: labeller}, prompt: atlas}
  seeds: [0, 1]
methods:
  base: {}
  sft: {}
  dpo: {}
  verbose: {method: best_of_n, reward: ./reward.py}
  concise: {method: best_of_n, n: 2, reward: ./reward.py}
evaluate:
  tasks: [atlas_prompts]
  win_rate: {judges: [gold], versus: sft}
"""
ROWS: dict[str, dict[str, Any]] = {
    "chats.jsonl": {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    "ultrafeedback.jsonl": {
        "instruction": "a",
        "completions": [{"response": text, "overall_score": score} for text, score in (("b", 8.0), ("c", 2.0))],
    },
    "questions.jsonl": {"question": "a", "answer": "b"},
    "data/sft.jsonl": {"prompt": "a", "answer": "b"},
    "data/pairs.jsonl": {"prompt": "a", "chosen": "b", "rejected": "c"},
    "data/test_prompts.jsonl": {"prompt": "a"},
    "data/pages.jsonl": {"title": "Ana", "text": "Ana is a baker."},
    "pages.jsonl": {"title": "Ana", "text": "Ana is a baker."},
    "people.jsonl": {"prompt": "Who is Ana?"},
    "prompts.jsonl": {"prompt": "a"},
}
MODELS = (
    "base", "my_sft", "small-chat", "a_labeller", "Llama-2-70b-hf", "Llama-2-7b-hf", "Llama-2-7b-chat-hf"
)  # fmt: skip
REWARD = "def reward(prompt: object, response: str) -> float:\n    return float(len(response))\n"


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    document: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks() -> Iterator[Block]:
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for found in re.finditer(FENCED, text, re.DOTALL | re.MULTILINE):
            line = text[: found.start()].count("\n") + 1
            yield Block(document, line, found[2], textwrap.dedent(found[3]))


def parsed(block: Block) -> Any:
    """Return what a block says; the supervised start that examples share is an anchor."""
    start = "" if "&sft" in block.text else "_start: &sft {lr: 1.0e-3}\n"
    value = yaml.safe_load(start + block.text)
    value.pop("_start", None)
    return value


def is_prompt_file(value: dict[str, Any]) -> bool:
    return bool({"compare", "rate"} & set(value))


YAML = [(block, parsed(block)) for block in blocks() if block.language == "yaml"]
# Jobs of a code host are not ours; their commands are read below.
OURS = [(block, value) for block, value in YAML if not {"jobs", "alignment"} & set(value)]


def whole(value: dict[str, Any]) -> dict[str, Any]:
    """Return a comparison with a part of one in it, where that part belongs; a whole one as it is."""
    around = yaml.safe_load(AROUND)
    if set(value) == {"labeller"}:
        value = {"given": value}
    elif set(value) == {"length_control"}:
        value = {"evaluate": {"win_rate": {**around["evaluate"]["win_rate"], **value}}}
    elif set(value) == {"factuality"}:
        value = {"evaluate": value}
    elif not set(value) <= set(ROOT_KEYS):
        value = {"methods": value}
    if {"question", "given", "methods", "evaluate"} <= set(value):
        return value
    return {**around, **{key: fitted(key, around, part) for key, part in value.items()}}


def fitted(key: str, around: dict[str, Any], part: Any) -> Any:
    return {**around[key], **part} if key in ("given", "methods", "evaluate") else part


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A comparison's folder with every file that the examples name."""
    for name, row in ROWS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(row) + "\n", encoding="utf-8")
    for name in ("mine", "nli"):
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"id2label": {"0": "entailment", "1": "other"}}))
        save_file({"weight": np.zeros(2, np.float32)}, folder / "model.safetensors")
    for name in MODELS:
        folder = tmp_path / "models" / name
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
        save_file({"weight": np.zeros(2, np.float32)}, folder / "model.safetensors")
    rating = tmp_path / "models" / "a_reward_model"
    rating.mkdir()
    config = {"architectures": ["LlamaForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
    (rating / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file({"score.weight": np.zeros((1, 2), np.float32)}, rating / "model.safetensors")
    (tmp_path / "reward.py").write_text(REWARD, encoding="utf-8")
    (tmp_path / "vader_lexicon.txt").write_text("good\t2.0\n", encoding="utf-8")
    (tmp_path / "lm_eval").mkdir()
    (tmp_path / "lm_eval" / "mine.yaml").write_text("task: mine\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("block", "value"), [pytest.param(*item, id=str(item[0])) for item in OURS if not is_prompt_file(item[1])]
)
def test_a_comparison_that_is_shown_loads(block: Block, value: dict[str, Any], place: Path) -> None:
    (place / "comparison.yaml").write_text(yaml.safe_dump(whole(value), sort_keys=False), encoding="utf-8")
    assert load_comparison(place).arms, block


@pytest.mark.parametrize(
    ("block", "value"), [pytest.param(*item, id=str(item[0])) for item in OURS if is_prompt_file(item[1])]
)
def test_a_prompt_file_that_is_shown_is_one(block: Block, value: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(block.text, encoding="utf-8")
    assert read_prompt(file, digest_of_file(file))


def commands() -> Iterator[tuple[str, str]]:
    """Yield every command of this program that stands in a block or in a sentence, with where it stands."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8").replace("\\\n", " ")
        for number, line in enumerate(text.splitlines(), 1):
            found = re.match(r" {4,}(?:- )?(?:run: )?(bench [a-z].*)", line)
            within = re.findall(r"`(bench [a-z][^`]*results/[^`]*)`", line)  # with a path, so meant to be typed
            for command in [found[1]] if found else within:
                yield f"{document.relative_to(ROOT)}:{number}", command


@pytest.mark.parametrize("line", [pytest.param(line, id=where) for where, line in commands()])
def test_a_command_that_is_shown_is_understood(line: str) -> None:
    name, *words = shlex.split(line, comments=True)
    command, context = COMMAND, COMMAND.context_class(COMMAND, info_name=name)
    while hasattr(command, "commands"):
        name, command, words = command.resolve_command(context, words)
        context = command.context_class(command, info_name=name, parent=context)
    assert command.make_context(name, words, parent=context.parent).params


SHOWN = re.findall(r"\[cyan\]bench (show [^\[]+)\[/\]", COMMAND.commands["show"].epilog)


def test_the_help_of_show_has_examples() -> None:
    assert len(SHOWN) == 3


@pytest.mark.parametrize("line", SHOWN)
def test_an_example_of_show_finds_prompts(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = bench(*shlex.split(line))
    assert done.returncode == 0, done.stderr
    assert done.stdout


def as_shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=as_shown)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), f"{document.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}, target


def test_the_index_names_every_document() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for document in (ROOT / "docs").rglob("*.md"):
        name = document.relative_to(ROOT / "docs").as_posix()
        assert name == "README.md" or f"]({name})" in index, name


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Commands")[2].partition("\n## ")[0]
    table = " ".join(line for line in text.splitlines() if line.startswith("|"))
    for name in COMMAND.commands:
        assert re.search(rf"`(bench )?{name}\b", table), name


def test_targets_of_make_that_are_named_exist() -> None:
    there = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"(?:^ {4}|`)make ([a-z]+)", document.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= there, document


def test_the_rooms_are_those_that_are_enforced() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    layers = contracts["importlinter:contract:layers"]["layers"].strip().splitlines()
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    shown = re.search(r"^    notebook\b.*?(?=\n\n)", text, re.DOTALL | re.MULTILINE)
    assert shown is not None
    assert " ".join(shown[0].split()).split(" -> ") == [layer.strip() for layer in layers]


NAMED = (*stage_lock.PACKAGES, "tests")
PACKAGE = rf"(?<![\w./-])(?:{'|'.join(NAMED)})"
# A method that a reader is shown how to write, and what others have.
NOT_OURS = {"methods/my_hinge.py", "README.md", "Random.random"}


@cache
def modules() -> dict[str, ast.Module]:
    """Return every module by its dotted name."""
    files = [path for package in NAMED for path in (ROOT / package).rglob("*.py")]
    return {stage_lock.module_name(path, ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in files}


@cache
def files() -> set[str]:
    return {path.name for package in NAMED for path in (ROOT / package).rglob("*.py")}


@cache
def classes() -> dict[str, list[ast.ClassDef]]:
    found: dict[str, list[ast.ClassDef]] = {}
    for tree in modules().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(node)
    return found


def defined(node: Any) -> set[str]:
    """Return the names that the statements of a module or a class define."""
    return {word for name, _ in stage_lock.named(node) for word in name.split()}


def members(name: str) -> set[str]:
    """Return what the classes of that name have, inherited or not."""
    found: set[str] = set()
    for node in classes().get(name, []):
        found |= defined(node).union(*(members(base.id) for base in node.bases if isinstance(base, ast.Name)))
    return found


def is_in_a_module(dotted: str) -> bool:
    """Tell a module, what one defines or imports, and a member of a class in one."""
    words = dotted.split(".")
    module = next(name for end in range(len(words), 0, -1) if (name := ".".join(words[:end])) in modules())
    rest = words[module.count(".") + 1 :]
    if not rest:
        return True
    tree = modules()[module]
    names = defined(tree) | {local for local, _, _ in stage_lock.imports_of(tree)}
    return rest[0] in names and set(rest[1:]) <= members(rest[0])


def not_there(text: str) -> Iterator[str]:
    """Yield what a text names of the code and is not there: paths, dotted names, files, members of classes."""
    for name in re.findall(rf"{PACKAGE}/[\w/.*-]*", text):
        if not list(ROOT.glob(name.rstrip("./").replace("NAME", "*"))):
            yield name
    for name in re.findall(rf"{PACKAGE}(?:\.[A-Za-z_]\w*)+", text):
        if not is_in_a_module(name):
            yield name
    for name in re.findall(r"`(\w+\.py)`", text):
        if name not in files():
            yield name
    for name, member in re.findall(r"`([A-Z]\w+)\.(\w+)(?:\(\))?`", text):
        if member not in members(name):
            yield f"{name}.{member}"


def without_links_and_output(text: str) -> str:
    """Return a document without its links, which are followed above, and without what a program prints."""
    text = re.sub(FENCED, lambda found: found[0] if found[2] else "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\[[^\]]*\]\([^)]*\)", "", text)


def test_what_is_not_there_is_found() -> None:
    there = "`bench/evaluation`, `methods/NAME.py`, `bench.core.judge.Judge.compare`, `methods.fit`, `Task.claims`"
    assert list(not_there(there)) == []
    gone = "`bench/gating`, `tasks.atlas.Nobody`, `bench.core.judge.Judge.nothing`, `shares.py`, `Descent.step()`"
    assert list(not_there(gone)) == [name.strip("`()") for name in gone.split(", ")]


# The changelog speaks of what was, too.
@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.name not in OF_THE_PAST], ids=as_shown)
def test_the_code_that_a_document_names_is_there(document: Path) -> None:
    found = set(not_there(without_links_and_output(document.read_text(encoding="utf-8"))))
    assert found - NOT_OURS == set()


@pytest.mark.parametrize("package", stage_lock.PACKAGES)
def test_the_code_that_docstrings_name_is_there(package: str) -> None:
    found = set()
    for module in modules():
        for node in ast.walk(modules()[module]) if module.partition(".")[0] == package else ():
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                found |= {(module, name) for name in not_there(ast.get_docstring(node) or "")}
    assert {f"{module}: {name}" for module, name in found if name not in NOT_OURS} == set()
