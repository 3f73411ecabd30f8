"""``bench human``: ask people which response is better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import PathArgument, SetOption, example, out, tell, wait_for_results

commands = typer.Typer(
    no_args_is_help=True,
    help="Ask people which response is better, blind to the methods.",
    epilog=example(
        "bench human export results/mine --to questions.html", "bench human import results/mine answers.csv"
    ),
)
JudgeOption = Annotated[str | None, typer.Option("--judge", help="Which human judge, where there are several.")]


@commands.command("export", epilog=example("bench human export results/mine --to questions.html --at-most 200"))
def human_export(
    path: PathArgument,
    to: Annotated[Path, typer.Option(help="FILE.html, a page that works without a server, or FILE.csv.")],
    judge: JudgeOption = None,
    at_most: Annotated[int | None, typer.Option(min=1, help="So many questions, drawn by the seed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws which questions, in which order, on which sides.")] = 0,
    overrides: SetOption = None,
) -> None:
    """Write the questions that a comparison has for people: two responses each, and no name of a method."""
    from bench.human.exchange import export_questions

    wait_for_results(path)
    out.print(export_questions(path, overrides or [], to, judge, at_most, seed), markup=False, soft_wrap=True)


@commands.command("import", epilog=example("bench human import results/mine answers.csv", "bench run results/mine"))
def human_import(
    path: PathArgument,
    files: Annotated[list[Path], typer.Argument(help="Answers, as CSV or JSON.", show_default=False)],
    judge: JudgeOption = None,
    overrides: SetOption = None,
) -> None:
    """Take people's answers back; they are added to those beside the comparison, and the next run counts them."""
    from bench.human.exchange import import_answers

    wait_for_results(path)
    out.print(import_answers(path, overrides or [], files, judge, tell), markup=False, soft_wrap=True)
