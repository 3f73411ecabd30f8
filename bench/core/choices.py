"""Multiple choice: what is measured of a policy's likelihood of the answers that a task offers."""

from __future__ import annotations

from bench.core.task import MetricInfo, Task

MC1 = MetricInfo(
    name="mc1",
    unit="share of questions",
    higher_is_better=True,
    description="the policy finds the best answer more probable than every wrong one",
)
MC2 = MetricInfo(
    name="mc2",
    unit="share of probability",
    higher_is_better=True,
    description="the probability of the right answers among all that are offered",
)


def offers_choices(task: Task) -> bool:
    """Tell whether a task offers choices: its first prompt has some. Raises DataError for prompts it cannot read."""
    return type(task).choices is not Task.choices and any(task.choices(prompt) for prompt in task.prompts()[:1])
