"""What is checked of a family: the model in memory, then saved, loaded and trained through the project's own stages."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import PreTrainedModel

from bench.core.files import digest_of_folder
from bench.core.method import Given
from bench.core.policy import Decoding, Pretrained, Tuned
from bench.core.task import user
from bench.models.decoding.sampling import Drawn, draw_batch
from bench.models.decoding.session import open_session, way_of
from bench.models.likelihood.logprobs import Group, response_logprobs
from bench.models.load import load_policy
from bench.models.packing.decoder import decoder_of
from bench.models.packing.halves import check_halves
from bench.models.packing.rope import forget
from bench.models.packing.sharing import packs, why_not_shared
from methods.dpo import DPO
from methods.sft import SFT
from tests.families.families import VOCABULARY, Family
from tests.methods.tiny import DEMONSTRATIONS, PREFERENCES, Bench, data, log, tokenizer

# Log-probabilities that differ by less are the same up to rounding. A dropped cache differs by 1 to 8.
CLOSE = 1e-3
NEW = 12  # tokens that are written
ENDS = frozenset(range(3, 9))  # so many tokens end a response that rows leave at different times


def ids(count: int, start: int) -> list[int]:
    return [4 + (7 * (start + place) + (start + place) ** 2) % (VOCABULARY - 4) for place in range(count)]


# Prompts and responses on either side of every window, chunk and length of pretraining, one prompt several times.
PROMPTS = [ids(3, 1), ids(14, 5), ids(9, 40), ids(2, 7), ids(14, 5), ids(9, 21), ids(3, 1)]
GROUPS = [
    Group(ids(5, 0), [ids(4, 3), ids(9, 8)]),
    Group(ids(14, 30), [ids(12, 2), ids(3, 11)]),
    Group(ids(2, 50), [ids(20, 9), ids(1, 4)]),
]


@dataclass
class Outcome:
    """What was found: the paths taken, what the log says of them, and what failed, by check."""

    family: Family
    parameters: int
    scoring: str = ""
    decoding: str = ""
    said: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def check(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever it is, it is this check's failure
            self.failed[name] = f"{type(error).__name__}: {str(error)[:300]}"


def of_row(model: PreTrainedModel, prompt: Sequence[int], response: Sequence[int]) -> torch.Tensor:
    """The model's own log-probabilities of a response: the row alone, one full pass, transformers' own head.

    The last token, from which nothing is predicted, is not read: it may make the text one of another kind.
    """
    forget(model)
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            written = torch.tensor([[model.config.decoder_start_token_id, *response[:-1]]])
            logits = model(input_ids=torch.tensor([prompt]), decoder_input_ids=written, use_cache=False).logits.float()
        else:
            logits = model(input_ids=torch.tensor([[*prompt, *response[:-1]]]), use_cache=False).logits.float()
    found = logits.log_softmax(-1)[0, -len(response) :]
    return found.gather(-1, torch.tensor([list(response)]).T)[:, 0]


def of_steps(model: PreTrainedModel, prompt: Sequence[int], response: Sequence[int]) -> torch.Tensor:
    """The same token by token, for models that read a text of another length otherwise."""
    return torch.stack(
        [of_row(model, [*prompt, *response[:place]], [token])[0] for place, token in enumerate(response)]
    )


def drawn(model: PreTrainedModel, prompts: Sequence[Sequence[int]], seeds: Sequence[int]) -> list[Drawn]:
    session = open_session(model, prompts, 0)
    return draw_batch(session, Decoding(max_new_tokens=NEW), seeds, ENDS, lambda _count: None)


def assert_close(found: torch.Tensor, wanted: torch.Tensor, what: str) -> None:
    difference = float((found - wanted).abs().max())
    assert difference < CLOSE, f"{what}: log-probabilities differ by {difference:.2g}"


def check_family(family: Family, folder: Path) -> Outcome:
    """Return what was found of a family; nothing is raised."""
    model = family.build()
    outcome = Outcome(family, sum(part.numel() for part in model.parameters()))
    with saying(outcome.said):
        with outcome.check("halves"):
            check_halves(model)
        with outcome.check("scored = alone"), torch.no_grad():
            check_scoring(model)
        with outcome.check("decoded = full pass"):
            check_decoding(model, of_steps if family.kind == "length" else of_row)
        with outcome.check("paths"):
            outcome.scoring, outcome.decoding = paths(model)
    outcome.said = list(dict.fromkeys(outcome.said))
    with outcome.check("saved and loaded"):
        spec = saved(family.build(), folder)
        check_loaded(model, spec, folder)
        for rank in (None, 2):
            with outcome.check("trained" if rank is None else "trained with LoRA"):
                check_training(spec, folder / f"rank-{rank}", rank)
    return outcome


def paths(model: PreTrainedModel) -> tuple[str, str]:
    """Return which ways a model scores and decodes."""
    if model.config.is_encoder_decoder:
        return "encoded", "encoded"
    decoder = decoder_of(model)
    shared = "rows" if why_not_shared(decoder) is not None else "packed" if packs(decoder) else "shared prompts"
    return shared, way_of(decoder).name


def check_scoring(model: PreTrainedModel) -> None:
    found = response_logprobs(model, GROUPS, pad_id=0)
    rows = [(group.prompt, response) for group in GROUPS for response in group.responses]
    for values, (prompt, response) in zip(found.values, rows, strict=True):
        assert_close(
            values[: len(response)], of_row(model, prompt, response), f"{len(prompt)} + {len(response)} tokens"
        )


def check_decoding(model: PreTrainedModel, truth: Callable[..., torch.Tensor]) -> None:
    seeds = list(range(len(PROMPTS)))
    together = drawn(model, PROMPTS, seeds)
    lengths = {len(row.tokens) for row in together}
    assert len(lengths) > 2, f"rows should end at different times, and end after {sorted(lengths)}"
    for prompt, row, seed in zip(PROMPTS, together, seeds, strict=True):
        assert_close(torch.tensor(row.logprobs), truth(model, prompt, row.tokens), "written in a batch")
        alone = drawn(model, [prompt], [seed])[0]
        assert alone.tokens == row.tokens, "a row writes something else beside others"
        assert_close(torch.tensor(alone.logprobs), torch.tensor(row.logprobs), "alone and in a batch")


def saved(model: PreTrainedModel, folder: Path) -> Pretrained:
    model.generation_config.eos_token_id = 2
    model.save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    return Pretrained(path=str(folder / "model"), digest=digest_of_folder(folder / "model"), template="{prompt}?")


def check_loaded(model: PreTrainedModel, spec: Pretrained, folder: Path) -> None:
    loaded = load_policy(spec, Bench(folder / "bench").io())
    theirs = dict(loaded.model.named_parameters())
    before = dict(model.named_parameters())
    assert theirs.keys() == before.keys()
    for prompt, response in ((PROMPTS[1], ids(2, 3)), (PROMPTS[3], ids(5, 6))):
        assert_close(of_row(loaded.model, prompt, response), of_row(model, prompt, response), "loaded")


def check_training(base: Pretrained, folder: Path, rank: int | None) -> None:
    """One step of SFT and of DPO: the first loss is what the base says, and the trained policy is another one."""
    folder.mkdir()
    bench = Bench(folder / "bench")
    shared = {
        "base": base,
        "lora": None if rank is None else {"rank": rank, "alpha": 4.0, "targets": ()},
        "seed": 0,
        "max_length": 32,
    }
    rows = {
        "demonstrations": data(folder / "rows.jsonl", DEMONSTRATIONS),
        "preferences": data(folder / "pairs.jsonl", PREFERENCES),
    }
    once = {"lr": 1e-2, "epochs": 1, "batch_size": 8, "micro_tokens": 64}
    start = load_policy(base, bench.io())
    pairs = [(user(row["prompt"]), row["response"]) for row in DEMONSTRATIONS]
    known = start.loglikelihood(pairs)
    for method, needed in ((SFT, "demonstrations"), (DPO, "preferences")):
        spec = method(**once).policy(Given.model_validate({**shared, needed: rows[needed]}))
        assert isinstance(spec, Tuned)
        trained = load_policy(spec, bench.io())
        (first,) = log(bench.payload(spec.by))
        if method is SFT:
            wanted = -sum(one.logprob for one in known) / sum(one.n_tokens for one in known)
        else:
            wanted = math.log(2)
        assert abs(first["loss"] - wanted) < CLOSE, f"{method.__name__} begins at {first['loss']:.4f}, not {wanted:.4f}"
        after = trained.loglikelihood(pairs)
        moved = max(abs(one.logprob - other.logprob) for one, other in zip(known, after, strict=True))
        assert moved > 1e-3, f"{method.__name__} changed nothing"
        if method is SFT:
            assert sum(one.logprob for one in after) > sum(one.logprob for one in known), (
                "SFT made the text less probable"
            )
        written = trained.generate([chat for chat, _ in pairs[:3]], Decoding(max_new_tokens=3), seeds=[0, 1, 2])
        assert all(one.tokens for one in written)


@contextmanager
def saying(said: list[str]) -> Iterator[None]:
    """Collect what the program logs of the paths that it takes."""

    class Collects(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage().split(": ", 1)[1])

    handler = Collects()
    loggers = [logging.getLogger(f"bench.models.{name}") for name in ("packing.sharing", "decoding.session")]
    for one in loggers:
        one.addHandler(handler)
    try:
        yield
    finally:
        for one in loggers:
            one.removeHandler(handler)
