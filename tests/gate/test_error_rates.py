"""The gate's own error rates and power, by simulation; all laws vectorised, so thousands of runs in seconds."""

from __future__ import annotations

import numpy as np
import pytest

from bench.config.comparison import Criterion
from bench.gate.criteria_in_words import sentence
from bench.gate.decide import Evidence, claim_p, decide, evidence, power_wanted, regression_p
from bench.results.conclusions.contrast import Contrast
from bench.statistics.contrasts.earlier import earlier_effects
from bench.statistics.power.sample_size import Seeds, VarianceParts, design_of, detectable, prompts_needed, seeds_needed
from bench.statistics.tests.confidence import Confidence, FloatArray
from bench.statistics.tests.random_effects import crossed_effects
from tests.gate.test_criteria import criterion, made

RUNS = 2000
ALPHA, LEVEL = 0.05, 0.95
LIMIT = ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / RUNS)
PROMPT, CELL = 0.34, 0.34  # standard deviations over prompts and of one cell, those of a win rate
DESIGNS = {"one seed": (100, 1, 0.0), "two seeds": (100, 2, 0.03), "three seeds": (400, 3, 0.025), "five": (60, 5, 0.1)}


def simulated(shape: tuple[int, int, int], run: float, seed: int) -> FloatArray:
    """Values (data sets, prompts, seeds) with mean 0."""
    rng = np.random.default_rng(seed)
    sets, prompts, seeds = shape
    prompt = rng.normal(0, PROMPT, (sets, prompts, 1))
    return rng.normal(0, run, (sets, 1, seeds)) + prompt + rng.normal(0, CELL, shape)


def passing(law: Confidence, margin: float) -> FloatArray:
    """The p-values of "better than ``margin``", for many data sets at once: what `claim_p` is for one."""
    return law.below(margin)


@pytest.mark.parametrize("name", DESIGNS)
def test_false_alarms_and_power_between_methods(name: str) -> None:
    prompts, seeds, run = DESIGNS[name]
    found = crossed_effects(simulated((RUNS, prompts, seeds), run, 1)).confidence
    # At the boundary of either claim: no difference for superiority, the margin itself for non-inferiority.
    assert np.mean(passing(found, 0.0) < ALPHA) < LIMIT
    assert np.mean(found.above(0.0) < ALPHA) < LIMIT
    one = run**2 + CELL**2 / prompts
    prompt = PROMPT**2 / prompts + (CELL**2 / prompts if seeds == 1 else 0)
    true = Confidence(0.0, prompt, prompts - 1, one / seeds if seeds > 1 else 0.0, seeds - 1)
    reach = detectable(true, LEVEL, 0.8)
    assert np.mean(passing(found, -reach) < ALPHA) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("now", "then", "run"), [(1, 1, 0.0), (3, 3, 0.03), (5, 5, 0.05), (1, 3, 0.03)])
def test_false_alarms_and_power_against_a_baseline(now: int, then: int, run: float) -> None:
    prompts, sets = 100, 1000
    rng = np.random.default_rng(2)
    shared = rng.normal(0, 0.5, (sets, prompts, 1))  # what a prompt is worth, the same in both runs
    values = [
        shared + rng.normal(0, run, (sets, 1, seeds)) + rng.normal(0, 0.1, (sets, prompts, 1))
        + rng.normal(0, 0.3, (sets, prompts, seeds))
        for seeds in (now, then)
    ]  # fmt: skip
    law = earlier_effects(*values).confidence
    change, cell, one = 2 * 0.1**2 / prompts, 0.3**2 / prompts, run**2 + 0.3**2 / prompts
    if now == then == 1:
        true = Confidence(0.0, change + 2 * cell, prompts - 1)
    elif now == 1:
        true = Confidence(0.0, change, prompts - 1, one + one / then, then - 1)
    else:
        true = Confidence(0.0, change, prompts - 1, one / now, now - 1, one / then, then - 1)
    limit = ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / sets)
    assert np.mean(passing(law, 0.0) < ALPHA) < limit
    reach = detectable(true, LEVEL, 0.8)
    # Within 3 points, plus two standard errors of the simulation itself.
    assert np.mean(passing(law, -reach) < ALPHA) == pytest.approx(0.8, abs=0.03 + 2 * np.sqrt(0.16 / sets))


