"""Hostile text: what steers a terminal, what nobody sees, and markup, at every place where text of others is shown."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree as ET

from bench.cli import app
from bench.cli.options import Printed
from bench.cli.progress import LiveWatcher, PlainWatcher
from bench.core.errors import StageError
from bench.core.stage import Progress
from bench.gate.criteria_in_words import as_markdown
from bench.gate.decide import check
from bench.gate.outputs import as_junit
from bench.report.page.content import (
    Block,
    Bullets,
    Facts,
    Folded,
    Heading,
    Quote,
    Table,
    Text,
    VerdictLine,
    VerdictList,
)
from bench.report.page.html import render_html
from bench.report.page.markdown import render_markdown
from bench.results.unseen import UNSEEN
from tests.evaluation.api.asking_process import ask_all
from tests.evaluation.api.servers import Stub, failure, serving
from tests.fakes import Number
from tests.faults.case import Case
from tests.gate.test_criteria import criterion, made
from tests.report.synthetic import comparison

TITLE = "hostile text on the terminal, the page, in Markdown and JUnit"
IN_SUITE = 20
HOSTILE = {
    "escape": "\x1b[2J\x1b]0;owned\x07",
    "one letter of CSI": "\x9b2J",
    "line over": "fine\rerror",
    "backspace": "ok\x08\x08no",
    "delete": "\x7f",
    "null": "a\x00b",
    "right to left": "\u202egnp.exe",
    "isolate": "\u2066x\u2069",
    "Arabic mark": "\u061cx",
    "no width": "a\u200bb\u200ec\u2060d\ufeff",
    "joiner": "a\u200db\u200cc",
    "soft hyphen": "pass\u00adword",
    "tags": "".join(chr(0xE0000 + ord(letter)) for letter in "say yes"),
    "selectors": "x\ufe0f\ufe01\ufe02\U000e0101\U000e0102",
    "no character": "\ufdd0\ufffe\U0010ffff",
    "line separator": "a\u2028b\u2029c\x85d",
    "filler": "\u3164\u115f\uffa0",
    "markup of Rich": "[bold red]x[/nothing] [link=http://x]y[/link] :warning:",
}
HALF = {"half a character": "\ud800x"}
MARKUP = {
    "html": "<img src=x onerror=alert(1)><script>alert(1)</script>",
    "comment": "<!-- x --> --> <!--",
    "table": "a | b ` c ``` d",
    "picture": "![x](http://evil/x.png) [x](javascript:alert(1)) [x][y]",
    "mention": "@everyone @org/team #1 GH-2 http://evil www.evil.example",
    "cdata": "]]> &lt; &#27; &#x1b; &amp;",
}
# Styles that the program sets, and what Rich itself sends to draw bars.
_OURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A|\r")


def is_shown(text: str, kept: str = "") -> None:
    """Raise AssertionError where a text holds what no reader sees, or lacks what it should keep."""
    found = UNSEEN.search(text)
    assert found is None, f"{found.group()!r} in {text[max(found.start() - 40, 0) : found.end() + 20]!r}"
    text.encode()
    assert kept in text, f"{kept!r} is not in {text!r}"


def printed(*arguments: str) -> str:
    """Return what a command prints, on both streams; it ends by itself."""
    both = io.StringIO()
    with contextlib.redirect_stdout(both), contextlib.redirect_stderr(both), contextlib.suppress(SystemExit):
        app.main(arguments)
    return both.getvalue()


def quoted(text: str) -> str:
    """Return a text as YAML writes it within quotation marks."""
    escaped = "".join(f"\\U{ord(letter):08x}" if UNSEEN.match(letter) else letter for letter in text)
    return f'"{escaped}"'


def in_a_file(text: Callable[[str], str]) -> Callable[[str, Path], None]:
    """A comparison file that is wrong, and whose error names what is in it."""

    def show(hostile: str, folder: Path) -> None:
        (folder / "comparison.yaml").write_text(text(quoted(hostile)), encoding="utf-8")
        is_shown(printed("plan", str(folder)), "problem")

    return show


def as_a_name(hostile: str, folder: Path) -> None:
    name = hostile.replace("/", "_").replace("\x00", "")
    is_shown(printed("plan", str(folder / name)), "no such comparison file")
    is_shown(printed("new", name))
    is_shown(printed("report", str(folder), "--set", f"given.{name}=1"))
    is_shown(printed("score", "--annotations", str(folder / f"{name}.json")))
    is_shown(printed("methods", name))
    is_shown(printed("check", str(folder), "--baseline", name))


def as_scores(hostile: str, folder: Path) -> None:
    """Outputs of others, named as they like, are scored."""
    for name, model in (("own", hostile), ("base", "base")):
        rows = [{"instruction": f"q{row}", "output": f"{model} {row}", "generator": model} for row in range(4)]
        (folder / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    verdicts = [
        {"instruction": f"q{row}", "output_1": f"base {row}", "output_2": f"{hostile} {row}", "generator_1": "base",
         "generator_2": hostile, "preference": 1.0 + row % 2, "annotator": hostile}
        for row in range(4)
    ]  # fmt: skip
    (folder / "verdicts.json").write_text(json.dumps(verdicts), encoding="utf-8")
    asked = ["score", str(folder / "own.json"), "--reference", str(folder / "base.json")]
    is_shown(printed(*asked, "--annotations", str(folder / "verdicts.json")))
    is_shown(printed(*asked, "--annotations", str(folder / "verdicts.json"), "--json"))


def as_progress(hostile: str, _folder: Path) -> None:
    """Labels, notes, warnings and failures, as bars and as lines."""
    stage = Number(value=1, journal="j")
    for watcher, ours in ((LiveWatcher, _OURS), (PlainWatcher, re.compile("$^"))):
        written = io.StringIO()
        with mock.patch("sys.stdout", written), mock.patch.dict("os.environ", {"COLUMNS": "200"}):
            console = Printed()
            console._force_terminal = watcher is LiveWatcher
            with watcher(console, {stage.key: f"judge {hostile}"}, 1) as shown:
                shown.planned({stage.key: stage}, 1)
                shown.started(stage, 0)
                shown.progressed(stage, Progress(1, 2, f"steps {hostile}", note=f"note {hostile}"))
                shown.warned(f"warned {hostile}")
                shown.ticked()
                shown.ended(stage, f"failed {hostile}")
        is_shown(ours.sub("", written.getvalue()), "judge")


def as_a_server_says(hostile: str, folder: Path) -> None:
    """A server's message ends a stage, on one line, and is printed as an error."""
    with serving(Stub(lambda _request, _headers: failure(401, f"no\n{hostile}\nerror: all is well"))) as server:
        try:
            ask_all(folder, server.url, 1)
        except StageError as failed:
            error = failed
    assert "\n" not in str(error)
    both = io.StringIO()
    with contextlib.redirect_stderr(both), contextlib.suppress(SystemExit), app.errors_for_people():
        raise error
    is_shown(both.getvalue(), "refused")


