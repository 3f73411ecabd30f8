"""What drawing a token by Gumbel noise costs, beside the step that gives its logits and beside inverting the sums."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from bench.core.policy import Decoding
from bench.models.decoding.noise import keys
from bench.models.decoding.sampling import choose
from bench.models.decoding.session import open_session
from tests.benchmarks.measure import Row
from tests.benchmarks.sampling import prompts
from tests.benchmarks.workloads import Size

SMOL = Size("Llama 135M, vocabulary 49k", 576, 1536, 30, 9, vocabulary=49_152)
WORLD = Size("Llama 0.23M, vocabulary 512", 64, 172, 4, 4, vocabulary=512)
DECODING = Decoding(temperature=1.0)


def inverted(logits: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Return what was drawn before Gumbel noise: where a uniform number falls in the sums of the probabilities.

    Shapes: logits (batch, vocabulary), uniform (batch,); the token and its log-probability, (batch,) each.
    """
    scores = (logits / DECODING.temperature).log_softmax(-1)
    edges = scores.exp().double().cumsum(-1)
    target = uniform.double()[:, None] * edges[:, -1:]
    tokens = torch.searchsorted(edges, target, right=True)[:, 0].clamp_max(logits.shape[-1] - 1)
    return tokens, scores.gather(-1, tokens[:, None])[:, 0]


@torch.inference_mode()
def seconds(size: Size, count: int, steps: int) -> Callable[[int], tuple[float, float, float]]:
    """Return a function that decodes and returns processor seconds: of the model, of choosing, of inverting."""
    model = size.model().eval()
    rows = [[token % size.vocabulary for token in row] for row in prompts(count, 20, 20)]

    @torch.inference_mode()
    def run(number: int) -> tuple[float, float, float]:
        session = open_session(model, rows, 0)
        noise = torch.from_numpy(keys(range(number * count, (number + 1) * count), steps))
        uniform = torch.rand(count, steps, generator=torch.Generator().manual_seed(number))
        found = [0.0, 0.0, 0.0]
        for step in range(steps):
            began = time.process_time()
            logits = session.logits()
            found[0] += time.process_time() - began
            # Who chooses second finds the logits in the processor's cache, so they take turns.
            for which in (1, 2) if step % 2 else (2, 1):
                began = time.process_time()
                drawn = choose(logits, DECODING, noise[:, step]) if which == 1 else inverted(logits, uniform[:, step])
                found[which] += time.process_time() - began
                tokens = drawn[0]
            began = time.process_time()
            session.push(tokens)
            found[0] += time.process_time() - began
        return found[0] / steps, found[1] / steps, found[2] / steps

    return run


def _rounds(size: Size, count: int, steps: int, rounds: int) -> list[tuple[float, float, float]]:
    run = seconds(size, count, steps)
    return [run(number) for number in range(rounds + 1)][1:]


def share_of_a_step(size: Size, count: int, steps: int, rounds: int) -> Row:
    """Compare the choice of a token with the model's step before it."""
    found = _rounds(size, count, steps, rounds)
    data = f"{count} rows, {steps} steps"
    what = "choosing a token, against the model's step"
    return Row(what, size.name, data, "s", [one[1] for one in found], [one[0] for one in found], 0.1, at_most=True)


def against_inverting(size: Size, count: int, steps: int, rounds: int) -> Row:
    """Compare a whole decoding step with one that inverts the sums of the probabilities."""
    found = _rounds(size, count, steps, rounds)
    ours, theirs = ([one[0] + one[which] for one in found] for which in (1, 2))
    data = f"{count} rows, {steps} steps"
    return Row("decoding step, against inverting", size.name, data, "s", ours, theirs, 1.05, at_most=True)
