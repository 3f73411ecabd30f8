"""``bench store`` and ``bench store prune``: what is kept, who uses it, and removing what nobody does."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from bench.cli.options import JsonOption, StoreOption, example, out, tell, write
from bench.core.errors import BenchError

if TYPE_CHECKING:
    from bench.engine.holdings import Artefact
    from bench.engine.prune import Prunable
    from bench.engine.store import Store
    from bench.engine.uses import Used, User

SHOW = "show"
RESULTS = Path("results")


class ShowsByDefault(TyperGroup):
    """The group, in which what is no command is what ``show`` is given: ``bench store results``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``show`` before arguments that do not begin with a command or ask for help."""
        asks_help = bool(args) and args[0] in ctx.help_option_names
        named = bool(args) and args[0] in self.commands
        return super().parse_args(ctx, args if named or asks_help else [SHOW, *args])


commands = typer.Typer(
    cls=ShowsByDefault,
    help="Look after the store: what it holds and who uses it, or remove what nobody uses.\n\n"
    "`bench store [PATH]` is short for `bench store show [PATH]`.",
    epilog=example("bench store", "bench store results/mine --json", "bench store prune --dry-run"),
)
StorePath = Annotated[
    Path | None,
    typer.Argument(
        help="A store, the folder it is in, or a comparison that uses it; results by default.",
        show_default=False,
        metavar="[PATH]",
    ),
]


@commands.command(SHOW, epilog=example("bench store", "bench store results/mine --json", "bench store --store /big"))
def show(path: StorePath = None, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show the size of a store by kind of stage and by comparison, and what nobody uses. `show` may be left away."""
    from bench.engine.holdings import artefacts
    from bench.engine.prune import prunable
    from bench.engine.uses import used

    kept = store_at(path, store)
    known = used(kept)
    facts = as_data(kept, known, artefacts(kept.root), prunable(kept, known))
    if as_json:
        write(json.dumps(facts, indent=1) + "\n")
        return
    for line in lines_of(facts):
        out.print(line, markup=False, soft_wrap=True)


@commands.command(
    epilog=example("bench store prune --dry-run", "bench store prune results/mine", "bench store prune --yes")
)
def prune(
    path: StorePath = None,
    store: StoreOption = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask: comparisons that are gone need their stages no more.")
    ] = False,
    answers: Annotated[
        bool, typer.Option("--answers", help="Remove all answers that were paid for, too. Nothing else touches them.")
    ] = False,
) -> None:
    """Remove the stages that no comparison uses, and what killed or failed runs have left.

    Kept is what the last run of every comparison asked for, what the results beside it rest on, and what is being
    computed. A comparison that is not there any more is asked about.
    Nothing is removed where nobody can be asked, or while it is not known what is used.
    """
    from bench.engine.holdings import size_in_words
    from bench.engine.prune import prunable, refuse_unknown, remove_answers
    from bench.engine.prune import prune as removed
    from bench.engine.uses import used

    kept = store_at(path, store)
    known = used(kept)
    refuse_unknown(known)
    vanished = [user for user in known.users if not user.there]
    agree = (lambda _question: True) if yes or dry_run else asked
    gone = [user for user in vanished if agree(about(user))]
    found = prunable(kept, known, gone)
    for line in lines_of_prune(kept, found, answers=answers):
        out.print(line, markup=False, soft_wrap=True)
    if dry_run:
        out.print("nothing is removed: --dry-run")
        return
    if not found.artefacts and not found.leftovers and not gone and not answers:
        return
    if not agree("Remove this?"):
        out.print("nothing is removed")
        return
    done = removed(kept, found, tell)
    size = done.size + (remove_answers(kept, tell) if answers else 0)
    for line in done.kept:
        out.print(f"kept: {line}", markup=False, soft_wrap=True)
    for line in done.failed:
        tell(f"failed: {line}")
    out.print(f"removed: {done.artefacts} stages and {done.leftovers} leftovers, {size_in_words(size)}")
    raise typer.Exit(1 if done.failed else 0)


def store_at(path: Path | None, given: Path | None) -> Store:
    """Return the store that a path means; raises BenchError where none is there.

    In this order: ``given`` by --store; the path, where it is a store; the one of the environment; the one in the
    path's folder, or beside the comparison that is there.
    """
    from bench.config.document.merged import COMPARISON_FILE
    from bench.engine.store import STORE, Store, chosen_store, is_store

    where = (path or RESULTS).absolute()
    if given is None and path is not None and is_store(where):
        return Store(where)
    chosen = chosen_store(given)
    if chosen is None:
        folder = where.parent if where.is_file() else where
        is_comparison = where.is_file() or (folder / COMPARISON_FILE).is_file()
        chosen = folder.parent / STORE if is_comparison else folder / STORE
    if not chosen.is_dir():
        raise BenchError(f"{chosen}: there is no store. Name a comparison, the folder of several, or a store: --store")
    return Store(chosen)


def asked(question: str) -> bool:
    """Return what a person answers; raises BenchError where none can be asked."""
    if not sys.stdin.isatty():
        raise BenchError(f"{question} Nobody can answer here: say --yes, or look by --dry-run.")
    return typer.confirm(question)


