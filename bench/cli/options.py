"""What several commands share: arguments, options, and where they print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from bench.cli.exit_statuses import in_words

if TYPE_CHECKING:
    from bench.pipeline.standing import Standing

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

PathArgument = Annotated[
    Path, typer.Argument(help="A comparison.yaml, or the folder it is in.", show_default=False, metavar="PATH")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Override a value of the file: --set given.seeds=[0,1]. May be repeated.", metavar="KEY=VALUE"
    ),
]
Tracker = Literal["tensorboard", "wandb", "mlflow"]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def tell_standing(standing: Standing) -> None:
    """Print to standard error what of a comparison is not what was run, and what is not here."""
    for line in standing.lines:
        err.print(line, markup=False, soft_wrap=True)


def example(*lines: str) -> str:
    """Return the epilog of a command's help: examples of it, and what its exit status says."""
    examples = "\n\n".join(f"  [cyan]{line}[/]" for line in lines)
    return f"[bold]Examples[/]\n\n{examples}\n\n[bold]Exit status[/] {in_words()}"
