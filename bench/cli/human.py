"""``bench human``: ask people which response is better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import PathArgument, SetOption, StoreOption, example, out, tell

commands = typer.Typer(no_args_is_help=True, help="Ask people which response is better, blind to the methods.")
JudgeOption = Annotated[str | None, typer.Option("--judge", help="Which human judge, where there are several.")]


@commands.command("export", epilog=example("bench human export results/mine --to questions.html --at-most 200"))
def human_export(  # noqa: PLR0913, PLR0917 - one parameter per option of the command
    path: PathArgument,
    to: Annotated[Path, typer.Option(help="FILE.html, a page that works without a server, or FILE.csv.")],
    judge: JudgeOption = None,
    at_most: Annotated[int | None, typer.Option(min=1, help="So many questions, drawn by the seed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws which questions, in which order, on which sides.")] = 0,
    overrides: SetOption = None,
    store: StoreOption = None,
) -> None:
    """Write the questions that a comparison has for people: two responses each, and no name of a method."""
    from bench.config.load import load_comparison
    from bench.engine.store import store_of
    from bench.human.exchange import export_questions
    from bench.pipeline.plan import make_plan

    plan = make_plan(load_comparison(path, overrides=overrides or []))
    written = export_questions(plan, store_of(plan.comparison, store), to, judge, at_most, seed)
    out.print(written, markup=False, soft_wrap=True)


@commands.command("import", epilog=example("bench human import results/mine answers.csv", "bench run results/mine"))
def human_import(
    path: PathArgument,
    files: Annotated[list[Path], typer.Argument(help="Answers, as CSV or JSON.", show_default=False)],
    judge: JudgeOption = None,
    overrides: SetOption = None,
    store: StoreOption = None,
) -> None:
    """Take people's answers back; they are added to those beside the comparison, and the next run counts them."""
    from bench.config.load import load_comparison
    from bench.engine.store import store_of
    from bench.human.exchange import import_answers
    from bench.pipeline.plan import make_plan

    plan = make_plan(load_comparison(path, overrides=overrides or []))
    taken = import_answers(plan, store_of(plan.comparison, store), files, judge, tell)
    out.print(taken, markup=False, soft_wrap=True)
