from bench.report.facts.layers import Layer, OverSeeds, layers_of
from tests.report.summaries import stage, with_stages


def measured(layer: int, norm: float) -> dict[str, float]:
    return {"layer": layer, "difference_norm": norm, "cosine_to_mean": 0.5, "loss": 0.25}


def test_a_layer_is_a_mean_over_the_seeds_with_its_range() -> None:
    stages = {
        f"s{seed}": stage("train/rahf", diagnostics={"layers": [measured(4, norm), measured(2, 7.0)]})
        for seed, norm in ((0, 1.0), (1, 3.0))
    }
    same = {"cosine_to_mean": OverSeeds(0.5, 0.5, 0.5), "loss": OverSeeds(0.25, 0.25, 0.25)}
    assert layers_of(with_stages({"0": ("s0",), "1": ("s1",)}, stages)) == {
        "arm": [
            Layer(2, {"difference_norm": OverSeeds(7.0, 7.0, 7.0), **same}),
            Layer(4, {"difference_norm": OverSeeds(2.0, 1.0, 3.0), **same}),
        ]
    }


def test_an_arm_that_measured_no_layer_is_left_out() -> None:
    assert layers_of(with_stages({"0": ("s",)}, {"s": stage("train/sft")})) == {}
