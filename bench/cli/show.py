"""``bench show``: one prompt with every method's response, or the prompts to choose from."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.options import PathArgument, SetOption, example, out, wait_for_results

commands = typer.Typer()


@commands.command(
    epilog=example(
        "bench show results/quickstart benign-build-cart-0",
        "bench show results/quickstart benign-build-cart-0 --run 1 --methods dpo,sft",
        "bench show results/quickstart --kind biography --disagree",
    )
)
def show(  # noqa: PLR0913, PLR0917 - one parameter per option of the command
    path: PathArgument,
    prompt: Annotated[str | None, typer.Argument(help="A prompt's id, or a part of its text.")] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", "--run", help="The training seed; the first of the comparison by default."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only prompts of this kind.")] = None,
    disagree: Annotated[bool, typer.Option("--disagree", help="Only prompts on which the methods disagree.")] = False,
    methods: Annotated[str | None, typer.Option(help="Only these methods, separated by commas.")] = None,
    overrides: SetOption = None,
) -> None:
    """Show one prompt with every method's response side by side, and the verdicts; or list prompts to choose from.

    Words that are not in the answer of the method others are compared with are underlined. Methods disagree where a
    judge prefers one of them, or a score that is no length differs.
    """
    from bench.cli.no_pandas import use_tables_without_pandas
    from bench.pipeline.recorded_run import recorded_run
    from bench.report.terminal import show as shown

    use_tables_without_pandas()
    names = tuple(name.strip() for name in (methods or "").split(",") if name.strip())
    wait_for_results(path)
    run = recorded_run(path, overrides or [])
    wanted = shown.Wanted(prompt, seed, kind, disagree, names)
    out.print(shown.show(run.folder, run.as_run, wanted, out.width))