def test_two_seeds_against_two_are_on_the_safe_side() -> None:
    rng = np.random.default_rng(3)
    now, then = (rng.normal(0, 0.03, (500, 1, 2)) + rng.normal(0, 0.3, (500, 50, 2)) for _ in range(2))
    assert np.mean(earlier_effects(now, then).confidence.below(0.0) < ALPHA) < ALPHA


def test_what_is_called_enough_is_enough() -> None:
    """At the number of prompts, or of seeds, that is printed as needed, the power is 80%."""
    prompts, seeds, run, distance = 100, 3, 0.03, 0.1
    one = run**2 + CELL**2 / prompts
    design = VarianceParts(prompts, seeds, PROMPT**2 / prompts, prompts - 1, (Seeds(one / seeds, run**2, seeds - 1),))
    more_prompts = prompts_needed(design, 0.12, LEVEL, 0.8)
    more_seeds = seeds_needed(design, distance, LEVEL, 0.8)
    assert more_prompts is not None and more_seeds is not None
    for shape, far in (((RUNS, more_prompts, seeds), 0.12), ((RUNS, prompts, more_seeds), distance)):
        law = crossed_effects(simulated(shape, run, 4)).confidence
        assert np.mean(passing(law, -far) < ALPHA) == pytest.approx(0.8, abs=0.03)
    assert prompts_needed(design, run / 2, LEVEL, 0.8) is None  # the spread over seeds does not go away by prompts
    alone = VarianceParts(prompts, 1, (PROMPT**2 + CELL**2) / prompts, prompts - 1, ())
    assert seeds_needed(alone, distance, LEVEL, 0.8) is None
    wanted = prompts_needed(alone, distance, LEVEL, 0.8)
    assert wanted is not None
    law = crossed_effects(simulated((RUNS, wanted, 1), 0.0, 5)).confidence
    assert np.mean(passing(law, -distance) < ALPHA) == pytest.approx(0.8, abs=0.03)


def from_law(a: str, law: Confidence, place: int) -> Contrast:
    """The contrast of one of many data sets, as the statistics write it."""
    estimate = float(np.asarray(law.estimate)[place])
    prompt = float(np.asarray(law.prompt_variance)[place])
    return made(
        0.5 + estimate, float(np.sqrt(prompt)), a=a, n_runs=1, n_prompts=60,
        components={"prompt_variance_of_mean": prompt, "prompt_df": law.prompt_df, "run_variance_of_mean": 0.0},
    )  # fmt: skip


