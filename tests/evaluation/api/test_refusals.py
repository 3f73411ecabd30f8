"""Questions that a server refuses, as many servers word it, beside questions that it answers; and odd replies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import StageError
from bench.evaluation.api.ask import REFUSED_IN_A_ROW
from bench.evaluation.api.refusals import failed_with
from bench.evaluation.api.replies import read_reply
from tests.evaluation.api.asking_process import ask_all, io_for, judge, pairs
from tests.evaluation.api.servers import JSON, Reply, Stub, completion, serving


def reply(status: int, body: Any) -> Reply:
    return status, JSON, json.dumps(body).encode()


TOO_LONG = {
    "vllm": (400, {"error": {"message": "This model's maximum context length is 9 tokens.", "code": 400}}),
    "vllm_before": (400, {"object": "error", "message": "maximum context length is 9", "type": "BadRequestError"}),
    "sglang": (400, {"object": "error", "message": "The input (50) is longer than the model's context length (9)."}),
    "llama_cpp": (400, {"error": {"code": 400, "message": "no", "type": "exceed_context_size_error"}}),
    "tgi": (422, {"error": "Input validation error: `inputs` must have less than 9 tokens.", "error_type": "v"}),
    "ollama": (500, {"error": {"message": "the input length exceeds the context length", "type": "api_error"}}),
    "anthropic": (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long"}}),
    "gemini": (400, [{"error": {"code": 400, "message": "The input token count exceeds", "status": "INVALID"}}]),
    "groq": (413, {"error": {"message": "Request too large for model", "code": "rate_limit_exceeded"}}),
    "another": (422, {"detail": [{"msg": "zu lang"}]}),
    "no_json": (400, "nein"),
    "vllm_model_length": (
        500,
        {"error": {"message": "The prompt (len 90) is longer than the maximum model length of 9."}},
    ),
    "vllm_nothing_left": (500, {"error": {"message": "max_tokens must be at least 1, got -3."}}),
    "sglang_allowed": (500, {"message": "Input length (90 tokens) exceeds the maximum allowed length (9 tokens)."}),
    "tgi_thousands": (500, {"error": "`inputs` must have less than 1,024 tokens. Given: 3,456"}),
    "anthropic_limit": (500, {"error": {"message": "input length and `max_tokens` exceed context limit: 9 + 4 > 9"}}),
    "a_limit": (500, {"error": {"message": "INPUT TOKENS EXCEED THE CONFIGURED LIMIT OF 9 TOKENS."}}),
    "let_pass": (
        200,
        {"choices": [], "prompt_filter_results": [{"content_filter_results": {"hate": {"filtered": False}}}]},
    ),
    "in_a_choice": (200, {"choices": [{"finish_reason": "error", "error": {"message": "prompt is too long"}}]}),
    "no_choice": (200, {"choices": []}),
    "null_choices": (200, {"choices": None}),
}
FILTERED = {
    "openrouter": (403, {"error": {"code": 403, "message": "no", "metadata": {"reasons": ["violence"]}}}),
    "dashscope": (400, {"error": {"code": "data_inspection_failed", "message": "no"}}),
    "openai": (400, {"error": {"code": "invalid_prompt", "message": "no", "type": "invalid_request_error"}}),
    "azure": (400, {"error": {"code": "BadRequest", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
    "deepseek": (400, {"error": {"message": "Content Exists Risk", "code": "invalid_request_error"}}),
    "xai": (403, {"code": "permission", "error": "Content violates usage guidelines."}),
    "gemini": (200, {"choices": [], "promptFeedback": {"blockReason": "SAFETY"}}),
    "finish": (200, {"choices": [{"finish_reason": "content_filter"}]}),
    "volcengine": (400, {"error": {"code": "InputTextSensitiveContentDetected", "message": "no"}}),
    "zhipu": (400, {"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}}),
    "bedrock": (400, {"error": {"message": "blocked by guardrail"}}),
    "in_a_choice_filtered": (
        200,
        {"choices": [{"finish_reason": "error", "error": {"message": "flagged", "code": 403}}]},
    ),
    "azure_no_choice": (
        200,
        {"choices": [], "prompt_filter_results": [{"content_filter_results": {"hate": {"filtered": True}}}]},
    ),
    "in_parts": (200, {"choices": [{"message": {"content": [{"type": "refusal", "refusal": "I can't"}]}}]}),
}
WORDS = [
    *((name, "error", *one) for name, one in TOO_LONG.items()),
    *((name, "refused", *one) for name, one in FILTERED.items()),
]


@pytest.mark.parametrize(("status", "http", "body"), [one[1:] for one in WORDS], ids=[one[0] for one in WORDS])
def test_a_refused_question_is_an_answer_where_others_are_answered(
    tmp_path: Path, status: str, http: int, body: Any
) -> None:
    def rule(request: dict[str, Any], _headers: Any) -> Reply:
        return reply(http, body) if "answer 1" in request["messages"][0]["content"] else completion("1")

    with serving(Stub(rule)) as stub:
        # The refused questions come first and last; those in between are answered.
        verdicts = ask_all(tmp_path, stub.url, 20, concurrency=1, retries=1)
        refused = [place for place in range(20) if place == 1 or place >= 10]
        assert [place for place, one in enumerate(verdicts) if one.status == status] == refused
        assert {one.status for one in verdicts} == {"ok", status}
        asked = len(stub.requests)
        assert 20 <= asked <= 22  # and a question that was answered before, to know whom the refusals concern
        assert ask_all(tmp_path, stub.url, 20, concurrency=1) == verdicts
        assert len(stub.requests) == asked


def test_what_is_left_over_is_refused_by_itself_where_the_server_has_answered_before(tmp_path: Path) -> None:
    def rule(request: dict[str, Any], _headers: Any) -> Reply:
        return reply(422, {"detail": "?"}) if "answer 2" in request["messages"][0]["content"] else completion("1")

    with serving(Stub(rule)) as stub:
        ask_all(tmp_path, stub.url, 2)
        assert [one.status for one in ask_all(tmp_path, stub.url, 3)] == ["ok", "ok", "error"]
        with pytest.raises(StageError, match="1 of 1 questions have no answer: 1 questions in a row .* HTTP 422"):
            judge(stub.url).compare(None, pairs(3)[2:], io_for(tmp_path / "new"))


def test_an_account_that_runs_dry_leaves_no_errors_behind(tmp_path: Path) -> None:
    """In words that nobody knows; what was answered is kept, and the rest is asked again later."""
    left = [12]

    def rule(_request: dict[str, Any], _headers: Any) -> Reply:
        left[0] -= 1
        return completion("1") if left[0] >= 0 else reply(403, {"error": {"message": "plan ended"}})

    with serving(Stub(rule)) as stub:
        with pytest.raises(StageError, match="28 of 40 questions have no answer: 8 questions in a row .* plan ended"):
            ask_all(tmp_path, stub.url, 40, concurrency=1)
        assert len(stub.requests) == 12 + REFUSED_IN_A_ROW + 1
        left[0] = 1000
        assert {one.status for one in ask_all(tmp_path, stub.url, 40)} == {"ok"}
        assert len(stub.requests) == 12 + REFUSED_IN_A_ROW + 1 + 28


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({"usage": {}}, None),
        ({"usage": None}, None),
        ({"usage": {"prompt_tokens": 5, "completion_tokens": None}}, None),
        ({"usage": {"prompt_tokens": -1, "completion_tokens": -1}}, None),
        ({"usage": {"prompt_tokens": 5.0, "completion_tokens": 1.0}}, (5, 1)),
        ({"usage": {"total_tokens": 6}}, None),
    ],
)
def test_optional_fields_may_be_missing_or_odd(fields: dict[str, Any], tokens: Any) -> None:
    message = {"content": "A", "refusal": ""}
    answer = read_reply(json.dumps({"choices": [{"message": message}], **fields}))
    assert (answer.text, answer.status, answer.tokens, answer.served) == ("A", "ok", tokens, None)


@pytest.mark.parametrize(
    "message",
    [
        "Rate limit exceeded: input tokens per minute exceed your quota",
        "Requested tokens exceeded the rate limit of this model",
        "Your account was flagged for violating our usage policies",
        "This organization has been disabled.",
    ],
)
def test_what_concerns_the_account_or_passes_is_no_answer(message: str) -> None:
    found = failed_with({"error": {"message": message}})
    assert found.of_the_account or found.means is None


def test_no_error_may_be_written_as_false_or_empty_and_an_index_as_text() -> None:
    choices = [{"index": "1", "message": {"content": "B"}}, {"index": "0", "message": {"content": "A"}}]
    for nothing in ("false", "[]", "{}", '""', "null"):
        assert read_reply(f'{{"choices": {json.dumps(choices)}, "error": {nothing}}}').text == "A"


def test_content_in_parts_and_choices_by_their_index() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "B?"}]}
    parts = {"content": [thinking, {"type": "text", "text": "A"}]}
    assert read_reply(json.dumps({"choices": [{"message": parts}]})).text == "A"
    choices = [{"index": 1, "message": {"content": "B"}}, {"index": 0, "message": {"content": "A"}}]
    assert read_reply(json.dumps({"choices": choices, "model": "m-2025"})).text == "A"
    silent = {"content": None, "reasoning_content": "Verdict: A"}
    assert read_reply(json.dumps({"choices": [{"message": silent, "finish_reason": "length"}]})).text == ""
