"""What several commands share: arguments, options, and where they print."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from bench.results.unseen import UNSEEN, visible


class Printed(Console):
    """A console on which text of others (file names, keys of files, messages of servers) is text and nothing else.

    What steers a terminal or is seen by nobody is spelt out wherever it comes from, also what a bar of progress or a
    table shows; styles are those that the program sets.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, emoji=False)

    def render_str(self, text: str, **further: Any) -> Text:
        """Return a text to be printed; spelt out before Rich drops characters of control and counts its columns."""
        return super().render_str(visible(text), **further)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the pieces of whatever is printed; those that steer are Rich's own."""
        for piece in super().render(renderable, options):
            is_others = piece.control is None and UNSEEN.search(piece.text) is not None
            yield Segment(visible(piece.text), piece.style) if is_others else piece


out = Printed()
err = Printed(stderr=True)


def write(text: str) -> None:
    """Write a text for programs to standard output as it is, and as people can read it where they do."""
    sys.stdout.write(visible(text) if sys.stdout.isatty() else text)


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
