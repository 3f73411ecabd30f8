"""Prompts in the terminal: one with its responses side by side, or a list to choose from."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bench.report.samples.prompt_view import Ballot, PromptView, ResponseScore, ResponseView
from bench.report.samples.sample import score_text
from bench.report.terminal.clean import clean
from bench.report.terminal.differences import only_in
from bench.results.wording import NONE, counted, describe_metric, number

NARROWEST = 36
DIFFERS = "bold underline"
# By the label of a claim; every label is also written out.
CLAIM_STYLES = {"supported": "blue", "not_supported": "dark_orange"}
LISTED = 40


def show_prompt(view: PromptView, width: int, reference: str) -> RenderableType:
    """Return one prompt: its turns, the methods' answers side by side per seed and draw, then the judges' verdicts.

    ``width`` is the terminal's; answers stand below each other where a column would be narrower than 36 characters.
    Words that the answer of ``reference`` has not are underlined.
    """
    turns = [Text(clean(text if role == "user" else f"{role}: {text}")) for role, text in view.chat]
    title = Text(clean(f"{view.task}: {view.prompt} ({view.kind})"))
    parts: list[RenderableType] = [Panel(Group(*turns), title=title, title_align="left")]
    for seed, draw in sorted({(response.seed, response.draw) for response in view.responses}):
        answers = [response for response in view.responses if (response.seed, response.draw) == (seed, draw)]
        first = next((response.text for response in answers if response.method == reference), None)
        across = max(1, min(len(answers), width // NARROWEST))
        grid = Table.grid(expand=True)
        for _ in range(across):
            grid.add_column(ratio=1)
        for start in range(0, len(answers), across):
            grid.add_row(*(_answer(response, first) for response in answers[start : start + across]))
        parts += [Text(f"seed {seed}, draw {draw}", style="bold"), grid]
        if first is not None and len(answers) > 1:
            parts.append(Text(f"underlined: not in the answer of {clean(reference)}", style="dim"))
    return Group(*parts, _verdict_table(view))


def list_prompts(views: Sequence[PromptView]) -> RenderableType:
    """Return one line per prompt: its id, kind and text, and whom the judges prefer; the first 40 of them."""
    table = Table(box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("id", overflow="fold")
    table.add_column("kind")
    table.add_column("prompt", ratio=1)
    table.add_column("judges prefer")
    for view in views[:LISTED]:
        prefer = dict.fromkeys(_preferred(cell, value) for cell, value in view.preferences().items() if value != 0.5)
        text = " ".join(view.chat[-1][1].split())
        table.add_row(*(Text(clean(part)) for part in (view.prompt, view.kind, text, ", ".join(prefer))))
    count = counted(len(views), "prompt")
    more = f", the first {LISTED} shown" if len(views) > LISTED else ""
    return Group(Text(f"{count}{more}; show one by its id"), table)


def _preferred(cell: tuple[str, str, str, int, int], value: float) -> str:
    """Return ``dpo > sft`` for a preference over a pair."""
    _, method, versus, _, _ = cell
    return f"{method} > {versus}" if value > 0.5 else f"{versus} > {method}"


def _answer(response: ResponseView, first: str | None) -> Panel:
    """Return one answer in a frame, with its claims and scores below it."""
    text = Text(clean(response.text) or "(empty)", style="" if response.text.strip() else "dim")
    if first is not None:
        for start, end in only_in(response.text, first):
            text.stylize(DIFFERS, start, end)
    for claim in response.claims:
        if claim.start is not None and claim.end is not None:
            text.stylize(CLAIM_STYLES.get(claim.label, "dim"), claim.start, claim.end)
    if response.finish != "end":
        text.append(f" [cut off: {response.finish}]", style="dim")
    for claim in response.claims:
        text.append(f"\n{claim.label.replace('_', ' ')}: ", style=CLAIM_STYLES.get(claim.label, "dim"))
        text.append(clean(claim.text))
        if claim.evidence:
            text.append(f" ({clean(claim.evidence)})", style="dim")
    scores = ", ".join(f"{_score_name(score)} {score_text(score.value)}" for score in response.scores)
    if scores:
        text.append(f"\n\n{clean(scores)}", style="dim")
    for score in response.scores:
        if score.text:
            text.append(f"\n{clean(score.judge or NONE)}: {clean(score.text)}", style="dim")
    return Panel(text, title=Text(clean(response.method), style="bold"), title_align="left", padding=(0, 1))


def _score_name(score: ResponseScore) -> str:
    """Return a score's metric as words, with the judge that gave it."""
    words = describe_metric(score.metric)
    return words if score.judge is None else f"{words} by {score.judge}"


def _verdict_table(view: PromptView) -> RenderableType:
    """Return the judges' verdicts, one line per judge, pair, seed and draw, both orders beside each other."""
    if not view.ballots:
        return Text("no judge compared answers to this prompt", style="dim")
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("judge", "pair", "seed", "draw", "shown first", "shown second", "says"):
        table.add_column(title)
    cells: dict[tuple[str, str, str, int, int], list[Ballot]] = {}
    for item in view.ballots:
        cells.setdefault((item.judge, item.method, item.versus, item.seed, item.draw), []).append(item)
    means = view.preferences()
    for cell, items in sorted(cells.items()):
        judge, method, versus, seed, draw = cell
        by_order = {item.order: item for item in items}
        table.add_row(
            Text(clean(judge)),
            Text(clean(f"{method} vs {versus}")),
            str(seed),
            str(draw),
            _preference(by_order.get("first")),
            _preference(by_order.get("second")),
            Text(clean(_winner(method, versus, means.get(cell)))),
        )
    return table


def _preference(item: Ballot | None) -> Text:
    """Return the preference for the first-named method in one order, or why there is none, and the judge's words."""
    if item is None:
        return Text(NONE)
    text = Text(item.status if item.value is None else number(item.value, 2))
    if item.text:
        text.append(f"\n{clean(item.text)}", style="dim")
    return text


def _winner(method: str, versus: str, mean: float | None) -> str:
    """Return whom the mean of the orders prefers."""
    if mean is None:
        return "no usable verdict"
    if mean == 0.5:
        return "tie"
    return method if mean > 0.5 else versus