def test_a_family_of_criteria_rarely_fires_by_chance_and_the_code_decides_as_the_laws_do() -> None:
    """Five methods without a difference: a superiority claim, or a regression, is found in at most 5% of gates."""
    methods, checked = 5, 20
    laws = [crossed_effects(simulated((RUNS, 60, 1), 0.0, 10 + number)).confidence for number in range(methods)]
    p_better, p_worse = (
        np.asarray([tail(law) for law in laws]) for tail in (lambda x: x.below(0), lambda x: x.above(0))
    )
    # Holm rejects nothing unless it rejects the smallest of all.
    assert np.mean(p_better.min(axis=0) < ALPHA / methods) < LIMIT
    assert np.mean(p_worse.min(axis=0) < ALPHA / methods) < LIMIT
    assert np.mean(p_better.min(axis=0) < ALPHA) > 3 * ALPHA  # what would happen without
    order = np.argsort(p_better.min(axis=0))[:: RUNS // checked]
    for place in order:
        found: list[Evidence] = []
        for number, law in enumerate(laws):
            line = Criterion(metric="win_rate", method=f"m{number}", versus="sft", superior_by=0.0)
            found.append(evidence(line, from_law(f"m{number}", law, place), LEVEL, "sft"))
            one = found[-1].law
            assert one is not None
            assert claim_p("superior_by", 0.0, one) == pytest.approx(p_better[number, place])
            assert regression_p("superior_by", 0.0, one) == pytest.approx(p_worse[number, place])
        verdicts = [item.verdict for item in decide(found, "holm")]
        assert ("pass" in verdicts) == bool(p_better[:, place].min() < ALPHA / methods)
        assert ("regression" in verdicts) == bool(p_worse[:, place].min() < ALPHA / methods)
        plain = [item.verdict for item in decide(found, "none")]
        assert [verdict == "pass" for verdict in plain] == (p_better[:, place] < ALPHA).tolist()


def test_holm_is_over_superiority_claims_and_over_regressions_and_leaves_the_rest_alone() -> None:
    pairs = [
        (criterion(superior_by=0.0), made(0.55, 0.02)),
        (criterion(superior_by=0.0), made(0.541, 0.02)),
        (criterion(not_worse_by=0.05), made(0.48, 0.02)),
        (criterion(equivalent_within=0.05), made(0.5, 0.02)),
    ]
    found = [evidence(line, contrast, LEVEL, "sft") for line, contrast in pairs]
    plain, holm = decide(found, "none"), decide(found, "holm")
    assert [item.verdict for item in plain] == ["pass", "pass", "undecided", "pass"]
    assert [item.p_adjusted == item.p for item in holm] == [False, True, True, True]  # the larger of two is kept
    assert holm[0].p is not None
    assert holm[0].p_adjusted == pytest.approx(2 * holm[0].p)
    lost = [evidence(criterion(not_worse_by=0.05), made(e, 0.02), LEVEL, "sft") for e in (0.41, 0.51, 0.52)]
    assert [item.verdict for item in decide(lost, "none")] == ["regression", "pass", "pass"]
    assert [item.verdict for item in decide(lost, "holm")] == ["undecided", "pass", "pass"]
    assert lost[0].law is not None
    p = regression_p("not_worse_by", 0.05, lost[0].law)
    assert decide(lost, "holm")[0].p_regression_adjusted == pytest.approx(3 * p)


def test_what_an_undecided_criterion_needs_is_in_its_sentence() -> None:
    contrast = made(
        0.56, 0.0271, n_prompts=100, n_runs=3,
        components={
            "prompt_variance_of_mean": 4e-4, "prompt_df": 99.0, "run_variance_of_mean": 3.344e-4, "run": 4e-4,
        },
    )  # fmt: skip
    (result,) = decide([evidence(criterion(superior_by=0.0), contrast, LEVEL, "sft")], "holm")
    design = design_of(contrast)
    assert design is not None
    assert result.needed is not None
    assert result.needed.distance == pytest.approx(0.06)
    assert result.needed.seeds == seeds_needed(design, 0.06, LEVEL, power_wanted("superior_by"))
    assert (
        design.reach(100, result.needed.seeds or 0, LEVEL, 0.8)
        <= 0.06
        < design.reach(100, (result.needed.seeds or 0) - 1, LEVEL, 0.8)
    )
    assert result.needed.prompts == prompts_needed(design, 0.06, LEVEL, 0.8)
    assert sentence(result).endswith(
        f"if the advantage seen is the true one it needs {result.needed.prompts:,} prompts at 3 seeds or "
        f"{result.needed.seeds} seeds at 100 prompts"
    )
    (hopeless,) = decide([evidence(criterion(superior_by=0.2), contrast, LEVEL, "sft")], "holm")
    assert hopeless.needed is not None
    assert (hopeless.needed.prompts, hopeless.needed.seeds) == (None, None)
