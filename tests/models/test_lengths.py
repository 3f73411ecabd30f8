"""What gives way to a length, and what is counted of it."""

from __future__ import annotations

import pytest

from bench.core.datasets import Reply
from bench.core.errors import StageError
from bench.core.lengths import LengthCounts, quantiles
from bench.core.policy import Chat, Instructed, Message, Pretrained
from bench.core.task import user
from bench.models.hf import HFPolicy
from bench.models.lengths import Fitted, TokenRow, Yielding, fit, fit_rows, fitting_prompts, none_left
from bench.models.tokenizer import token_row, yielding, yielding_all
from tests.models.tiny import WORDS, tiny_model, word_tokenizer

HEAD, TAIL = [1, 2], [3]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<{{ message.role }}> {{ message.content }} . {% endfor %}<assistant>"
)


def row(content: int, *responses: int, ended: bool = True) -> TokenRow:
    """A prompt of so many tokens of content between two of a header and one behind; responses of so many tokens."""
    ids = [*HEAD, *range(100, 100 + content), *TAIL]
    written = [[*range(1000 * n, 1000 * n + size - 1), 9] for n, size in enumerate(responses, 1)]
    return TokenRow((Yielding(ids, (range(2, 2 + content),)),), written, [ended] * len(written))


def fitted(one: TokenRow, max_length: int) -> Fitted:
    found = fit(0, one, max_length)
    assert found is not None
    return found


def test_what_fits_stays_as_it_is() -> None:
    one = row(5, 4, 2)
    found = fitted(one, 12)
    assert found.prompts == ([*one.prompts[0].ids],)
    assert found.responses == list(one.responses)


def test_content_gives_way_from_its_beginning_and_the_header_never() -> None:
    one = row(10, 4)
    found = fitted(one, 14)  # 13 + 4 tokens: three too many
    assert found.prompts == ([*HEAD, *range(103, 110), *TAIL],)
    assert found.responses == list(one.responses)


def test_below_half_of_the_length_the_responses_are_cut_at_their_end() -> None:
    found = fitted(row(10, 4, 9), 12)
    assert len(found.prompts[0]) == 6
    assert found.prompts[0][:2] == HEAD
    assert [len(one) for one in found.responses] == [4, 6]


def test_a_header_of_more_than_half_stays_whole() -> None:
    ids = list(range(8))
    found = fitted(TokenRow((Yielding(ids, (range(6, 8),)),), [[50, 51, 52, 53, 54]], [True]), 10)
    assert found.prompts == ([0, 1, 2, 3, 4, 5, 7],)
    assert found.responses == [[50, 51, 52]]


