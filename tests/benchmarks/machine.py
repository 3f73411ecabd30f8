"""How much of the machine's matmul rate a training step reaches, and where its time goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import torch
from torch.profiler import ProfilerActivity, profile

from tests.benchmarks.measure import Row, alternately
from tests.benchmarks.training import our_dpo
from tests.benchmarks.workloads import TINY, Pair, Size, pairs

SIDE = 1024


def matmul_rate(_number: int = 0) -> float:
    """Return the floating-point operations per second of a square float32 product on this thread."""
    left, right = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    out = torch.empty(SIDE, SIDE)
    torch.mm(left, right, out=out)
    repeats = 20
    began = time.process_time()
    for _ in range(repeats):
        torch.mm(left, right, out=out)
    return repeats * 2 * SIDE**3 / (time.process_time() - began)


def model_flops(size: Size, rows: Sequence[Pair]) -> float:
    """Return what one training over the pairs must compute: 6 per matrix entry and token, each prompt once.

    The head counts for response tokens only, and so does the last layer, but for keys and values: nothing reads what
    it makes of a prompt. Attention takes 12 * width per layer and pair of positions that see each other. Padding,
    recomputation and the optimiser do not count.
    """
    total = 0.0
    unread = size.matrices() / size.layers - 2 * size.width**2  # of the last layer's matrices, per position
    for row in rows:
        prompt, responses = len(row.prompt), (len(row.chosen), len(row.rejected))
        seen = prompt * (prompt + 1) / 2
        read = sum((own - 1) * (prompt + own / 2) for own in responses)
        total += 6 * size.matrices() * (prompt + sum(own - 1 for own in responses))
        total -= 6 * unread * (prompt - 1)
        total += 6 * size.width * size.vocabulary * sum(responses)
        total += 12 * size.width * ((size.layers - 1) * (seen + read) + prompt + read)
    return total


def share(size: Size, count: int, rounds: int) -> Row:
    """Compare the rate of a DPO step with that of a matmul alone."""
    rows = pairs(count, 96, 32)
    run = our_dpo(size.model(), rows, 16)
    flops = model_flops(size, rows)
    ours, theirs = alternately(lambda number: flops / run(number) / 1e9, lambda _: matmul_rate() / 1e9, rounds)
    return Row(
        "DPO step's FLOPs, against a matmul alone",
        size.name,
        f"{count} pairs, prompt:response 96:32, batch 16",
        "GFLOP/s",
        ours,
        theirs,
        None,
    )


def show_profile(size: Size = TINY, count: int = 96) -> None:
    """Print the operations that take the most time in a DPO training."""
    run = our_dpo(size.model(), pairs(count, 96, 32), 16)
    run(0)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        run(1)
    sys.stdout.write(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=16) + "\n")
