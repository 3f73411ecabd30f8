"""A change of what stages compute with must be reviewed: raise VERSION or record why not."""

from __future__ import annotations

from tests import stage_lock


def test_no_unreviewed_change_of_a_stage() -> None:
    lines = stage_lock.differences()
    assert not lines, (
        "stages have changed since the lock was recorded. Raise VERSION where results change, then run\n"
        '  make lock REASON="what changed, and whether results are preserved"\n' + "\n".join(lines)
    )


def test_the_lock_sees_every_stage_of_the_three_packages() -> None:
    _, stages = stage_lock.survey()
    kinds = {stage["kind"] for stage in stages.values()}
    assert {"generate", "score", "judge", "train/sft", "train/dpo", "reference_logprobs", "atlas/pretrain"} <= kinds
    assert len(stages) >= 20
