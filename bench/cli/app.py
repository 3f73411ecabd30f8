"""The command line: ``bench run``, ``plan``, ``report``, ``check``, and what helps around them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import bench
from bench.cli.human import human
from bench.cli.options import JsonOption, PathArgument, SetOption, Tracker, err, example, out
from bench.core.errors import BenchError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compare LLM alignment methods as a clinical trial compares treatments.\n\n"
    "Start with:  bench new mine  then  bench run results/mine",
)

app.add_typer(human, name="human")

EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130


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


state: dict[str, bool] = {"debug": False}


@app.command(epilog=example("bench run results/quickstart", "bench run results/mine --set given.seeds=[0] --workers 1"))
def run(  # noqa: PLR0913 - a command has as many parameters as options
    path: PathArgument,
    overrides: SetOption = None,
    workers: Annotated[int | None, typer.Option(min=1, help="CPU worker processes; one per core by default.")] = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes that train one stage together, each on a device of its own.")
    ] = 1,
    engine: Annotated[
        Literal["processes", "sharded", "inline"],
        typer.Option(help="sharded divides the weights that --processes train; inline runs stages in this process."),
    ] = "processes",
    *,
    track: Annotated[
        Tracker | None, typer.Option("--track", help="Then hand the scalars to a tracker, as `bench track` does.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a comparison, or the rest of it: what is in the store is not computed again.

    Writes records.parquet, responses.parquet, verdicts.parquet, contrasts.json, run.json, report.md, report.html and
    plots/ beside the comparison file.
    Exit status: 0 all done; 1 something failed, the message says what is missing and why; 2 the input is wrong.
    """
    from bench.cli.run import EngineChoice, run_comparison  # noqa: PLC0415 - each command loads only what it needs

    choice = EngineChoice(engine, workers, processes)
    raise typer.Exit(run_comparison(path, overrides or [], choice, as_json, track))


