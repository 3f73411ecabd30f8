"""Damage to what stages keep between attempts: from the start, told, and to the same weights; never to others.

Each case trains a small net until it is killed behind a checkpoint, harms what is in the scratch folder, and goes on.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.core.stage import Progress, StageIO
from methods._train.loop.checkpoint import FILE
from methods._train.loop.kept import DIGESTS
from methods._train.loop.loop import LossSum, Training, fit
from methods._train.loop.resumable import in_parts
from methods._train.settings import Optimisation
from tests.faults.case import Case

TITLE = "damage to checkpoints and to finished parts of a stage, then on from there"
IN_SUITE = 6
BITS = 60
STEPS, KILLED_AT = 6, 4
SETTINGS = Optimisation(lr=0.05, epochs=3, batch_size=2)
ITEMS = ["a", "b", "c", "d", "e"]
Harm = Callable[[Path], None]


class Killed(BaseException):
    """The process was killed."""


def _nothing(_stage: object) -> Path:
    raise AssertionError("no stage is read")


def io_of(folder: Path, told: list[str]) -> StageIO:
    """Return where a stage writes and keeps, below a folder, with its payload empty; warnings go to ``told``."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    for name in ("out", "scratch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return StageIO(folder / "out", folder / "scratch", _nothing, on_warning=told.append)


def trained(io: StageIO) -> list[Tensor]:
    """Return the weights of a net that was trained on."""
    net = nn.Linear(3, 1)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[0.5, -0.25, 0.125]]))
        net.bias.zero_()
    rows = [torch.tensor([float(number), 1.0, -1.0]) for number in range(4)]

    def loss_of(batch: object) -> LossSum:
        inputs = torch.stack(list(batch))  # type: ignore[call-overload]
        return LossSum((net(inputs).squeeze(-1) - inputs.sum(-1)).square().sum(), weight=len(inputs))

    fit(Training(net, rows, [3] * 4, loss_of, checkpoint_steps=1), SETTINGS, io, budget=None, seed=3)
    return [part.detach().clone() for part in net.parameters()]


@cache
def undisturbed() -> list[Tensor]:
    """Return the weights of a training that nothing happened to."""
    import tempfile  # noqa: PLC0415 - once

    with tempfile.TemporaryDirectory() as folder:
        return trained(io_of(Path(folder), []))


def killed(folder: Path) -> None:
    """Leave what a training leaves that was killed."""

    def kill(progress: Progress) -> None:
        if progress.done == KILLED_AT:
            raise Killed

    try:
        trained(replace(io_of(folder, []), on_progress=kill))
    except Killed:
        return
    raise AssertionError("it was not killed")


def goes_on(harm: Harm, told_of: bool, folder: Path) -> None:
    """Raise AssertionError unless a training whose scratch folder was harmed ends at the same weights, and tells it."""
    killed(folder)
    harm(folder / "scratch")
    told: list[str] = []
    steps: list[int] = []
    io = replace(io_of(folder, told), on_progress=lambda progress: steps.append(progress.done))
    weights = trained(io)
    assert all(torch.equal(one, other) for one, other in zip(weights, undisturbed(), strict=True)), "other weights"
    assert bool(told) == told_of, told
    assert len(steps) == (STEPS if told_of else STEPS - KILLED_AT), f"{len(steps)} steps were taken"


def parts_go_on(harm: Harm, told_of: bool, folder: Path) -> None:
    """Raise AssertionError unless work of which a finished part was harmed gives the same rows, and tells it."""
    done: list[str] = []

    def work(items: object) -> list[dict[str, object]]:
        done.extend(items)  # type: ignore[arg-type]
        return [{"item": item, "length": len(item) * 3} for item in items]  # type: ignore[attr-defined]

    whole = in_parts(io_of(folder, []), "part", ITEMS, 2, work)
    done.clear()
    harm(folder / "scratch")
    told: list[str] = []
    assert in_parts(io_of(folder, told), "part", ITEMS, 2, work) == whole
    assert bool(told) == told_of, told
    assert bool(done) == told_of, done


