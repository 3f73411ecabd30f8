from bench.report.facts.reward_models import reward_models
from tests.report.summaries import stage, with_stages


def test_a_reward_model_that_one_seed_lacks_is_kept_for_the_others() -> None:
    told = {"held_out": {"accuracy": {"value": 0.7}}}
    summary = with_stages({"0": (), "1": ("rm",)}, {"rm": stage("train/reward_model", diagnostics=told)})
    (model,) = reward_models(summary)
    assert model.arms == ("arm",)
    assert dict(model.held_out) == {"1": told["held_out"]}
    assert model.mean_accuracy() == 0.7