def about(user: User) -> str:
    """Return the question on a comparison that is not there any more."""
    return f"{user.path} is not there any more. Remove those of its {len(user.keys)} stages that nobody else uses?"


def as_data(store: Store, known: Used, held: Sequence[Artefact], found: Prunable) -> dict[str, Any]:
    """Return what a store holds, as plain data; sizes in bytes."""
    from bench.engine.holdings import size_of

    sizes = {one.key: one.size for one in held}
    users = Counter(key for user in known.users for key in user.keys)
    kinds: dict[str, dict[str, int]] = {}
    for one in held:
        kind = kinds.setdefault(one.kind, {"stages": 0, "bytes": 0})
        kind["stages"] += 1
        kind["bytes"] += one.size
    leftovers: Counter[str] = Counter()
    for left in found.leftovers:
        leftovers[left.path.relative_to(store.root).parts[0]] += left.size
    return {
        "store": str(store.root),
        "bytes": sum(sizes.values()),
        "stages": len(held),
        "free": shutil.disk_usage(store.root).free,
        "kinds": kinds,
        "comparisons": [
            {
                "path": str(user.path),
                "there": user.there,
                "stages": len(user.keys),
                "stored": sum(key in sizes for key in user.keys),
                "bytes": sum(sizes.get(key, 0) for key in user.keys),
                "own_bytes": sum(sizes.get(key, 0) for key in user.keys if users[key] == 1),
            }
            for user in known.users
        ],
        "running": sorted(known.running),
        "unreachable": {"stages": len(found.artefacts), "bytes": sum(one.size for one in found.artefacts)},
        "leftovers": dict(leftovers),
        "answers": size_of(store.answers) if store.answers.is_dir() else 0,
        "tokens": size_of(store.tokens) if store.tokens.is_dir() else 0,
        "portable": 0 if store.holds_portable else size_of(store.portable.root),
        "unknown": list(known.unknown),
    }


def lines_of(facts: dict[str, Any]) -> list[str]:
    """Return what a store holds, in lines."""
    from bench.engine.holdings import size_in_words
    from bench.engine.store import PORTABLE_PART, TOKENS

    lines = [
        f"store: {facts['store']}",
        f"{facts['stages']} stages, {size_in_words(facts['bytes'])}; {size_in_words(facts['free'])} are free there",
    ]
    for kind, one in sorted(facts["kinds"].items(), key=lambda item: -item[1]["bytes"]):
        lines.append(f"  {kind:<24} {one['stages']:>5}  {size_in_words(one['bytes']):>10}")
    for one in facts["comparisons"]:
        there = "" if one["there"] else "; not there any more, `bench store prune` asks about it"
        lines.append(
            f"used by {one['path']}: {one['stored']} of its {one['stages']} stages are stored, "
            f"{size_in_words(one['bytes'])}, {size_in_words(one['own_bytes'])} of it by nobody else{there}"
        )
    lines += [f"running: {name}" for name in facts["running"]]
    lines += [f"not known: {line}" for line in facts["unknown"]]
    away = facts["unreachable"]
    lines.append(f"used by nobody: {away['stages']} stages, {size_in_words(away['bytes'])}")
    sizes = sorted((name, size) for name, size in facts["leftovers"].items() if size and name != TOKENS)
    left = ", ".join(f"{name} {size_in_words(size)}" for name, size in sizes)
    lines.append(f"left by killed or failed stages and workers: {left or 'nothing'}")
    if facts["answers"]:
        lines.append(f"paid answers: {size_in_words(facts['answers'])}; a prune keeps them unless it is told --answers")
    if facts["tokens"]:
        lines.append(f"data as tokens: {size_in_words(facts['tokens'])}; a prune removes them, a run makes them again")
    if facts["portable"]:
        size, part = size_in_words(facts["portable"]), f"{facts['store']}/{PORTABLE_PART}"
        lines.append(f"computed by `bench run --portable`: {size}, a store of its own: bench store show {part}")
    if away["stages"] or left:
        lines.append("`bench store prune` removes what is used by nobody and what was left")
    return lines


def lines_of_prune(store: Store, found: Prunable, *, answers: bool) -> list[str]:
    """Return what would go, in lines."""
    from bench.engine.holdings import size_in_words, size_of

    lines = [f"store: {store.root}"]
    lines += [f"not there any more: {user.path}" for user in found.gone]
    kinds: dict[str, list[int]] = {}
    for one in found.artefacts:
        kinds.setdefault(one.kind, []).append(one.size)
    for left in found.leftovers:
        kinds.setdefault(left.path.relative_to(store.root).parts[0], []).append(left.size)
    lines += [f"  {kind:<24} {len(sizes):>5}  {size_in_words(sum(sizes)):>10}" for kind, sizes in sorted(kinds.items())]
    lines.append(
        f"used by nobody: {len(found.artefacts)} stages; left over: {len(found.leftovers)} files and folders; "
        f"together {size_in_words(found.size)}"
    )
    if answers:
        lines.append(f"and all paid answers: {size_in_words(size_of(store.answers))}")
    elif store.answers.is_dir():
        lines.append(f"paid answers are kept: {size_in_words(size_of(store.answers))}")
    return lines
