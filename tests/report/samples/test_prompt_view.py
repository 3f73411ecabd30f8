import pyarrow as pa
import pytest

from bench.core.task import user
from bench.report.samples.prompt_view import PromptView, Tables, prompt_views
from bench.report.samples.sample import as_data, stratified
from bench.results.claims import CLAIMS, CLAIMS_SCHEMA
from bench.results.records import RECORDS
from bench.results.responses import RESPONSES, RESPONSES_SCHEMA, VERDICTS, VERDICTS_SCHEMA, chat_text
from tests.records import Record
from tests.report.synthetic import ARMS, PROMPTS, SEEDS, TASK, build, table_of


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder = tmp_path_factory.mktemp("run")
    build(folder)
    responses, verdicts = RESPONSES.find(folder), VERDICTS.find(folder)
    assert responses is not None
    assert verdicts is not None
    return Tables(responses, RECORDS.read(folder), verdicts, CLAIMS.read(folder))


def test_a_prompt_has_every_response_score_verdict_and_claim(tables: Tables) -> None:
    (view,) = prompt_views([(TASK, "q011")], tables)
    assert {(one.method, one.seed) for one in view.responses} == {(arm, seed) for arm in ARMS for seed in SEEDS}
    assert all({score.metric for score in one.scores} >= {"response_tokens", "ended"} for one in view.responses)
    assert len(view.ballots) == 4 * len(SEEDS) * 2
    assert [(one.order, one.status) for one in view.at(1).ballots if one.value is None] == [("second", "unparsed")] * 4
    assert all(len(one.claims) == 2 for one in view.responses if one.method != "base")
    assert prompt_views([(TASK, "nowhere")], tables) == []


def small(scores: tuple[float, float], metric: str, preferences: tuple[float, ...] = ()) -> PromptView:
    """Two methods' responses to one prompt, one with a score of 'metric' and a rating with words."""
    cell = {"task": "t", "prompt": "p", "cluster": "c", "kind": "k", "run": 0, "draw": 0}
    rows = [
        Record(**cell, method=name, metric=metric, source="task", value=value)
        for name, value in zip("ab", scores, strict=True)
    ]
    rows.append(Record(**cell, method="a", metric="rating", source="j", value=4.0))
    said = {"task": "t", "prompt": "p", "judge": "j", "method": "a", "run": 0, "draw": 0, "status": "ok"}
    verdicts = [{**said, "versus": None, "order": None, "value": 4.0, "text": "clear"}]
    verdicts += [
        {**said, "versus": "b", "order": order, "value": value, "text": ""}
        for order, value in zip(("first", "second"), preferences, strict=False)
    ]
    answers = [
        {"task": "t", "prompt": "p", "kind": "k", "chat": chat_text(user("Why?")), "method": name, "run": 0, "draw": 0,
         "text": name, "finish": "end"}
        for name in "ab"
    ]  # fmt: skip
    tables = Tables(
        pa.Table.from_pylist(answers, schema=RESPONSES_SCHEMA),
        table_of(rows),
        pa.Table.from_pylist(verdicts, schema=VERDICTS_SCHEMA),
        CLAIMS_SCHEMA.empty_table(),
    )
    (view,) = prompt_views([("t", "p")], tables)
    return view


def test_methods_disagree_by_a_preference_or_a_score_that_is_no_length() -> None:
    assert not small((1.0, 1.0), "correct").disagree()
    assert small((1.0, 0.0), "correct").disagree()
    assert not small((9.0, 4.0), "response_tokens").disagree()
    assert small((1.0, 1.0), "correct", (1.0, 0.5)).disagree()
    # The two orders contradict each other: on the whole a tie.
    assert not small((1.0, 1.0), "correct", (1.0, 0.0)).disagree()


def test_a_rating_keeps_the_judges_words() -> None:
    data = as_data(small((1.0, 1.0), "correct"))
    assert data["answers"][0]["said"] == {"rating (j)": "clear"}
    assert data["answers"][0]["scores"]["rating (j)"] == "4"
    assert data["answers"][1]["said"] == {}


def test_every_beginning_of_the_order_is_a_stratified_sample(tables: Tables) -> None:
    order = stratified(tables)
    assert len(set(order)) == len(order) == PROMPTS
    for count in (3, 6, 15, 30):
        requests = sum(int(name[1:]) % 3 == 0 for _, name in order[:count])
        assert abs(requests - count / 3) <= 1
