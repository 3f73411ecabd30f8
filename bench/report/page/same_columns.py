"""What is the same in the whole report stands on its first screen, and not again in every line of every table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from bench.report.inputs import Inputs
from bench.report.page.content import Block, Folded, Table


def without_common_columns(blocks: Sequence[Block], inputs: Inputs) -> list[Block]:
    """Return the blocks without the columns for task and judge where the comparison has only one of them.

    A judge's column that also says whose own reward it is stays.
    """
    evaluation = inputs.comparison.evaluation
    alike = {"task"} if len(evaluation.tasks) == 1 else set()
    if len(evaluation.judges) == 1:
        alike.add("judge")
    return [_block(block, alike) for block in blocks]


def _block(block: Block, alike: Collection[str]) -> Block:
    if isinstance(block, Folded):
        return replace(block, blocks=tuple(_block(one, alike) for one in block.blocks))
    return _table(block, alike) if isinstance(block, Table) else block


def _table(table: Table, alike: Collection[str]) -> Table:
    kept = [place for place, name in enumerate(table.columns) if name not in alike or _informative(table, place)]
    return Table(
        tuple(table.columns[place] for place in kept),
        "".join(table.align[place] for place in kept),
        tuple(tuple(row[place] for place in kept) for row in table.rows),
    )


def _informative(table: Table, place: int) -> bool:
    """Return whether a column's cells differ, or say more than a name."""
    cells = {row[place] for row in table.rows}
    return len(cells) > 1 or any("(" in cell for cell in cells)
