"""What several commands share: arguments, options, and where they print."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from bench.cli.exit_statuses import statuses_in_words
from bench.results.unseen import UNSEEN, visible

if TYPE_CHECKING:
    from bench.pipeline.standing import Standing


class Printed(Console):
    """A console on which text of others (file names, keys of files, messages of servers) is text and nothing else.

    What steers a terminal or is seen by nobody is spelt out wherever it comes from, also what a bar of progress or a
    table shows; styles are those that the program sets.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Go on where whoever read wants no more (``head``): the exit status is the command's, not the pipe's."""
        write_to_nobody(self.file)

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
    try:
        sys.stdout.write(visible(text) if sys.stdout.isatty() else text)
    except BrokenPipeError:
        write_to_nobody(sys.stdout)


def write_to_nobody(stream: IO[str]) -> None:
    """Let what is still written to a stream go: whoever read it wants no more, or it cannot be written to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="Where stages are kept; ALIGNMENT_BENCH_STORE, or .store beside the comparison's folder, by default.",
        metavar="DIR",
    ),
]
Tracker = Literal["tensorboard", "wandb", "mlflow"]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def tell(line: str) -> None:
    """Print a line that is no result of a command to standard error."""
    err.print(line, markup=False, soft_wrap=True)


@contextmanager
def writing_results(path: Path) -> Iterator[None]:
    """Hold the lock of a comparison's results folder while the block runs; whoever waits for another is told so.

    A folder that is not there is left to the block, which says what is wrong.
    """
    from bench.config.document.merged import comparison_file
    from bench.results.writing import writing

    folder = comparison_file(path).parent
    if not folder.is_dir():
        yield
        return
    with writing(folder, tell):
        yield


def wait_for_results(path: Path) -> None:
    """Return when nobody writes the results of a comparison; whoever waits for another is told so."""
    from bench.config.document.merged import comparison_file
    from bench.results.writing import wait_for_writers

    wait_for_writers(comparison_file(path).parent, tell)


def tell_standing(standing: Standing) -> None:
    """Print to standard error what of a comparison is not what was run, and what is not here."""
    for line in standing.lines:
        tell(line)


def example(*lines: str) -> str:
    """Return the epilog of a command's help: examples of it, and what its exit status says."""
    examples = "\n\n".join(f"  [cyan]{line}[/]" for line in lines)
    return f"[bold]Examples[/]\n\n{examples}\n\n[bold]Exit status:[/] {statuses_in_words()}"
