"""A thousand judgements of a server of which a third of all replies is injured, and processes that ask and die."""

from __future__ import annotations

from functools import partial

from tests.evaluation.api import test_faults
from tests.faults.case import Case

TITLE = "1,000 judgements through refusals, garbage, halves and hangs; askers that are killed"
IN_SUITE = 0  # the suite has them where they are written


def cases() -> list[Case]:
    """Return the faults of the suite that ask so often."""
    return [
        Case(
            "a thousand, none lost", partial(test_faults.test_many_judgements_none_lost_and_none_doubled, count=1_000)
        ),
        Case("killed three times", test_faults.test_a_run_killed_three_times_never_asks_again_for_what_it_has),
        Case("two at once", test_faults.test_two_processes_share_the_answers_and_ask_nothing_twice),
        Case("attempts of unknown fate", test_faults.test_an_attempt_of_unknown_fate_counts_as_spent),
    ]