def flip(name: str, share: float, scratch: Path) -> None:
    """Flip the bit that lies at so much of a file's length."""
    content = bytearray((scratch / name).read_bytes())
    place = int(share * (len(content) * 8 - 1))
    content[place // 8] ^= 1 << (place % 8)
    (scratch / name).write_bytes(bytes(content))


def cut(name: str, share: float, scratch: Path) -> None:
    os.truncate(scratch / name, int((scratch / name).stat().st_size * share))


def gone(name: str, scratch: Path) -> None:
    (scratch / name).unlink()


def holds(name: str, content: bytes, scratch: Path) -> None:
    (scratch / name).write_bytes(content)


def is_a_folder(name: str, scratch: Path) -> None:
    (scratch / name).unlink(missing_ok=True)
    (scratch / name / "within").mkdir(parents=True)


def leads_to_itself(name: str, scratch: Path) -> None:
    (scratch / name).unlink(missing_ok=True)
    (scratch / name).symlink_to(name)


def swapped(scratch: Path) -> None:
    """The file is whole and another: what torch reads, with weights of its own."""
    found = torch.load(scratch / FILE, weights_only=True)
    torch.save({**found, "weights": {name: part + 1 for name, part in found["weights"].items()}}, scratch / FILE)


def between(scratch: Path) -> None:
    """A kill came between the digests and the file: the digests are of a file that is not there yet, and of this."""
    digests = scratch / f"{FILE}{DIGESTS}"
    digests.write_text("0" * 64 + "\n" + digests.read_text())
    (scratch / f"{FILE}.partial").write_bytes(b"half")


def untouched(_scratch: Path) -> None:
    """Nothing happens."""


def cases() -> list[Case]:
    """60 bits of a checkpoint, each at another place, and what else happens to it, to its digest and to parts."""
    beside, part = f"{FILE}{DIGESTS}", "part-00000002.json"
    harms: dict[str, tuple[Harm, bool]] = {
        "nothing": (untouched, False),
        "a kill between digest and file": (between, False),
        "no checkpoint's digest": (partial(gone, beside), True),
        "a bit of the digest": (partial(flip, beside, 0.1), True),
        "half of the digest": (partial(cut, beside, 0.2), True),
        "the digest is empty": (partial(holds, beside, b""), True),
        "the digest is no text": (partial(holds, beside, b"\xff\xfe" * 32), True),
        "the digest is a folder": (partial(is_a_folder, beside), True),
        "the digest leads to itself": (partial(leads_to_itself, beside), True),
        "half of the checkpoint": (partial(cut, FILE, 0.5), True),
        "the checkpoint but for its last byte": (partial(cut, FILE, 0.9999), True),
        "the checkpoint is empty": (partial(holds, FILE, b""), True),
        "the checkpoint is zeros": (partial(holds, FILE, bytes(4096)), True),
        "the checkpoint is a text": (partial(holds, FILE, b"torn"), True),
        "the checkpoint is a folder": (partial(is_a_folder, FILE), True),
        "the checkpoint leads to itself": (partial(leads_to_itself, FILE), True),
        "the checkpoint is another": (swapped, True),
        "what is being written is a folder": (partial(is_a_folder, f"{FILE}.partial"), False),
    }
    of_parts: dict[str, tuple[Harm, bool]] = {
        "no part": (untouched, False),
        "a bit of a part": (partial(flip, part, 0.5), True),
        "half of a part": (partial(cut, part, 0.5), True),
        "a part is null": (partial(holds, part, b"null"), True),
        "a part is empty": (partial(holds, part, b""), True),
        "a part's digest is gone": (partial(gone, f"{part}{DIGESTS}"), True),
        "a part is a folder": (partial(is_a_folder, part), True),
    }
    bits = [Case(f"bit {number + 1} of {BITS}", partial(goes_on, partial(flip, FILE, number / (BITS - 1)), True))
            for number in range(BITS)]  # fmt: skip
    return [
        *bits,
        *(Case(name, partial(goes_on, harm, told)) for name, (harm, told) in harms.items()),
        *(Case(f"parts: {name}", partial(parts_go_on, harm, told)) for name, (harm, told) in of_parts.items()),
    ]
