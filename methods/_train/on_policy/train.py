"""The body of the methods that learn from reward: draw responses, estimate advantages, take steps, again and again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from bench.core.datasets import read_prompts
from bench.core.errors import StageError
from bench.core.lengths import LengthCounts, SpellingCounts, told
from bench.core.meter import READ_FLOPS
from bench.core.stage import StageIO
from bench.models.hf import HFPolicy
from bench.models.rewards import open_reward
from methods._train.loop.batches import TRAINED_FLOPS, order_of
from methods._train.loop.checkpoint import Pace, State, read_checkpoint
from methods._train.loop.loop import write_diagnostics, write_log
from methods._train.loop.tune import loaded, store
from methods._train.on_policy.critic import critic_of
from methods._train.on_policy.objective import Advantages, Objective
from methods._train.on_policy.reward_optimisation import TrainOnReward
from methods._train.on_policy.rollouts import Rollouts, Sampler, answerable
from methods._train.on_policy.update import Extra, PolicyUpdater, Update

LOG = logging.getLogger(__name__)
# The number of the "update" that held-out prompts are answered in, so that their noise is their own.
HELD_OUT = 2**32 - 1


def train_on_reward(
    stage: TrainOnReward,
    io: StageIO,
    objective: Objective,
    extra_of: Callable[[HFPolicy, PolicyUpdater], tuple[Extra, LengthCounts]] | None = None,
    checkpoint_updates: int | None = None,
) -> None:
    """Train ``stage.init`` on the reward of its own responses, and write the policy, the log and diagnostics.

    ``extra_of(policy, updater)`` returns a further loss for every optimiser step, and what was cut of its data. Prompts
    that leave no room for a response are left out and counted (``answerable``). ``checkpoint_updates``: a checkpoint
    after so many updates; None: by time. A run that was killed goes on from its last checkpoint to the same weights,
    bit for bit, unless its budget is in seconds.

    The budget is never exceeded by what the policies read, write and learn: responses are drawn only if the longest
    possible ones can be paid for, and learnt from only if that can. What a judge reads to rate them is counted too, but
    known only afterwards. The learning rate is laid out for ``updates``, whenever the budget ends.
    """
    if stage.optimisation.graph == "compiled":
        raise StageError(
            f"{stage.label()}: layers are not compiled where a policy learns from its own responses: every update has "
            "other lengths, and compiling for each takes longer than it saves. Set graph: eager."
        )
    run = _OnPolicyTraining(stage, io, objective, extra_of)
    run.resume()
    run.train(Pace(checkpoint_updates))
    run.write()


class _OnPolicyTraining:
    """One training under way."""

    def __init__(
        self,
        stage: TrainOnReward,
        io: StageIO,
        objective: Objective,
        extra_of: Callable[[HFPolicy, PolicyUpdater], tuple[Extra, LengthCounts]] | None,
    ) -> None:
        self.stage, self.io, self.objective = stage, io, objective
        practice = stage.practice
        self.policy = loaded(stage, io)
        asked, counts = answerable(stage, self.policy, read_prompts(stage.data, io))
        self.lengths = [counts]
        count = len(asked.prompts)
        self.train_prompts = count - practice.held_out
        if self.train_prompts < 1:
            raise StageError(
                f"{stage.label()}: {count} prompts, of which {practice.held_out} are held out: none is left."
            )
        self.held_out = range(self.train_prompts, count)
        self.sampler = Sampler(stage, io, self.policy, asked, open_reward(stage.reward, io, asked_by=stage))
        critic = None if objective.critic is None else critic_of(stage, io, self.policy, objective.critic)
        self.updater = PolicyUpdater(stage, self.policy, critic, objective, io.device)
        if extra_of is not None:
            self.updater.extra, counts = extra_of(self.policy, self.updater)
            self.lengths.append(counts)
        needed = practice.updates * practice.prompts_per_update
        self.order = order_of(self.train_prompts, -(-needed // self.train_prompts), stage.seed)
        self.log: list[dict[str, float]] = []
        self.extra: dict[str, Any] = {  # in checkpoints
            "coefficient": objective.kl_coefficient,
            "best": None,
            "kept": None,
            "weights": {},
        }
        self.started = time.monotonic()

    def resume(self) -> None:
        """Take up the state of a killed run, if it left one."""
        found = read_checkpoint(self.io)
        if found is None:
            return
        self.updater.optimizer.restore(found.weights, found.optimiser)
        self.log, self.extra = found.log, found.extra
        self.started -= found.meter.seconds
        self.io.meter = self.io.meter + found.meter

    def train(self, pace: Pace) -> None:
        """Take every update that is left and can be paid for, with checkpoints on the way."""
        updates = self.stage.practice.updates
        while len(self.log) < updates:
            row = self._update(len(self.log))
            if row is None:
                break
            self.log.append(row)
            done = len(self.log)
            if self.held_out and done % self.stage.practice.select_every == 0:
                row.update(self._select(done))
            if pace.due(done):
                pace.write(self._snapshot(), self.io.scratch)
            self.io.progress(done, updates, "update")
        if self.held_out and self.log and "held_out_reward" not in self.log[-1]:
            self.log[-1].update(self._select(len(self.log)))
        if not self.log:
            budget = self.stage.budget
            raise StageError(
                f"{self.stage.label()}: the budget of {budget.value:g} {budget.axis} does not pay for one update of "
                f"{self.stage.practice.prompts_per_update} prompts. Raise given.budget.value, or lower "
                "prompts_per_update."
                if budget is not None
                else f"{self.stage.label()}: no update was taken"
            )

    def write(self) -> None:
        """Write the policy that was kept, the log and the diagnostics."""
        optimizer = self.updater.optimizer
        if self.extra["kept"] is not None:
            optimizer.restore(self.extra["weights"])
        optimizer.finish()
        store(self.stage, self.io, self.policy)
        write_log(self.log, self.io)
        names = ("held_out_reward", "held_out_kl", "held_out_objective")
        found = {
            "updates": len(self.log),
            "kept_update": self.extra["kept"] or len(self.log),
            "held_out": [
                {"update": int(row["step"]) + 1, **{name: row[name] for name in names}}
                for row in self.log
                if names[0] in row
            ],
            **ends(self.log),
        }
        if "warning" in found:
            LOG.warning("%s: %s", self.stage.label(), found["warning"])
        write_diagnostics({**found, **told(self.lengths), **self._spelling().told()}, self.io)

    def _spelling(self) -> SpellingCounts:
        """Return what there is to tell of the data's responses and of those that were learnt from."""
        practice = self.stage.practice
        written = sum(int(row["special_tokens"]) for row in self.log if "special_tokens" in row)
        responses = len(self.log) * practice.prompts_per_update * practice.samples
        return self.policy.tokens.counts().model_copy(update={"written": written, "responses": responses})

    def _update(self, number: int) -> dict[str, float] | None:
        """Take one update and return its log row; None when the budget does not pay for it."""
        size = self.stage.practice.prompts_per_update
        numbers = [int(row) for row in self.order[number * size : (number + 1) * size]]
        responses = size * self.stage.practice.samples
        if not self._pays(responses, *self._drawing(self.sampler.most_tokens(numbers))):
            return None
        rollouts = self.sampler.draw(numbers, number)
        if self.updater.critic is not None:
            longer = self.updater.valued(rollouts)
            values = self.updater.critic.all_values(longer, rollouts.mask.shape)
            rollouts = replace(rollouts, values=values * rollouts.value_mask)
            self._charge_reading(rollouts)
        trained = self._tokens(rollouts) * self.stage.optimisation.epochs
        if not self._pays(responses, trained, TRAINED_FLOPS * self._parameters() * trained):
            return None
        kl_coefficient = self.extra["coefficient"]
        advantages = self.objective.advantages_of(rollouts, kl_coefficient)
        rate = self.stage.optimisation.rate_at(number, self.stage.practice.updates)
        found = self.updater.apply(Update(number, rollouts, advantages, kl_coefficient, rate))
        self._charge_training(rollouts, found["passes"])
        kl = float(rollouts.kl().mean())
        self.extra["coefficient"] = self.objective.adapt(kl_coefficient, kl, responses)
        return {
            "step": number,
            **_described(rollouts, advantages),
            **found,
            "kl_coefficient": kl_coefficient,
            "lr": rate,
        }

    def _select(self, done: int) -> dict[str, float]:
        """Answer the held-out prompts, and keep the weights if they are the best so far."""
        rollouts = self.sampler.draw(self.held_out, HELD_OUT)
        score, kl = float(rollouts.scores.mean()), float(rollouts.kl().mean())
        # An adaptive coefficient has moved since the kept weights were measured: both are weighed by the present one.
        coefficient = self.extra["coefficient"]
        reached, best = self.objective.worth(score, kl, coefficient), self.extra["best"]
        if best is None or reached > self.objective.worth(best[0], best[1], coefficient):
            weights = {name: values.clone() for name, values in self.updater.optimizer.weights().items()}
            self.extra.update(best=(score, kl), kept=done, weights=weights)
        return {"held_out_reward": score, "held_out_kl": kl, "held_out_objective": reached}

    def _drawing(self, tokens: int) -> tuple[int, float]:
        """Return the tokens and FLOPs of drawing so many: written, and read by the reference and the critic."""
        critic = self.updater.critic
        read = 0 if critic is None else critic.policy.parameters
        own = 1 + self.sampler.scorings
        readers = own + (critic is not None)
        return readers * tokens, READ_FLOPS * tokens * (own * self.policy.parameters + read)

    def _pays(self, responses: int, tokens: int, flops: float) -> bool:
        """Return whether the budget covers so much more; it always covers the beginning of the first update."""
        budget, meter = self.stage.budget, self.io.meter
        if budget is None:
            return True
        if budget.axis == "seconds":
            return not self.log or time.monotonic() - self.started < budget.value
        if budget.axis == "examples":
            return meter.examples + responses <= budget.value
        if budget.axis == "tokens":
            return meter.trained_tokens + meter.read_tokens + meter.generated_tokens + tokens <= budget.value
        return meter.flops + flops <= budget.value

    def _parameters(self) -> int:
        """Return the parameters of the models that learn."""
        critic = self.updater.critic
        return self.policy.parameters + (
            critic.policy.parameters if critic is not None and self.updater.separate else 0
        )

    def _tokens(self, rollouts: Rollouts) -> int:
        return sum(len(group.prompt) + len(response) for group in rollouts.groups for response in group.responses)

    def _charge_reading(self, rollouts: Rollouts) -> None:
        """Count what the critic read."""
        tokens = self._tokens(rollouts)
        self.io.meter.read_tokens += tokens
        critic = self.updater.critic
        if critic is not None:
            self.io.meter.flops += READ_FLOPS * critic.policy.parameters * tokens

    def _charge_training(self, rollouts: Rollouts, passes: float) -> None:
        """Count what was learnt from; a separate critic's training is in the FLOPs only."""
        tokens = self._tokens(rollouts) * int(passes)
        self.io.meter.examples += len(rollouts.scores)
        self.io.meter.trained_tokens += tokens
        self.io.meter.flops += TRAINED_FLOPS * self._parameters() * tokens

    def _snapshot(self) -> State:
        optimizer = self.updater.optimizer
        meter = replace(self.io.meter, seconds=time.monotonic() - self.started)
        return State(len(self.log), optimizer.weights(), optimizer.moments(), self.log, meter, self.extra)


