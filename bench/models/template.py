"""The plain template by which a model's prompts are written, with what an encoder expects around a text."""

from __future__ import annotations

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from bench.core.policy import PolicySpec, Pretrained, root


def template_for(spec: PolicySpec, tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> str:
    """Return the template of a policy of one model, for a tokenizer that has no chat template.

    An encoder has learnt to read a prompt as its tokenizer writes any text, with its end token behind it (T5) or with
    others around it (BART): these are put around the template. Nothing follows a prompt there, so it is whole.
    """
    beginning = root(spec)
    template = beginning.template if isinstance(beginning, Pretrained) else "{prompt}"
    if not config.is_encoder_decoder or tokenizer.chat_template is not None:
        return template
    before, behind = around(tokenizer)
    return template_between(before, template, behind)


def template_between(before: str, template: str, behind: str) -> str:
    """Return a template with texts around it, each left away where it stands there already."""
    begun = template if template.startswith(before) else before + template
    return begun if begun.endswith(behind) else begun + behind


def around(tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """Return the special tokens, spelt, that a tokenizer puts before and behind a text by itself."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    start = next((place for place in range(len(whole)) if whole[place : place + len(bare)] == bare), None)
    if start is None:
        return "", ""
    spelt = ["".join(tokenizer.convert_ids_to_tokens(ids)) for ids in (whole[:start], whole[start + len(bare) :])]
    return spelt[0], spelt[1]
