"""The program: the groups of commands put together, the options before a command, and errors as exit status."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer

import bench
from bench.cli import catalogue, data_check, doctor, export, gate, human, run, score, show, store
from bench.cli.exit_statuses import CRASHED, INTERRUPTED, WRONG_INPUT, statuses_in_words
from bench.cli.options import err, out, state, tell, write_to_nobody
from bench.cli.signals import Ended, ended_by_signals
from bench.core.errors import BenchError, one_line
from bench.core.machine_limits import MachineError, told_of_machine

LONGEST_CRASH = 300  # characters of an error's own text

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compare LLM alignment methods as a clinical trial compares treatments.\n\n"
    "Start with:  bench new mine  then  bench run results/mine",
    epilog=f"[bold]Exit status[/] of every command: {statuses_in_words()}",
)
# In the order of the program's help.
for group in (run.commands, gate.commands, show.commands, export.commands, catalogue.commands, score.commands):
    app.add_typer(group)
app.add_typer(data_check.commands)
app.add_typer(doctor.commands)
app.add_typer(human.commands, name="human")
app.add_typer(store.commands, name="store")


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
        tell_problem(str(error))
        sys.exit(CRASHED if isinstance(error, MachineError) else WRONG_INPUT)
    except (Ended, KeyboardInterrupt) as signal:
        with suppress(OSError):  # the terminal may be gone
            err.print(f"interrupted ({str(signal) or 'SIGINT'}); the same command goes on from here")
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - what nobody foresaw is told in one line and a status of its own
        limit = told_of_machine(error)
        tell_problem(crash_in_words(error) if limit is None else one_line(limit))
        sys.exit(CRASHED)


def tell_problem(problem: str) -> None:
    """Print what went wrong to standard error, with --debug the traceback before it."""
    with suppress(OSError):  # the terminal may be gone
        if state["debug"]:
            traceback.print_exc()
        err.print("[bold red]error[/] ", end="")
        tell(problem)


def crash_in_words(error: Exception) -> str:
    """Return the line on an error that this program did not foresee: what, where, and how to see all of it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    what = one_line(f"{type(error).__name__}: {error}", LONGEST_CRASH)
    return (
        f"this program crashed: {what} ({place.filename}:{place.lineno}). "
        "The same command as `bench --debug COMMAND ...` shows the traceback; please report it."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    command: Callable[..., Any] = app
    _open_what_is_closed()
    given = sys.argv[1:] if arguments is None else list(arguments)
    # Read when NumPy and SciPy are loaded, which is later: with several threads OpenBLAS adds in an order that depends
    # on the number of cores, and conclusions would differ in their last digits.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        with errors_for_people(), ended_by_signals():
            try:
                command(args=given, prog_name="bench", obj=given)  # a command finds its own line in its context
            finally:
                with suppress(BrokenPipeError):  # whoever read wants no more
                    sys.stdout.flush()  # here, where a disk that is full is told
    finally:
        _let_go_of_what_is_gone()


def _open_what_is_closed() -> None:
    """Let a stream that was closed before the start (``>&-``) lead nowhere, before a file of ours takes its number."""
    for name, how in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, how, encoding="utf-8"))  # noqa: SIM115, PTH123 - for as long as it runs


def _let_go_of_what_is_gone() -> None:
    """Write no more to a standard output that cannot be written to: Python would end with a status of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            write_to_nobody(stream)