def _described(rollouts: Rollouts, advantages: Advantages) -> dict[str, float]:
    """Return what a log row says of the responses of an update.

    ``reward``: the mean score, penalties included. ``kl``: the mean of log pi - log pi_ref over responses.
    ``entropy``: of the sampling policy per token, estimated by the mean of -log pi of what it drew.
    ``ended_reward`` and ``unended_reward``: the mean scores of the responses with and without an end, in updates that
    have both. ``special_tokens``: in how many a special token stands before the end, where there are any.
    ``explained_variance``: of the returns by the critic, where there is one and the returns differ.
    """
    tokens = rollouts.mask.sum()
    found = {
        "reward": float(rollouts.scores.mean()),
        "kl": float(rollouts.kl().mean()),
        "entropy": float(-rollouts.logprobs.sum() / tokens),
        "response_tokens": float(tokens / len(rollouts.scores)),
        "without_end": float(1 - rollouts.ended.float().mean()),
    }
    if bool(rollouts.ended.any()) and not bool(rollouts.ended.all()):
        found["ended_reward"] = float(rollouts.scores[rollouts.ended].mean())
        found["unended_reward"] = float(rollouts.scores[~rollouts.ended].mean())
    if bool(rollouts.special.any()):
        found["special_tokens"] = float(rollouts.special.sum())
    explained = explained_variance(advantages.returns, rollouts.values, advantages.valued)
    return found if explained is None else {**found, "explained_variance": explained}


def ends(log: Sequence[Mapping[str, float]]) -> dict[str, int | str]:
    """Return how many updates had responses with and without an end, and in how many the former scored lower.

    Where that is most of them there is a ``warning`` as well: the policy is paid for not ending.
    """
    both = [row for row in log if "ended_reward" in row]
    lower = sum(row["ended_reward"] < row["unended_reward"] for row in both)
    found: dict[str, int | str] = {"updates_with_both_ends": len(both), "ended_scored_lower": lower}
    if 2 * lower > len(both):
        found["warning"] = (
            f"in {lower} of {len(both)} updates responses that ended scored lower than those without an end, so the "
            "policy is paid for not ending: raise missing_end_penalty or max_new_tokens, or look at the reward"
        )
    return found


def explained_variance(returns: Tensor, values: Tensor, mask: Tensor) -> float | None:
    """Return 1 - Var(returns - values) / Var(returns) over the mask; None where the returns do not differ."""
    spread = returns[mask].var(correction=0) if bool(mask.any()) else returns.new_zeros(())
    if float(spread) == 0:
        return None
    return float(1 - (returns - values)[mask].var(correction=0) / spread)
