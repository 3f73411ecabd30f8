"""Training speed of PPO against the last TRL that had it, which runs in an environment of its own."""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from bench.core.data import Data
from bench.core.frozen import digest_of_file
from bench.core.meter import Meter
from bench.core.policy import Pretrained
from bench.core.reward import ModelReward
from bench.core.stage import StageIO
from bench.models.load import load_model
from bench.models.reward_model import new_head, save_head
from methods._train.loop.checkpoint import Pace
from methods._train.on_policy.reward_optimisation import Critic, Practice
from methods._train.on_policy.train import _OnPolicyTraining
from methods._train.rewards.stage import TrainRewardModel
from methods._train.settings import Optimisation
from methods.ppo import PPO, TrainPPO
from tests.benchmarks.measure import Row, alternately
from tests.benchmarks.sampling import prompts
from tests.benchmarks.workloads import END, Size, text, tokenizer

DRIVER = Path(__file__).with_name("trl_ppo.py")
RESPONSE, UPDATES, BEGIN = 128, 2, 1
PROMPTS = (8, 128)
# One token in so many ends a row; this and the lengths are those of the benchmark of sampling.
END_IN = 64


def ppo(size: Size, batch: int, critic: Critic, rounds: int, python: Path) -> Row:
    """Compare rollouts per second: drawn, scored, and learnt from in 4 passes.

    ``critic``: ours; TRL's is always a model of its own. ``python``: that of an environment with trl==1.12.0.
    """
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    write_inputs(folder, ending(size.model()), batch)
    # -I: the modules beside the driver must not stand in the place of the standard library's of the same name.
    command = [str(python), "-I", str(DRIVER), str(folder), str(batch), str(RESPONSE), str(UPDATES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            ours, theirs = alternately(our_ppo(folder, batch, critic), their_ppo(process), rounds)
        finally:
            process.kill()
    count = batch * UPDATES
    return Row(
        "PPO, against TRL 1.12's PPOTrainer",
        size.name,
        f"{UPDATES} updates of {batch} prompts of {PROMPTS[0]}-{PROMPTS[1]} tokens, up to {RESPONSE} new, about 1 in "
        f"{END_IN} ends a row, 4 passes, {critic} critic",
        "rollouts/s",
        [count / seconds for seconds in ours],
        [count / seconds for seconds in theirs],
        3.0 if critic == "separate" else None,
    )


@torch.no_grad()
def ending(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """Return the model, changed so that it ends a response at about one token in ``END_IN``.

    TRL knows one end token only, and a model with random weights writes each as seldom as any other. So every token's
    embedding gets a 1 in one place, and that of the end token so much more that its logit (the head is the embeddings)
    stands as far above the others' as it takes, given what the last norm makes of that place.
    """
    table = model.get_input_embeddings().weight
    table[:, 0] = 1.0
    states = model.base_model(torch.tensor(prompts(8, 128, 128))).last_hidden_state
    table[END, 0] += math.log((len(table) - 1) / (END_IN - 1)) / states[..., 0].mean()
    return model


def write_inputs(folder: Path, model: LlamaForCausalLM, batch: int) -> None:
    """Write the model with its tokenizer, the prompts as ids and as texts, and a reward model of the same weights."""
    rows = [[BEGIN, *row] for row in prompts(batch * UPDATES, *PROMPTS)]
    words = tokenizer()
    for place in ("model", "reward/policy"):
        model.save_pretrained(folder / place)
        words.save_pretrained(folder / place)
    (folder / "prompts.json").write_text(json.dumps(rows), encoding="utf-8")
    lines = [json.dumps({"prompt": text(row)}) for row in rows]
    (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    save_head(new_head(load_model(Pretrained(path=str(folder / "model")), io_of(folder)), 0), folder / "reward")


def io_of(folder: Path) -> StageIO:
    out = Path(tempfile.mkdtemp(prefix="benchmark-"))
    return StageIO(out=out, scratch=out, read_payload=lambda _stage: folder / "reward", meter=Meter())


def stage_of(folder: Path, batch: int, critic: Critic) -> TrainPPO:
    """Return PPO as TRL's defaults have it: 4 passes of one minibatch; a separate critic starts as the reward model."""
    data = Data(path=str(folder / "prompts.jsonl"), digest=digest_of_file(folder / "prompts.jsonl"))
    init = Pretrained(path=str(folder / "model"))
    optimisation = Optimisation(lr=1e-5, epochs=4, batch_size=batch, warmup=0.0, schedule="linear")
    alike = {"init": init, "data": data, "lora": None, "budget": None, "max_length": 512, "seed": 0}
    reward_model = TrainRewardModel(**alike, optimisation=optimisation, held_out=0.1, references=None, spread="natural")
    settings = {name: value for name, value in PPO() if name in TrainPPO.model_fields}
    own = {
        "optimisation": optimisation,
        "reward": ModelReward(by=reward_model),
        "practice": Practice(updates=UPDATES, prompts_per_update=batch, max_new_tokens=RESPONSE),
        "demonstrations": None,
        "critic": critic,
    }
    return TrainPPO(**{**settings, **alike, **own})


def our_ppo(folder: Path, batch: int, critic: Critic) -> Callable[[int], float]:
    """Return a function that trains a policy, loaded before the clock starts, and returns the seconds."""

    def run(number: int) -> float:
        stage = stage_of(folder, batch, critic).model_copy(update={"seed": number})
        training = _OnPolicyTraining(stage, io_of(folder), stage.objective(), None)
        began = time.process_time()
        training.train(Pace(None))
        return time.process_time() - began

    return run


def their_ppo(process: subprocess.Popen[str]) -> Callable[[int], float]:
    """Return a function that has the other process train and returns the seconds it took there."""

    def run(number: int) -> float:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process was started without pipes")
        process.stdin.write(f"{number}\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    return run
