"""``bench check``, ``baseline`` and ``verify``: hold a run against its gate, keep it, compute it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import (
    JsonOption,
    PathArgument,
    SetOption,
    example,
    out,
    tell_standing,
    wait_for_results,
    write,
    writing_results,
)

commands = typer.Typer()


@commands.command(
    epilog=example(
        "bench check results/quickstart",
        "bench check results/mine --junit gate.xml --markdown gate.md",
        "bench check results/mine --baseline baselines/mine.json",
    )
)
def check(  # noqa: PLR0913 - a command has as many parameters as options
    path: PathArgument,
    overrides: SetOption = None,
    baseline: Annotated[
        Path | None, typer.Option(help="The earlier run that `versus: baseline` means; beside the file by default.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML, one test case per criterion.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write a Markdown summary.")] = None,
    *,
    stale_ok: Annotated[
        bool, typer.Option("--stale-ok", help="Check the run although the comparison differs from what was run.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold the results against the gate in the comparison file.

    Refuses stale results (a setting, data file or judge that differs from what was run), a comparison without a gate,
    and runs that cannot be compared. What is not here is named. An undecided gate is inconclusive.
    """
    from bench.core.files import replace_text
    from bench.gate import outputs
    from bench.gate.check import check_run
    from bench.gate.criteria_in_words import as_markdown
    from bench.gate.decide import exit_code
    from bench.pipeline.concluded import with_conclusions
    from bench.pipeline.standing import refuse_stale, standing_of

    wait_for_results(path)
    standing = with_conclusions(standing_of(path, overrides or []))
    if not stale_ok:
        refuse_stale(standing, "nothing is held against the gate", ", or check what was run: --stale-ok")
    found = check_run(standing.comparison, standing.summary, standing.asked, baseline)
    notes = (*standing.lines, *found.notes)
    in_words = as_markdown(found.results, notes)
    for file, text in ((junit, outputs.as_junit(found.results)), (markdown, in_words)):
        if file is not None:
            replace_text(file, text)
    write(outputs.as_json(found.results, notes) if as_json else in_words)
    raise typer.Exit(exit_code(found.results))


@commands.command(
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

    Refuses an incomplete run, stale results, and a baseline that is there already without --replace.
    """
    from bench.gate.baseline import keep_baseline, refuse_replacing
    from bench.pipeline.standing import refuse_stale, standing_of
    from bench.results.baseline import BASELINE_FILE

    with writing_results(path):
        standing = standing_of(path, overrides or [])
        if not replace:
            refuse_replacing(to or BASELINE_FILE.path(standing.folder))
        refuse_stale(standing, "no baseline is made of them")
        tell_standing(standing)
        file, kept = keep_baseline(standing.comparison, reason, to)
    prompts = sum(len(task.prompts) for task in kept.tasks.values())
    text = f"baseline: {file} ({prompts:,} prompts, seeds {', '.join(map(str, kept.seeds))}). Commit it."
    out.print(text, markup=False, soft_wrap=True)


@commands.command(epilog=example("bench verify results/quickstart", "bench verify results/quickstart --json"))
def verify(path: PathArgument, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Compute statistics, pictures and gate again from the stored rows, and compare them with what lies there.

    Says what differs and what changed since the run.
    """
    from bench.pipeline.verify import verify as computed_again

    wait_for_results(path)
    found = computed_again(path, overrides or [])
    if as_json:
        write(json.dumps(found.model_dump(), indent=1) + "\n")
    else:
        for line in found.lines():
            out.print(line, markup=False, soft_wrap=True)
    raise typer.Exit(0 if found.same else 1)
