"""The settings of whatever calls a model behind an API: a judge, a verifier."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from bench.core.frozen import Frozen
from bench.evaluation.api.client import Access
from bench.evaluation.api.questions import ApiDecoding
from bench.evaluation.api.spending import Prices, SpendingLimit

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# How a server is reached, how patiently, and for how much: no answer depends on it.
OPERATION = frozenset(
    {"base_url", "api_key_env", "limit_as", "concurrency", "timeout", "retries", "first_wait", "prices"}
    | {"spending_limit"}
)


class ApiSettings(Frozen):
    """Which model is called, and how it is reached.

    In every key: ``model``, as the server names it; ``version``, what that name leaves open (who serves it, a date);
    ``max_tokens``, ``temperature`` and ``seed`` (null: not sent), another seed is another sample. In no key
    (``OPERATION``): ``base_url``; ``api_key_env``, the NAME of the environment variable with the key; ``limit_as``, the
    server's name for max_tokens; ``concurrency``; ``timeout`` of one request in seconds; ``retries`` of a failed one,
    the first after about ``first_wait`` seconds; ``prices`` in USD per million tokens {input, output};
    ``spending_limit`` of one run {usd, tokens, calls}.
    """

    LOCATIONS: ClassVar[frozenset[str]] = OPERATION

    model: Annotated[str, Field(min_length=1)]
    base_url: str
    version: str | None = None
    max_tokens: PositiveInt = 512
    temperature: Annotated[float, Field(ge=0)] | None = 0.0
    seed: NonNegativeInt | None = 0
    api_key_env: str | None = None
    limit_as: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    concurrency: PositiveInt = 8
    timeout: PositiveFloat = 120.0
    retries: NonNegativeInt = 8
    first_wait: PositiveFloat = 0.5
    prices: Prices | None = None
    spending_limit: SpendingLimit | None = None

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        """Refuse a key in the wrong place, an address that is none, and a limit without prices."""
        if self.api_key_env is not None and not _VARIABLE.fullmatch(self.api_key_env):
            # What stands there may be a key, so it is not repeated.
            raise ValueError("api_key_env is the NAME of an environment variable, such as OPENAI_API_KEY, not a key")
        address = urlsplit(self.base_url)
        if address.username or address.password or address.query:
            raise ValueError("base_url must hold no name, password or query. Name the key by api_key_env.")
        if address.scheme not in ("http", "https") or not address.netloc:
            raise ValueError("base_url must be an address such as https://api.openai.com/v1")
        if self.spending_limit is not None and self.spending_limit.usd is not None and self.prices is None:
            raise ValueError("a spending_limit in usd needs prices: {input: ..., output: ...}, USD per million tokens")
        return self

    def decoding(self) -> ApiDecoding:
        """Return which model writes an answer, and how."""
        return ApiDecoding(self.model, self.version, self.max_tokens, self.temperature, self.seed)

    def access(self) -> Access:
        """Return how the server is reached."""
        return Access(
            base_url=self.base_url,
            api_key_env=self.api_key_env,
            limit_as=self.limit_as,
            concurrency=self.concurrency,
            timeout=self.timeout,
            retries=self.retries,
            first_wait=self.first_wait,
            prices=self.prices,
            spending_limit=self.spending_limit,
        )
