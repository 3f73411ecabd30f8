from bench.report.facts.curves import band_of, curves_of, last_mean

LOGS = {
    "0": [{"step": 0.0, "chosen": 1.0, "rejected": 0.5}, {"step": 1.0, "chosen": 2.0, "rejected": 0.5}],
    "1": [{"step": 0.0, "chosen": 3.0, "rejected": 0.5}, {"step": 2.0, "chosen": 9.0, "rejected": 0.5}],
    "2": [{"step": 0.0, "loss": 1.0}],
}
MARGIN = ("margin", "chosen", "rejected")


def test_a_seed_that_did_not_log_a_quantity_has_no_curve() -> None:
    assert curves_of(LOGS, MARGIN) == {"0": ([0.0, 1.0], [0.5, 1.5]), "1": ([0.0, 2.0], [2.5, 8.5])}


def test_a_band_stands_at_the_steps_that_every_seed_has() -> None:
    assert band_of(list(curves_of(LOGS, MARGIN).values())) == ([0.0], [1.5], [0.5], [2.5])


def test_the_last_mean_has_the_decimals_that_the_range_deserves() -> None:
    assert last_mean(LOGS, MARGIN) == "margin 1.50"
    apart = {"0": [{"step": 0.0, "loss": 1.0}], "1": [{"step": 1.0, "loss": 2.0}]}
    assert last_mean(apart, ("loss", "loss", None)) is None
