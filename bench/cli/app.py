"""The program: the groups of commands put together, the options before a command, and errors as exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

import bench
from bench.cli import catalogue, doctor, export, gate, human, run, score, show
from bench.cli.options import err, out
from bench.core.errors import BenchError

EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compare LLM alignment methods as a clinical trial compares treatments.\n\n"
    "Start with:  bench new mine  then  bench run results/mine",
)
# In the order of the program's help.
for group in (run.commands, gate.commands, show.commands, export.commands, catalogue.commands, score.commands):
    app.add_typer(group)
app.add_typer(doctor.commands)
app.add_typer(human.commands, name="human")

state: dict[str, bool] = {"debug": False}


def print_version(wanted: bool) -> None:
    """Print the version and stop, when that is wanted."""
    if wanted:
        out.print(bench.__version__)
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options before the command."""
    state["debug"] = debug


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Turn our own errors into messages on standard error and the exit status they stand for."""
    try:
        yield
    except BenchError as error:
        if state["debug"]:
            raise
        err.print("[bold red]error[/] ", end="")
        err.print(str(error), markup=False, soft_wrap=True)
        sys.exit(EXIT_WRONG_INPUT)
    except KeyboardInterrupt:
        err.print("interrupted; the same command goes on from here")
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.exit(0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    command: Callable[..., Any] = app
    given = sys.argv[1:] if arguments is None else list(arguments)
    with errors_for_people():
        command(args=given, prog_name="bench", obj=given)  # a command finds its own line in its context
