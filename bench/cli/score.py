"""``bench score``: scores of outputs made elsewhere, as one table with remarks below, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from bench.cli.options import JsonOption, Printed, StoreOption, err, example, write
from bench.core.errors import BenchError

if TYPE_CHECKING:
    from bench.scoring.method_score import Score
    from bench.scoring.score import FilesToScore

commands = typer.Typer()

# Of a table without lines: what stands between two columns.
SPACES = 2
# What tells scores of one method apart, as columns where they differ.
BESIDE = {"judge": "judge", "category": "category", "reference": "against"}
UNLIMITED = 10_000
HEADINGS = {
    "conservative_win_rate": "conservative %",
    "conservative_win_rate_low": "from",
    "conservative_win_rate_high": "to",
    "order_consistency": "orders agree",
    "position_bias_p": "position p",
    "elo_standard_error": "± (Elo)",
    "rank_low": "rank from",
    "rank_high": "rank to",
    "style_controlled_win_rate": "at equal style %",
    "error_rate": "error rate",
    "error_rate_standard_error": "± (error rate)",
    "incorrect_per_response": "wrong per response",
    "respond_rate": "responded",
    "factscore": "FActScore",
    "score_standard_error": "± (score)",
    "first_turn": "first turn",
    "second_turn": "second turn",
}


@commands.command(
    epilog=example(
        "bench score --outputs mine.json --reference gpt4.json --annotations verdicts.json",
        "bench score --annotations verdicts.json --difficulty difficulty.csv --calibration gamed.csv --json",
        "bench score --outputs a.json --outputs b.json --reference r.json --annotations v.json --difficulty estimated",
        "bench score --annotations battles.jsonl --reference gpt-4-0314",
        "bench score --outputs labeled_ChatGPT.jsonl --reference labeled_InstructGPT.jsonl",
        'bench score --outputs mine.json --reference theirs.json --judge "{judge: reward_model, path: my_rm}"',
    )
)
def score(  # noqa: PLR0913, PLR0917 - one parameter per option of the command
    outputs: Annotated[
        list[Path] | None, typer.Option(help="Answers of a method (AlpacaEval), or its labels (FActScore). Repeatable.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="The answers or labels to compare with; for battles the baseline's name.")
    ] = None,
    annotations: Annotated[
        list[Path] | None,
        typer.Option(
            help="Verdicts: AlpacaEval annotations, MT-bench pairs or grades, or Arena-Hard battles. Repeatable."
        ),
    ] = None,
    difficulty: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|estimated", help="CSV of instruction, instruction_difficulty; or learn it from these methods."
        ),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="CSV of tanh_std_delta_len, instruction_difficulty, preference.")
    ] = None,
    preference_scale: Annotated[
        Literal["1-2", "0-1"] | None,
        typer.Option(help="How annotations store a preference: output_1 wins is the first number. AlpacaEval: 1-2."),
    ] = None,
    judges: Annotated[
        Literal["apart", "together"],
        typer.Option(help="Score each judge by itself, or count the votes of a crowd together (battles only)."),
    ] = "apart",
    judge: Annotated[
        list[str] | None,
        typer.Option(help="Judge the outputs here, by a judge's name, a mapping, or a .yaml. Repeatable."),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score outputs and judgements made elsewhere: win rates, raw and at equal length, with standard errors.

    What files are (.json, .jsonl, .csv, packed or not) is told by their columns; all are joined on the instruction's
    text. With --judge the answers are judged here, in both orders, and the same call again asks nothing.
    """
    from bench.scoring import score as scoring

    files = scoring.FilesToScore(
        () if outputs is None else outputs,
        reference,
        () if annotations is None else annotations,
        difficulty,
        calibration,
        preference_scale,
        judges,
    )
    found = asked_scores(judge, files, store) if judge else scoring.score(files)
    if as_json:
        write(json.dumps(scoring.as_data(found), indent=1, allow_nan=False) + "\n")
    else:
        show_scores(found)


