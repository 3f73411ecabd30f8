"""``python -m bench.models.limits.template_trial``: lay out chats with a template, in a process with limits of its own.

A chat template is a program that comes with a model. The sandbox in which transformers runs it keeps it from files and
from long ranges, but not from loops in loops, powers and texts without end, and none of these can be stopped from
within a process. So a template is tried once, on chats of the usual turns, where the system ends whatever takes too
long or too much. What it says there is not looked at, and what it refuses is for the one who really asks it.
"""

from __future__ import annotations

import json
import math
import sys
import time
from typing import Any

from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

TOO_LARGE = 3
MOST_CHARACTERS = 10_000_000
MOST_SECONDS = 3  # of a processor: a long template (20,000 characters) takes half a second on a slow one
_MOST_BYTES = 500_000_000  # the program around it has 60 MB
_ROLES = (
    ("user",),
    ("system", "user"),
    ("user", "assistant", "user"),
    ("system", "user", "assistant", "user"),
    ("user", "assistant"),
)


class _Generation(Extension):
    """The tag with which transformers marks what an assistant says; it changes no text."""

    tags = {"generation"}  # noqa: RUF012 - jinja2's own form

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return what stands within the tag."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def main() -> None:
    """Lay out the chats; ends with ``TOO_LARGE`` where one becomes too long or takes too much memory."""
    asked = json.loads(sys.stdin.buffer.read())
    if sys.platform != "win32":
        set_limits()
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = lambda value, **_options: json.dumps(value, ensure_ascii=False)
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: form
    try:
        template = environment.from_string(asked["template"])
    except MemoryError:
        sys.exit(TOO_LARGE)
    except Exception:  # noqa: BLE001 - whoever lays out a real chat is told
        return
    for roles in _ROLES:
        for opened in (True, False):
            chat = [{"role": role, "content": f"words {number}"} for number, role in enumerate(roles)]
            lay_out(template, {**asked["tokens"], "messages": chat, "add_generation_prompt": opened})


def set_limits() -> None:
    """Let the system end this process some seconds from now; what it took until now, on any machine, is not counted."""
    import resource  # noqa: PLC0415 - not there under Windows

    last = math.ceil(time.process_time()) + MOST_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (last, last + 1))
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def lay_out(template: Any, given: dict[str, Any]) -> None:
    """Lay out one chat, piece by piece; ends this process where it becomes too large."""
    length = 0
    try:
        for piece in template.generate(tools=None, documents=None, **given):
            length += len(piece)
            if length > MOST_CHARACTERS:
                sys.exit(TOO_LARGE)
    except MemoryError:
        sys.exit(TOO_LARGE)
    except Exception:  # noqa: BLE001 - whoever lays out a real chat is told
        return


def _refuse(message: object) -> None:
    raise ValueError(message)


if __name__ == "__main__":
    main()
