"""Points of many runs: means and deviations over seeds, and runs that one curve refuses."""

import re

import numpy as np
import pytest

from longtail import LongtailError
from longtail.analysis import experts, render_figure, sweep
from longtail.analysis.outputs import RunOutputs
from longtail.analysis.points import Point
from longtail.recipes import recipe_for
from longtail.runs.finished import FinishedRun
from longtail.runs.folder import RunFolder


def make_run(name="RUN", top1=50.0, k=3, **changes) -> RunOutputs:
    """Make up the outputs of a run that has a recipe and results only."""
    recipe = recipe_for("digits-lt", None, **{"method": "ecl"} | changes)
    experts = [{"top1": top1 - i, "few": top1 / 2 - i} for i in range(k)]
    results = {"plain": {"ensemble": {"top1": top1, "few": top1 / 2}, "experts": experts}}
    run = FinishedRun(RunFolder(name))
    run.recipe, run.results = recipe, results
    return RunOutputs(name, run)


def test_experts_are_averaged_over_seeds_with_the_sample_deviation():
    values = {1: [40.0, 44.0], 3: [50.0, 53.0, 56.0]}
    arrays = experts.compute(Point("ecl", k, v, v - 20) for k, row in values.items() for v in row)
    assert arrays["x"].tolist() == [1, 3] and arrays["seeds"].tolist() == [2, 3]
    for i, row in enumerate(values.values()):
        mean = sum(row) / len(row)
        sd = (sum((v - mean) ** 2 for v in row) / (len(row) - 1)) ** 0.5
        assert arrays["all"][i] == pytest.approx(mean) and arrays["few"][i] == pytest.approx(mean - 20)
        assert arrays["all_sd"][i] == pytest.approx(sd)
    assert "2 to 3 seeds" in experts.describe(arrays) and "K = 3: all 53.0 %" in experts.describe(arrays)


def test_one_seed_has_no_deviation_and_a_missing_group_is_n_a():
    arrays = experts.compute([Point("bc", 1, 40.0)])
    assert np.isnan(arrays["all_sd"]).all() and "few-shot n/a" in experts.describe(arrays)


def test_points_have_the_method_and_number_of_experts_of_their_runs():
    arrays = experts.collect_points([make_run(k=1, experts=1), make_run(k=3, seed=4)])
    assert arrays == [Point("ecl", 1, 50.0, 25.0, 50.0, 25.0), Point("ecl", 3, 50.0, 25.0, 49.0, 24.0)]


def test_rates_may_differ_with_the_number_of_experts_at_one_pace_only():
    runs = [make_run(f"K{k}", k=k, experts=k, lr=0.02 * k, weight_decay=5e-4 / k) for k in (1, 3, 6)]
    assert [point.x for point in experts.collect_points(runs)] == [1, 3, 6]
    with pytest.raises(LongtailError, match="K3 and K1 differ in lr"):
        experts.collect_points([*runs, make_run("odd", k=2, experts=2, lr=0.1)])


def test_single_experts_and_the_ensemble_are_lines_of_their_own():
    runs = [make_run(k=1, experts=1), make_run(k=3, top1=60.0)]
    drawing = render_figure("experts", runs)
    assert all(f"ecl, {name}" in drawing.svg for name in ("ensemble", "single expert"))
    assert "K = 3: all 60.0 % (single 59.0 %), few-shot 30.0 % (single 29.0 %)" in drawing.alt


def test_a_run_that_differs_in_other_settings_is_refused_by_name():
    with pytest.raises(LongtailError, match=r"RUN-b and RUN-a differ in epochs; .* only in experts and the seed"):
        experts.collect_points([make_run("RUN-a", epochs=5), make_run("RUN-b", epochs=6)])


def test_a_sweep_puts_the_most_common_pair_into_both_series():
    arrays = sweep.collect_points(
        [
            make_run(experts=3),
            make_run(alpha=0.1, top1=40.0),
            make_run(beta=0.5, top1=45.0),
            make_run(beta=0.2, top1=30.0),
        ]
    )
    assert sorted((p.series, p.x, p.all) for p in arrays) == [
        ("alpha", 0.1, 40.0), ("alpha", 0.6, 50.0), ("beta", 0.2, 30.0), ("beta", 0.5, 45.0), ("beta", 1.0, 50.0)
    ]  # fmt: skip
    words = sweep.describe(sweep.compute(arrays))
    assert re.search(r"alpha from 0\.1 to 0\.6: best 50\.0 % at 0\.6, worst 40\.0 % at 0\.1", words)


def test_a_method_without_the_weights_has_no_sweep():
    with pytest.raises(LongtailError, match="RUN: bc does not have both options"):
        sweep.collect_points([make_run(method="bc")])


def test_a_run_that_changes_both_weights_is_refused():
    with pytest.raises(LongtailError, match=r"odd has alpha 0\.1 and beta 0\.5, but a sweep changes only one"):
        sweep.collect_points([make_run(), make_run(seed=1), make_run("odd", alpha=0.1, beta=0.5)])


def test_runs_of_another_method_and_a_run_given_twice_are_no_points_of_a_sweep():
    with pytest.raises(LongtailError, match="other and RUN are of two methods"):
        sweep.collect_points([make_run(), make_run("other", method="cbd")])
    with pytest.raises(LongtailError, match="copy and RUN are of one seed and recipe; leave one out"):
        sweep.collect_points([make_run(), make_run("copy")])


def test_a_weight_that_no_run_varies_has_a_sentence_in_place_of_a_lone_point():
    drawing = render_figure("sweep", [make_run(), make_run(alpha=0.1)])
    assert "no run varies beta" in drawing.svg and "no run varies alpha" not in drawing.svg