def asked_scores(judge: list[str], files: FilesToScore, store: Path | None) -> list[Score]:
    """Return the scores of outputs that are judged now; how far that has come goes to standard error."""
    from bench.config.fields.judges_asked import read_judges_asked
    from bench.engine.store import STORE, Store, chosen_store
    from bench.evaluation.api.spending import name_this_run
    from bench.scoring.ask_judges import Asking, judged_scores

    if files.annotations or files.preference_scale is not None or files.judges == "together":
        raise BenchError("--judge asks for verdicts: leave --annotations, --preference-scale and --judges away.")
    if not files.outputs:
        raise BenchError("nothing to judge: give --outputs FILE and --reference FILE.")
    chosen = chosen_store(store)
    results = Path("results")
    where = Store((results if results.is_dir() else Path()) / STORE if chosen is None else chosen)
    where.prepare()
    name_this_run()

    def told(text: str) -> None:
        err.print(text, markup=False, soft_wrap=True)

    judges = read_judges_asked(judge)
    return judged_scores(
        Asking(files.outputs, files.reference, judges, where, files.difficulty, files.calibration, told)
    )


def show_scores(scores: Sequence[Score]) -> None:
    """Print scores as a table, and below it what was left out and what to beware of."""
    console = Printed()
    table = scores_table(scores)
    # A narrow window wraps the table's lines, which loses nothing; cut columns would be lost.
    narrowest = console.measure(table, options=console.options.update(width=UNLIMITED)).minimum
    console.width = max(console.width, narrowest + SPACES * len(table.columns))
    console.print(table)
    for line in remarks(scores):
        console.print(line, markup=False, soft_wrap=True)


def scores_table(scores: Sequence[Score]) -> Table:
    """Return one line per method."""
    table = Table(box=None, pad_edge=False)
    raw = any(one.win_rate is not None for one in scores)
    controlled = any(one.length_controlled_win_rate is not None for one in scores)
    table.add_column("method", no_wrap=True)
    beside = [name for name in BESIDE if len({getattr(one, name) for one in scores}) > 1]
    for name in beside:
        table.add_column(BESIDE[name], no_wrap=True)
    heads = [*(("win rate %", "±") if raw else ()), *(("at equal length %", "±") if controlled else ())]
    extra = list(dict.fromkeys(name for one in scores for name in one.columns))
    rows = []
    for one in scores:
        cells = [one.win_rate, one.standard_error] if raw else []
        cells += [one.length_controlled_win_rate, one.length_controlled_standard_error] if controlled else []
        shown = [_number(cell, 2) for cell in cells] + [_number(one.details.get(name), 4) for name in extra]
        told = [getattr(one, name) for name in beside]
        words = [one.name, *("all" if value is None else value for value in told)]
        rows.append([*words, *shown, str(one.n), str(one.n_missing)])
    titles = [*heads, *(HEADINGS.get(name, name) for name in extra), "n", "missing"]
    for title, column in zip(titles, list(zip(*rows, strict=True))[1 + len(beside) :], strict=True):
        # Neither a number nor a word of a title is broken.
        widest = max(len(text) for text in [*column, *title.split()])
        table.add_column(escape(title), justify="right", min_width=widest)
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def remarks(scores: Sequence[Score]) -> list[str]:
    """Return lines about the reference, what is missing, warnings, and paired differences."""
    lines: list[str] = []
    against = {one.reference for one in scores if one.reference is not None}
    if against:
        lines.append(f"against {', '.join(sorted(against))}; ± is one standard error")
    choice = {one.details["difficulty"] for one in scores if "difficulty" in one.details}
    if choice:
        used = "with" if any(one.details.get("calibrated") for one in scores) else "without"
        lines.append(f"length control: difficulty {', '.join(sorted(choice))}, {used} calibration rows")
    if any("score_standard_error" in one.details for one in scores):
        lines.append("scores from 0 to 10; ± is one standard error")
    for one in scores:
        title = _title(one, scores)
        lines += [f"{title}: {count} missing, {reason}" for reason, count in one.missing.items()]
        lines += [f"{title}: {count} {what}" for what, count in one.noted.items()]
        lines += [f"{title}: warning: {text}" for text in one.warnings]
        lines += [f"{title}: {text}" for text in _audited(one)]
    judges = list(dict.fromkeys(one.judge for one in scores))
    for judge in judges:
        by = "" if len(judges) == 1 else f"judge {judge}: "
        lines += [by + line for line in _compared([one for one in scores if one.judge == judge])]
    return lines


