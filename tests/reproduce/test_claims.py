"""Claims of the paper: differences paired by seed, one rule for all verdicts, and a page that shows them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from longtail.commands.app import main
from longtail.errors import LongtailError
from longtail.reproduce.claims import CLAIMS, ECL, NCL, PLACES, Claim, Finding, find, render_claims
from longtail.reproduce.forest import draw_forest

PLACE = next(place for place in PLACES if place.heading == "digits-lt")


class Kept:
    """A ledger that holds these values of top-1 and ECE by method and seed; ValueError stands for a damaged cell."""

    def __init__(self, **values):
        self.values = values

    def read(self, cell):
        value = self.values.get(cell.recipe.method, {}).get(cell.recipe.seed)
        if value == "damaged":
            raise LongtailError("damaged")
        metrics = {"top1": value, "ece": value, "few": None}
        plain = {"ensemble": metrics, "experts": [metrics | {"top1": (value or 0) - 1}] * 3}
        return None if value is None else {"seconds": 1.0, "results": {"plain": plain}}


def finding(*differences: float, claim: Claim = CLAIMS[0]) -> Finding:
    return Finding(claim, PLACE, differences)


def test_a_difference_pairs_the_seeds_that_both_rows_have_and_skips_damaged_cells():
    ledger = Kept(ecl={0: 50.0, 1: 52.0, 3: 60.0, 4: "damaged"}, ncl={0: 49.0, 1: 50.5, 2: 10.0, 4: 40.0})
    assert find(CLAIMS[0], PLACE, ledger).differences == (1.0, 1.5)


def test_where_less_is_better_a_smaller_value_is_on_the_claimed_side_and_is_printed_with_its_sign():
    claim = next(claim for claim in CLAIMS if claim.is_less)
    found = find(claim, PLACE, Kept(ecl={0: 2.0, 1: 2.2}, ncl={0: 4.0, 1: 4.1}))
    assert found.differences == pytest.approx((2.0, 1.9))
    assert str(found).startswith("-1.9") or str(found).startswith("-2.0")


def test_a_claim_may_compare_one_expert_with_an_ensemble():
    claim = Claim("", "", ECL, NCL, "plain.single.top1", "plain.ensemble.top1")
    assert find(claim, PLACE, Kept(ecl={0: 50.0}, ncl={0: 48.0})).differences == (1.0,)


def test_a_measure_that_is_undefined_is_no_difference():
    claim = Claim("", "", ECL, NCL, "plain.ensemble.few")
    assert find(claim, PLACE, Kept(ecl={0: 50.0}, ncl={0: 48.0})).differences == ()


def test_the_interval_is_that_of_students_t():
    values = np.random.default_rng(0).normal(0.3, 1, 5)
    assert finding(*values).interval == pytest.approx(tuple(ttest_1samp(values, 0).confidence_interval(0.95)))


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [((1.0, 1.1, 1.2), "holds"), ((-1.0, -1.1, -1.2), "fails"), ((-1.0, 1.0, 0.2), "undecided"), ((9.0,), "one seed")],
)
def test_the_verdict_follows_from_the_interval(differences, verdict):
    assert finding(*differences).verdict == verdict


def test_the_page_has_a_row_for_every_claim_and_columns_only_where_something_is_measured():
    lines = list(render_claims([finding(1.0, 1.1, 1.2)]))
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| ---")]
    assert len(rows) == 1 + len(CLAIMS)
    assert rows[0] == "| claim | in the paper | digits-lt |"
    assert rows[1] == "| ECL is more accurate than NCL | +2.1, abstract, Table IV | +1.1 ± 0.2 **holds** |"


def test_the_picture_names_claims_and_places_and_equal_findings_give_equal_bytes(tmp_path):
    found = [finding(1.0, 1.1, 1.2), finding(-1.0, claim=CLAIMS[4])]
    draw_forest(found, tmp_path / "one.svg")
    draw_forest(found, tmp_path / "two.svg")
    text = (tmp_path / "one.svg").read_text()
    assert CLAIMS[0].text in text and CLAIMS[4].text in text and "digits-lt" in text
    assert text == (tmp_path / "two.svg").read_text()


def test_two_places_of_one_claim_never_share_a_heading():
    assert len({place.heading for place in PLACES}) == len(PLACES)


def test_the_command_prints_the_claims_of_a_ledger_and_draws_them(tmp_path, capsys):
    for path in (Path(__file__).parents[2] / "results" / "ledger").glob("full-digits-lt-g50-[en]cl-*.json"):
        shutil.copy(path, tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", "claims", "--ledger", str(tmp_path)])
    shown = capsys.readouterr().out
    assert (
        not stop.value.code and "ECL is more accurate than NCL" in shown and "undecided" in shown and "**" not in shown
    )
    assert (tmp_path / "figures" / "claims.svg").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [("", "holds no two runs that a claim of the paper compares"), ("--seeds 2", "does not take --seeds")],
)
def test_claims_of_an_empty_ledger_and_flags_that_do_nothing_are_refused_in_one_line(words, line, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", "claims", "--ledger", str(tmp_path), *words.split()])
    assert stop.value.code == 2 and line in " ".join(capsys.readouterr().err.split())