@app.command(epilog=example("bench plan results/quickstart", "bench plan results/mine --json"))
def plan(path: PathArgument, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Show what a run would do: stages, what is in the store, the cost, the smallest effect it can detect."""
    from bench.cli.run import show_plan  # noqa: PLC0415

    show_plan(path, overrides or [], as_json)


@app.command(epilog=example("bench report results/quickstart"))
def report(path: PathArgument, overrides: SetOption = None) -> None:
    """Write contrasts, report and plots again from the stored records. Computes no stage and loads no torch."""
    from bench.cli.run import write_report_again  # noqa: PLC0415

    write_report_again(path, overrides or [])


@app.command(
    epilog=example(
        "bench check results/quickstart",
        "bench check results/mine --junit gate.xml --markdown gate.md",
        "bench check results/mine --baseline baselines/mine.json",
    )
)
def check(
    path: PathArgument,
    overrides: SetOption = None,
    baseline: Annotated[
        Path | None, typer.Option(help="The earlier run that `versus: baseline` means; beside the file by default.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML, one test case per criterion.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write a Markdown summary.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Hold the results against the gate in the comparison file.

    Exit status: 0 every criterion passes; 1 a regression; 3 undecided; 2 wrong usage, or runs that cannot be compared.
    """
    from bench.cli.gate import GateOutputs, check_gate  # noqa: PLC0415

    raise typer.Exit(check_gate(path, overrides or [], baseline, GateOutputs(junit, markdown, as_json)))


@app.command(
    epilog=example(
        'bench baseline results/quickstart --reason "release 1.2"',
        'bench baseline results/quickstart --replace --reason "DPO with beta 0.2, reviewed"',
    )
)
def baseline(
    path: PathArgument,
    reason: Annotated[str, typer.Option(help="Why this run is the one to be held against; kept in the file.")],
    overrides: SetOption = None,
    to: Annotated[Path | None, typer.Option(help="The file; baseline.json beside the comparison by default.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the baseline that is there.")] = False,
) -> None:
    """Keep the last run's values per prompt in a small file that later runs are held against.

    Refuses an incomplete run, and a baseline that is there already without --replace.
    """
    from bench.cli.gate import make_first_baseline, replace_baseline  # noqa: PLC0415

    (replace_baseline if replace else make_first_baseline)(path, overrides or [], reason, to)


@app.command(epilog=example("bench verify results/quickstart", "bench verify results/quickstart --json"))
def verify(path: PathArgument, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Compute statistics, pictures and gate again from the stored rows, and compare them with what lies there.

    Says what differs and what changed since the run. Exit status: 0 nothing differs; 1 something does.
    """
    from bench.cli.gate import verify_run  # noqa: PLC0415

    raise typer.Exit(verify_run(path, overrides or [], as_json))


@app.command(
    epilog=example(
        "bench show results/quickstart 12",
        "bench show results/quickstart q-0012 --run 1 --methods dpo,sft",
        "bench show results/quickstart --kind biography --disagree",
    )
)
def show(  # noqa: PLR0913, PLR0917 - one parameter per option of the command
    path: PathArgument,
    prompt: Annotated[str | None, typer.Argument(help="A prompt's id, or a part of its text.")] = None,
    run: Annotated[int | None, typer.Option(help="The training seed; the first of the comparison by default.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only prompts of this kind.")] = None,
    disagree: Annotated[bool, typer.Option("--disagree", help="Only prompts on which the methods disagree.")] = False,
    methods: Annotated[str | None, typer.Option(help="Only these methods, separated by commas.")] = None,
    overrides: SetOption = None,
) -> None:
    """Show one prompt with every method's response side by side, and the verdicts; or list prompts to choose from.

    Words that are not in the answer of the method others are compared with are underlined. Methods disagree where a
    judge prefers one of them, or a score that is no length differs.
    """
    from bench.cli.run import show_prompts  # noqa: PLC0415
    from bench.report.terminal.show import Wanted  # noqa: PLC0415

    names = tuple(name.strip() for name in (methods or "").split(",") if name.strip())
    show_prompts(path, overrides or [], Wanted(prompt, run, kind, disagree, names))


@app.command(
    epilog=example(
        "bench export results/quickstart --format latex --to tables.tex",
        "bench export results/quickstart dpo --to exported/dpo --seed 1",
    )
)
def export(  # noqa: PLR0913 - a command has as many parameters as options
    path: PathArgument,
    method: Annotated[
        str | None, typer.Argument(help="Write this method's policy as a model; without it, the contrasts as a table.")
    ] = None,
    *,
    to: Annotated[Path | None, typer.Option("--to", help="The file, or the folder for a policy to write.")] = None,
    form: Annotated[
        Literal["csv", "latex", "json"] | None, typer.Option("--format", help="The form of the table; csv by default.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The policy's training seed; the first by default.")] = None,
    adapter: Annotated[bool, typer.Option("--adapter", help="Keep a LoRA adapter apart from its base.")] = False,
    overrides: SetOption = None,
) -> None:
    """Write contrasts for papers and programs, or a trained policy that transformers loads, with a model card.

    A table is printed where no file is named. Exit status 2 where there is nothing to write, with the reason.
    """
    from bench.cli.export import export_model, export_table  # noqa: PLC0415
    from bench.export.model import PolicyChoice  # noqa: PLC0415

    if method is None:
        if seed is not None or adapter:
            raise BenchError("--seed and --adapter belong to a policy: name its METHOD after PATH, or leave them away.")
        export_table(path, overrides or [], form or "csv", to)
    elif form is not None:
        raise BenchError("--format belongs to a table: a policy has one form. Leave it away, or leave METHOD away.")
    else:
        export_model(path, overrides or [], PolicyChoice(method, seed, "adapter" if adapter else "merged"), to)


@app.command(epilog=example("bench track results/quickstart --to tensorboard", "bench track results/mine --to mlflow"))
def track(
    path: PathArgument,
    to: Annotated[Tracker, typer.Option("--to", help="Which tracker.")],
    folder: Annotated[Path | None, typer.Option(help="Where; tracked/TRACKER beside the file by default.")] = None,
    overrides: SetOption = None,
) -> None:
    """Hand a finished run's settings, curves, costs and results to an experiment tracker, in files of this machine."""
    from bench.cli.export import track_run  # noqa: PLC0415

    track_run(path, overrides or [], to, folder)


@app.command(epilog=example("bench methods", "bench methods dpo"))
def methods(
    name: Annotated[str | None, typer.Argument(help="Show one method's fields and reference.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the alignment methods, or show one: its fields, defaults and reference."""
    listing("methods", name, as_json)


@app.command(epilog=example("bench tasks", "bench tasks atlas_prompts"))
def tasks(
    name: Annotated[str | None, typer.Argument(help="Show one task's fields and metrics.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the tasks and embedded worlds, or show one."""
    listing("tasks", name, as_json)


@app.command(epilog=example("bench judges", "bench judges lexicon"))
def judges(
    name: Annotated[str | None, typer.Argument(help="Show one judge's fields.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the judges, or show one."""
    listing("judges", name, as_json)


@app.command(epilog=example("bench checkers", "bench checkers nli"))
def checkers(
    name: Annotated[str | None, typer.Argument(help="Show one extractor's, retriever's or verifier's fields.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List what checks claims: extractors, retrievers of passages, and verifiers; or show one."""
    listing("checkers", name, as_json)


def listing(what: Literal["methods", "tasks", "judges", "checkers"], name: str | None, as_json: bool) -> None:
    """Print what there is of a kind."""
    from bench.cli.catalogue import show_listing  # noqa: PLC0415

    show_listing(what, name, as_json)


@app.command(epilog=example("bench new mine", "bench new results/mine"))
def new(name: Annotated[str, typer.Argument(help="Name of the comparison, or the folder to make.")]) -> None:
    """Write a commented comparison.yaml to start from, in results/NAME unless NAME is a path."""
    from bench.cli.catalogue import write_new_comparison  # noqa: PLC0415

    write_new_comparison(name)


@app.command(epilog=example("bench schema > comparison.schema.json"))
def schema() -> None:
    """Print the JSON Schema of comparison.yaml, for editors."""
    from bench.config.schema import json_schema  # noqa: PLC0415

    sys.stdout.write(json.dumps(json_schema(), indent=1) + "\n")


@app.command(
    epilog=example(
        "bench score --outputs mine.json --reference gpt4.json --annotations verdicts.json",
        "bench score --annotations verdicts.json --difficulty difficulty.csv --calibration gamed.csv --json",
        "bench score --outputs a.json --outputs b.json --reference r.json --annotations v.json --difficulty estimated",
        "bench score --annotations battles.jsonl --reference gpt-4-0314",
        "bench score --outputs labeled_ChatGPT.jsonl --reference labeled_InstructGPT.jsonl",
    )
)
def score(
    outputs: Annotated[
        list[Path] | None, typer.Option(help="Answers of a method (AlpacaEval), or its labels (FActScore). Repeatable.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="The answers or labels to compare with; for battles the baseline's name.")
    ] = None,
    annotations: Annotated[
        list[Path] | None,
        typer.Option(help="Verdicts: AlpacaEval annotations, MT-bench pairs, or Arena-Hard battles. Repeatable."),
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
    as_json: JsonOption = False,
) -> None:
    """Score outputs and judgements made elsewhere: win rates, raw and at equal length, with standard errors.

    Files may be .json, .jsonl or .csv, packed with gzip or not; what they are is told by their columns. Answers,
    verdicts and difficulties are joined on the instruction's text. Exit status 2 for files that cannot be used.
    """
    from bench.cli.score import print_scores, show_scores  # noqa: PLC0415
    from bench.scoring.score import Inputs  # noqa: PLC0415

    given = Inputs(outputs or (), reference, annotations or (), difficulty, calibration)
    (print_scores if as_json else show_scores)(given)


@app.command(epilog=example("bench doctor"))
def doctor(as_json: JsonOption = False) -> None:
    """Say what is installed, which devices there are, and what is missing for which feature."""
    from bench.cli.catalogue import show_doctor  # noqa: PLC0415

    show_doctor(as_json)


@contextmanager
def errors_for_people() -> Any:
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
    with errors_for_people():
        command(args=arguments, prog_name="bench")
