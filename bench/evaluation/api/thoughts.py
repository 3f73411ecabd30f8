"""What a reasoning model says aloud, without what it thinks first.

A server that knows a model's marks sends its thoughts in a field of their own (``reasoning_content``, ``reasoning``),
which is never read. Others send them within the answer, between marks that each family of models has its own of.
"""

from __future__ import annotations

import re

# One group name for each family: DeepSeek, Qwen and most others; Mistral; OpenThoughts and Cohere; Kimi; Gemma.
_MARKS = re.compile(
    r"[<\uff1c]\s*(?P<tag_end>/)?\s*(?:\w+:)?\w*?(?:think|thought|reason|reflection|scratchpad|analysis|monologue)"
    r"\w*(?:\s[^<>\uff1c\uff1e]*)?[>\uff1e]"
    r"|\[(?P<bracket_end>/)?THINK(?:ING)?\]"
    r"|<\|(?:(?:begin|start)_|(?P<pipe_end>/|end_))?(?:of_)?(?:think(?:ing)?|thoughts?|reasoning)\|>"
    r"|◁(?P<kimi_end>/)?think▷"
    r"|<unused9(?:4|(?P<gemma_end>5))>",
    re.IGNORECASE,
)
# OpenAI's harmony format, where a server leaves it: channels, of which one is for the user.
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w*)(?:.*?<\|message\|>|.*$)", re.DOTALL)
_END_OF_MESSAGE = re.compile(r"<\|(?:end|return|call)\|>")


def said_aloud(text: str) -> str | None:
    """Return what stands behind a model's thoughts, all of it where there are none; None where they do not end.

    A closing mark without an opening one ends a thought too: some templates open it in the model's place.
    """
    channels = list(_CHANNEL.finditer(text))
    if channels:
        last = channels[-1]
        return _END_OF_MESSAGE.split(text[last.end() :])[0] if last[1].lower() == "final" else None
    marks = list(_MARKS.finditer(text))
    if not marks:
        return text
    return text[marks[-1].end() :] if any(marks[-1].groupdict().values()) else None
