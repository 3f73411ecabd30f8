"""Damage to the store: whatever is not whole is told, set aside and computed again, and neighbours are not hurt.

Each case damages one artefact of a finished comparison, plans it and a neighbour, runs, and looks: all end well, what
is damaged is told, the results are those of before, and the plan then finds everything.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.faults._corruptions import SEEN_BY_A_PLAN, SEEN_BY_A_RUN, Corruption
from tests.faults._whole import finished, said, same_results, store_of
from tests.faults.case import Case

TITLE = "damage to a finished stage in the store, then a plan and a run"
IN_SUITE = 2
KINDS = ("generate", "score")  # one that others read, and one that nobody reads
NEIGHBOUR = """\
question: Does a neighbour in the store of a damaged comparison suffer?
given:
  base: {path: ../../model, template: "{prompt}?"}
  demonstrations: {path: ../../demonstrations.jsonl}
  seeds: [2]
methods: {base: {}, sft: {lr: 0.01, epochs: 2, batch_size: 4}}
evaluate:
  tasks: [{task: prompts, path: ../../prompts.jsonl, max_new_tokens: 6}]
  contrasts: [[sft, base]]
"""


def cases() -> list[Case]:
    """One for each corruption."""
    every = [*SEEN_BY_A_PLAN.items(), *SEEN_BY_A_RUN.items()]
    return [Case(name, partial(heals, corrupt, KINDS[number % 2])) for number, (name, corrupt) in enumerate(every)]


def heals(corrupt: Corruption, kind: str, folder: Path) -> None:
    """Raise AssertionError unless a comparison whose artefact is damaged plans, runs and is as it was."""
    whole = finished(folder)
    store, beside = store_of(whole), whole.with_name("neighbour")
    corrupt(sorted((store / kind).iterdir())[1], store)
    beside.mkdir()
    (beside / "comparison.yaml").write_text(NEIGHBOUR, encoding="utf-8")
    for planned in (beside, whole):
        status, told = said("plan", planned)
        assert status == 0, told
    assert ("to compute again" in told) == (corrupt in SEEN_BY_A_PLAN.values()), told
    status, told = said("run", whole, "--engine", "inline")
    assert status == 0, told
    assert "moved to" in told, told
    assert any(path.name.startswith(".damaged") for path in store.iterdir()), "nothing was set aside"
    same_results(whole)
    status, told = said("plan", whole)
    assert status == 0, told
    assert " 0 to compute" in told, told
