"""What several commands share: arguments, options, and where they print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
state: dict[str, bool] = {"debug": False}  # the options before a command

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


def example(*lines: str) -> str:
    """Return the epilog of a command's help."""
    return "[bold]Examples[/]\n\n" + "\n\n".join(f"  [cyan]{line}[/]" for line in lines)