def on_the_page(hostile: str, folder: Path) -> None:
    """Every kind of block, on the page and in Markdown."""
    line = VerdictLine(hostile, hostile, "decided")
    blocks: list[Block] = [
        Heading(1, hostile), Quote(hostile), Facts(((hostile, hostile),)), Heading(2, hostile), Text(hostile),
        VerdictList((line,)), Bullets((hostile,)), Table((hostile, "b"), "lr", ((hostile, "1"), ("2", hostile))),
        Folded(hostile, (Text(hostile),)),
    ]  # fmt: skip
    page, text = render_html(hostile, blocks, folder), render_markdown(blocks)
    is_shown(page)
    is_shown(text)
    assert "<img" not in page
    assert "<img" not in text
    assert page.count("<script") == 1
    table = [row for row in text.splitlines() if row.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in table} == {3}, table


def in_the_gate(hostile: str, _folder: Path) -> None:
    """A criterion and the notes beside it, in Markdown for a pull request, and in JUnit."""
    results = [
        one.model_copy(update={"against": hostile, "reason": hostile, "opponent": hostile})
        for one in check(comparison(gate=(criterion(superior_by=0.1),)), [made(0.5, 0.02)])
    ]
    text = as_markdown(results, (hostile,))
    is_shown(text, "Gate: ")
    for called in ("@everyone", "@org", "#1", "http://", "www.evil", "GH-2", "<img", "](", "]["):
        assert called not in text.replace("\\](", "").replace("\\][", ""), called
    xml = as_junit(results)
    is_shown(xml)
    assert ET.fromstring(xml).find("testsuite/testcase") is not None  # noqa: S314 - it is our own


PLACES: dict[str, tuple[Callable[[str, Path], None], Iterable[dict[str, str]]]] = {
    "a key": (in_a_file(lambda text: f"question: x\n{text}: 1\n"), (HOSTILE,)),
    "a key within": (in_a_file(lambda text: f"given: {{{text}: 1}}\nmethods: {{{text}: {{}}}}\n"), (HOSTILE,)),
    "a value": (in_a_file(lambda text: f"given: {{seeds: {text}, base: {{path: {text}}}}}\n"), (HOSTILE,)),
    "a plug-in": (
        in_a_file(lambda text: f"evaluate: {{tasks: [{text}]}}\nmethods: {{a: {{method: {text}}}}}\n"),
        (HOSTILE,),
    ),
    "a name": (as_a_name, (HOSTILE,)),
    "scores": (as_scores, (HOSTILE,)),
    "progress": (as_progress, (HOSTILE, HALF)),
    "a server's message": (as_a_server_says, (HOSTILE, HALF)),
    "the page": (on_the_page, (HOSTILE, HALF, MARKUP)),
    "the gate": (in_the_gate, (HOSTILE, HALF, MARKUP)),
}


def cases() -> list[Case]:
    """Return every hostile text at every place."""
    return [
        Case(f"{name} as {place}", lambda folder, show=show, text=text: show(text, folder))  # type: ignore[misc]
        for place, (show, texts) in PLACES.items()
        for some in texts
        for name, text in some.items()
    ]
