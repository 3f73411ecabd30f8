"""A model of natural language inference says whether a passage entails the claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import PositiveInt

from bench.core.checker import Asked, Verifier
from bench.core.errors import StageError
from bench.core.meter import READ_FLOPS
from bench.core.stage import Resources, StageIO
from bench.core.task import NOT_SUPPORTED, SUPPORTED, Finding, Task

ENTAILS = "entail"


class Inference(Verifier):
    """A claim is supported when the likeliest label of some passage before it is entailment.

    ``path``: a folder with a sequence classifier of transformers and its tokenizer, whose configuration names a label
    that begins with "entail" in any spelling; ``digest`` is that of its files. Each passage is the premise by itself,
    cut where the model reads no further. Contradicted and neutral claims are not supported; nothing is irrelevant.
    """

    NAME: ClassVar[str] = "nli"
    VERSION: ClassVar[int] = 2
    READS: ClassVar[Literal["task", "passages"]] = "passages"
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})

    path: str
    digest: str
    batch_size: PositiveInt = 16

    def verify(self, task: Task, asked: Sequence[Asked], io: StageIO) -> list[Finding]:
        """Return one finding per claim, in order; its evidence is the deciding passage's title and probability.

        Raises StageError for a folder that has changed, and for a model without a label of entailment.
        """
        pairs = [(number, passage, one.claim) for number, one in enumerate(asked) for passage in one.passages]
        entailed = self._entailment([(passage.text, claim) for _, passage, claim in pairs], io) if pairs else []
        best: dict[int, tuple[float, bool, str]] = {}
        for (number, passage, _), (chance, is_likeliest) in zip(pairs, entailed, strict=True):
            found = (chance, is_likeliest, passage.title)
            if number not in best or (is_likeliest, chance) > (best[number][1], best[number][0]):
                best[number] = found
        findings = []
        for number in range(len(asked)):
            chance, is_entailed, title = best.get(number, (0.0, False, "no passage"))
            evidence = f"entailed with {chance:.3f} by {title}"
            findings.append(Finding(label=SUPPORTED if is_entailed else NOT_SUPPORTED, evidence=evidence))
        return findings

    def _entailment(self, pairs: Sequence[tuple[str, str]], io: StageIO) -> list[tuple[float, bool]]:
        """Return, for each premise and hypothesis, P(entailment) and whether it is the likeliest label."""
        import torch  # noqa: PLC0415 - loads here and not when planning
        from transformers import AutoModelForSequenceClassification, AutoTokenizer  # noqa: PLC0415

        from bench.models.encoder import checked_folder, longest_input, mere_text  # noqa: PLC0415

        folder = checked_folder(self.path, self.digest)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).to(io.device).eval()
        place = entailment_place(model.config.id2label, self.path)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        found: list[tuple[float, bool]] = []
        for start in range(0, len(pairs), self.batch_size):
            premises, claims = zip(*pairs[start : start + self.batch_size], strict=True)
            inputs: Any = tokenizer(
                mere_text(tokenizer, premises),
                mere_text(tokenizer, claims),
                truncation="only_first",
                max_length=longest_input(model, tokenizer),
                padding=True,
                return_tensors="pt",
            ).to(io.device)
            with torch.inference_mode():
                chances = model(**inputs).logits.float().softmax(-1)
            tokens = int(inputs["attention_mask"].sum())
            io.meter.read_tokens += tokens
            io.meter.flops += READ_FLOPS * parameters * tokens
            found += [(float(row[place]), int(row.argmax()) == place) for row in chances.cpu()]
            io.progress(len(found), len(pairs), "passage")
        return found


def entailment_place(labels: dict[int, str], where: str) -> int:
    """Return the number of the label of entailment; raises StageError when none, or more than one, is it."""
    places = [number for number, name in labels.items() if name.lower().startswith(ENTAILS)]
    if len(places) != 1:
        raise StageError(
            f"{where}: the model's labels are {', '.join(labels.values())}, and none of them, or more than one, begins "
            "with 'entail'. Set id2label in its config.json."
        )
    return int(places[0])