def _audited(one: Score) -> Iterator[str]:
    """Yield the intervals and the audit of a judge that was asked here."""
    for name, words in (("win_rate_interval", "win rate"), ("length_controlled_interval", "at equal length")):
        if interval := one.details.get(name):
            yield f"{words} within [{interval[0]:.2f}, {interval[1]:.2f}]% (95%)"
    audit = one.details.get("audit")
    if audit is None:
        return
    shares = (
        ("consistent", "same verdict in both orders"),
        ("flips", "the same place won twice"),
        ("first_shown", "preference for the first shown"),
        ("ties", "ties"),
        ("retested", "same winner when asked again"),
        ("longer_wins", "preference for the longer"),
        *((status, f"calls {status}") for status in ("unparsed", "refused", "error") if audit[status]["estimate"]),
    )
    yield f"audit of {audit['judge']}, {audit['asked']} calls: " + "; ".join(
        f"{words} {_measured(audit[name])}" for name, words in shares if audit[name]["estimate"] is not None
    )
    for control in audit["controls"]:
        yield f"audit: agrees with {control['control']} on {_measured(control['agreement'])} of the calls"
    if audit["imitations"]:
        yield f"audit: {audit['imitations']} pairs with a response that imitates the judge's question"


def _measured(measure: dict[str, Any]) -> str:
    low, high = measure["low"], measure["high"]
    return f"{measure['estimate']:.1%}" + ("" if low is None or high is None else f" [{low:.1%}, {high:.1%}]")


def _title(one: Score, scores: Sequence[Score]) -> str:
    """Return a score's name, with the judge and the category where there are several."""
    several = {"judge": one.judge, "category": one.category}
    beside = [value for name, value in several.items() if value and len({getattr(each, name) for each in scores}) > 1]
    return f"{one.name} ({', '.join(beside)})" if beside else one.name


def _compared(scores: Sequence[Score]) -> list[str]:
    """Return lines about the differences among the methods that one judge scored."""
    lines: list[str] = []
    if any_difference := scores[0].details.get("any_difference"):
        lines.append(
            f"any difference among the {len(scores)} methods, on {any_difference['n']} shared prompts (Friedman): "
            f"chi-square {any_difference['statistic']:.4g} with {any_difference['df']} df, "
            f"p {any_difference['p']:.3g}"
        )
    pairs = {frozenset((one.name, other)) for one in scores for other in _others(one)}
    corrected = " (Holm, over all pairs)" if len(pairs) > 1 else ""
    for one in scores:
        for other, found in _others(one).items():
            if frozenset((one.name, other)) in pairs:
                pairs.discard(frozenset((one.name, other)))
                lines += _differences(one.name, other, found, corrected)
    return lines


def _others(one: Score) -> dict[str, Any]:
    return dict(one.details.get("paired", {}))


def _differences(name: str, other: str, found: dict[str, Any], corrected: str) -> list[str]:
    lines: list[str] = []
    for what, law in found.items():
        if isinstance(law, dict) and "difference" in law:
            head = f"{name} - {other}, {what} on {found['n']} shared prompts: {law['difference']:+.4g}"
            tested = "without variation, so that nothing can be tested"
            if law["p"] is not None:
                tested = f"[{law['low']:.4g}, {law['high']:.4g}], p {law['p_adjusted']:.3g}{corrected}"
            lines.append(f"{head} {tested}")
        elif isinstance(law, dict):
            lines.append(f"{name} vs {other}, {what}: {law['estimate']:.1%} [{law['low']:.1%}, {law['high']:.1%}]")
    return lines


def _number(value: float | None, digits: int) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.{digits}f}" if abs(value) < 1 else f"{value:.2f}"
