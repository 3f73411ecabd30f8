"""The report's methods section: how the comparison was done, generated from the run summary and the comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bench.report.facts.methods import CORRECTIONS, adapter_text, flat, statistics_of
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Bullets, Folded, Heading, Table, Text
from bench.report.references import Citation, citations
from bench.results.computed_on import computed_on
from bench.results.summary import ArmFacts, RunSummary
from bench.results.wording import NONE, amount, counted, listed, percent, value_text

HARDWARE = ("device", "processor", "cores", "threads", "platform", "python", "revision")
# What a contrast says of its test where nothing varies, or nothing could be tested.
NOT_TESTED = {"none", "none needed"}


def methods_section(inputs: Inputs) -> list[Block]:
    """Return base, data, arms, hyper-parameters, evaluation, statistics, versions, hardware and references."""
    arms = inputs.summary.arms
    rows = tuple(
        (name, facts.method, adapter_text(inputs.summary, name), facts.replicate or NONE, facts.about)
        for name, facts in arms.items()
    )
    return [
        Heading(2, "How it was done"),
        Bullets(tuple(_given(inputs))),
        Heading(3, "Arms"),
        Table(("arm", "method", "adapter", "replicate", "what it is"), "lllll", rows),
        *([Bullets(inputs.summary.told)] if inputs.summary.told else []),
        *_settings(arms),
        Heading(3, "Evaluation and statistics"),
        Bullets(tuple(_evaluation(inputs))),
        Text(statistics_of(inputs.comparison, len(inputs.summary.seeds))),
        Heading(3, "Software and hardware"),
        Bullets(tuple(_surroundings(inputs))),
        Heading(3, "References"),
        Bullets(tuple(_reference(item) for item in citations(inputs.comparison))),
        Text("references.bib beside this report has these entries for BibTeX."),
    ]


def _given(inputs: Inputs) -> list[str]:
    """Return what all arms share."""
    summary, given = inputs.summary, inputs.comparison.given
    budget = given.budget
    limit = f"{amount(budget.value)} {budget.axis} per training stage" if budget else "none beyond each method's own"
    return [
        f"Base: {summary.base}",
        *_packed(summary),
        *(f"{name.capitalize()}: {described}" for name, described in summary.data.items()),
        f"Training seeds: {', '.join(str(seed) for seed in summary.seeds)}",
        f"Budget: {limit}",
        f"Longest sequence in training: {longest_sequence(summary, given.max_length)}",
    ]


def _packed(summary: RunSummary) -> list[str]:
    """Return how far models whose weights are kept in 4 or 8 bits are from the models that they were."""
    every = [facts.diagnostics["quantised"] for facts in summary.stages.values() if "quantised" in facts.diagnostics]
    return list(
        dict.fromkeys(
            f"Loaded in {one['load_in']}: {one['packed']:,} of {one['weights']:,} weights are packed; on the "
            f"{counted(one['tokens'], 'token')} of a fixed text the KL divergence from the original model is "
            f"{one['kl']:.2g} nats a token, and log-probabilities moved by {one['shift']:.2g} on average"
            for one in every
        )
    )


def longest_sequence(summary: RunSummary, max_length: int) -> str:
    """Return how many tokens prompt and response could take in training, where models read less than was allowed."""
    shared = summary.data.values()
    told = [
        found
        for facts in summary.stages.values()
        if facts.data in shared
        for found in facts.diagnostics.get("lengths", ())
    ]
    read = {found["max_length"] for found in told if found["data"] != "prompts"}
    if not read or read == {max_length}:
        return counted(max_length, "token")
    numbers = listed([f"{tokens:,}" for tokens in sorted(read)])
    return f"{numbers} tokens (the model's context; given.max_length is {max_length:,})"


def _settings(arms: Mapping[str, ArmFacts]) -> list[Block]:
    """Return the hyper-parameters: those on which arms that have them differ as a table, all others folded away."""
    settings = {name: flat(facts.fields) for name, facts in arms.items()}
    names = list(dict.fromkeys(name for fields in settings.values() for name in fields))
    values = {name: [fields.get(name, "") for fields in settings.values()] for name in names}
    shared = [name for name in names if len({value for value in values[name] if value}) == 1]
    differing = [name for name in names if name not in shared]
    blocks: list[Block] = [Heading(3, "Hyper-parameters")]
    if differing:
        rows = tuple((name, *(value or NONE for value in values[name])) for name in differing)
        blocks.append(Table(("differs between arms", *settings), "l" + "r" * len(settings), rows))
    if shared:
        text = ", ".join(f"{name} {next(value for value in values[name] if value)}" for name in shared)
        summary = f"{counted(len(shared), 'setting')} with one value in every arm that has it"
        blocks.append(Folded(summary, (Text(f"{text}."),)))
    if not names:
        blocks.append(Text("No arm has any."))
    return blocks


def _evaluation(inputs: Inputs) -> list[str]:
    """Return tasks, judges, tests, corrections and families."""
    evaluation, statistics = inputs.comparison.evaluation, inputs.comparison.statistics
    contrasts = inputs.conclusions.contrasts
    judges = listed(sorted({item.judge for item in contrasts if item.judge}))
    tests = sorted({item.test for item in contrasts} - NOT_TESTED)
    # A metric that is undefined for some responses is tested on fewer prompts than the task has.
    tasks = dict.fromkeys(item.task for item in contrasts)
    prompts = {task: max(item.n_prompts for item in contrasts if item.task == task) for task in tasks}
    lines = [f"Task {task}: {counted(count, 'prompt')}" for task, count in prompts.items()]
    lines.append(f"Draws per prompt and seed: {evaluation.draws}")
    if judges:
        lines.append(f"Judges: {judges}; orders: {evaluation.orders}")
    if tests:
        lines.append(f"Test: {listed(tests)}; level {percent(statistics.level)}")
    if families := families_of(inputs):
        lines.append(f"Correction for several tests: {CORRECTIONS[statistics.correction]} correction within {families}")
    lines.append(
        "The training procedure is what a verdict speaks about when there are several training seeds; with one seed it "
        "speaks about these trained models only"
    )
    return lines


def families_of(inputs: Inputs) -> str:
    """Return how many families of tests there are, by their size, and how many controls stand outside of them."""
    tested = [item for item in inputs.conclusions.contrasts if item.p is not None]
    sizes = Counter(Counter(item.family for item in tested if not item.is_control).values())
    families = [
        f"{counted(count, 'family', 'families')} of {counted(size, 'test')}{' each' if count > 1 else ''}"
        for size, count in sorted(sizes.items(), reverse=True)
    ]
    if not families:
        return ""
    controls = sum(item.is_control for item in tested)
    outside = f"; {counted(controls, 'test')} of A/A controls are outside of them" if controls else ""
    return f"{listed(families)} (a family is one metric as one judge sees it, all pairs and tasks){outside}"


def _reference(citation: Citation) -> str:
    """Return a publication and what rests on it."""
    return f"{citation.entry.as_text()} [{citation.entry.key}]; used by {listed(list(citation.used_by))}"


def _surroundings(inputs: Inputs) -> list[str]:
    """Return package versions, and the distinct values of what the stages recorded about their machine."""
    versions = ", ".join(f"{name} {version}" for name, version in inputs.summary.versions.items())
    lines = [f"Versions: {versions}"] if versions else []
    for name in HARDWARE:
        values = {
            value_text(stage.provenance[name])
            for stage in inputs.summary.stages.values()
            if stage.provenance.get(name) is not None
        }
        if values:
            lines.append(f"{name.capitalize()}: {', '.join(sorted(values))}")
    on = computed_on(stage.provenance for stage in inputs.summary.stages.values())
    return lines if on is None else [*lines, f"Kernels: {on.words()}"]