def test_the_earliest_turn_gives_way_first() -> None:
    prompt = Yielding(list(range(12)), (range(1, 4), range(6, 10)))
    assert prompt.without(2) == [0, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert prompt.without(4) == [0, 4, 5, 7, 8, 9, 10, 11]
    assert prompt.without(99) == [0, 4, 5, 9, 10, 11]


def test_what_cannot_fit_is_dropped_and_never_mangled() -> None:
    whole = Yielding(list(range(8)), ())
    assert fit(0, TokenRow((whole,), [[50]], [True]), 9) is not None
    assert fit(0, TokenRow((whole,), [[50]], [True]), 8) is None
    assert fit(0, TokenRow((whole,), [[]], [False]), 90) is None
    with pytest.raises(StageError, match="at least 2"):
        fit(0, row(1, 1), 1)


def test_every_wording_loses_the_same_tokens() -> None:
    plain, instructed = (
        Yielding([1, 10, 11, 12, 13, 2], (range(1, 5),)),
        Yielding([1, 7, 8, 10, 11, 12, 13, 2], (range(3, 7),)),
    )
    found = fitted(TokenRow((plain, instructed), [[50, 51, 52]], [True]), 9)
    assert found.prompts == ([1, 12, 13, 2], [1, 7, 8, 12, 13, 2])


def test_counts_are_those_of_the_rows() -> None:
    same = TokenRow(row(2, 3).prompts, [[5, 5, 9], [5, 5, 9]], [True, True])
    begins_alike = TokenRow(row(9, 3).prompts, [[*[5] * 9, 9], [*[5] * 12, 9]], [True, True])
    rows = [row(2, 3, 4), row(20, 3, 4), row(2, 30, 4), same, begins_alike, row(2, 3, 4, ended=False)]
    rows.append(TokenRow((Yielding(list(range(30)), ()),), [[4], [5]], [True, True]))
    found, counts = fit_rows("preferences", rows, 12)
    assert [one.row for one in found] == [0, 1, 2, 5]
    assert counts.model_dump(exclude={"prompt", "response", "together"}) == {
        "data": "preferences",
        "rows": 7,
        "max_length": 12,
        "prompts_cut": 1,
        "responses_cut": 1,
        "ends_lost": 1,
        "unfinished": 2,
        "identical": 1,
        "became_identical": 1,
        "dropped": 1,
    }
    assert counts.lost() == 3
    assert not counts.whole()
    assert counts.prompt is not None
    assert counts.prompt.most == 30


def test_why_nothing_is_left() -> None:
    _, counts = fit_rows("preferences", [TokenRow(row(2, 3).prompts, [[5, 9], [5, 9]], [True, True])], 12)
    assert "in 1 both responses are the same tokens. Give pairs" in none_left(counts)


def test_quantiles_are_numbers_that_are_there() -> None:
    found = quantiles([5, 1, 3, 2, 4])
    assert found is not None
    assert (found.median, found.high, found.most) == (3, 5, 5)
    assert quantiles(range(1, 101)) == quantiles([*range(100, 0, -1)])
    assert quantiles(list(range(1, 101))).high == 95  # type: ignore[union-attr]
    assert quantiles([]) is None


def test_prompts_that_leave_no_room_are_counted() -> None:
    kept, counts = fitting_prompts([[1] * 3, [1] * 5, [1] * 4], 4)
    assert kept == [0, 2]
    assert (counts.rows, counts.dropped, counts.max_length) == (3, 1, 4)
    assert LengthCounts.model_validate(counts.model_dump()) == counts


def words(count: int) -> str:
    return " ".join(WORDS[:count])


def policy(chat_template: str | None) -> HFPolicy:
    tokenizer = word_tokenizer()
    tokenizer.chat_template = chat_template
    spec = Pretrained(path="base")
    return HFPolicy(spec, tiny_model("llama", seed=0), tokenizer, "ask {prompt} .")


def test_of_a_dialogue_the_beginning_token_system_turn_and_headers_stay() -> None:
    own = policy(CHAT_TEMPLATE)
    system = Message(role="system", content="w1 w2")
    chat: Chat = (system, *user("w3 w4 w5"), Message(role="assistant", content="w6 w7"), *user("w8 w9"))
    whole = yielding(own, chat)
    spelled = own.tokenizer.convert_ids_to_tokens
    left = spelled(whole.without(99))
    assert left[0] == own.tokenizer.bos_token
    assert [token for token in left if token.startswith("w")] == ["w1", "w2", "w9"]
    assert [token for token in spelled(whole.without(4)) if token.startswith("w")] == ["w1", "w2", "w7", "w8", "w9"]


def test_an_instruction_stays_whole() -> None:
    own = policy(None)
    asked = Instructed(base=own.spec, instruction="w20 w21", separator=" ")
    whole = yielding_all(own, asked, [user("w3 w4 w5")])[0]
    spelled = own.tokenizer.convert_ids_to_tokens(whole.without(99))
    assert [token for token in spelled if token.startswith("w")] == ["w20", "w21", "w5"]


def test_a_cut_response_has_no_end_token() -> None:
    own = policy(None)
    ended, cut = token_row(own, user("w1"), [Reply("w2 w3"), Reply("w2 w3", ended=False)]).responses
    assert ended == [*cut, own.tokenizer.eos_token_id]
