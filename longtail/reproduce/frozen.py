"""Tables and figures of frozen features: methods, parts of ECL and the paper's figures on long tails; no paper prints them."""

from dataclasses import replace
from typing import Any

from longtail.methods import METHODS
from longtail.reproduce.figures import FIGURES
from longtail.reproduce.rows import PARTS, SINGLE, TIMED_IN_SECONDS, VANILLA, Row, Setting, Table, cifar_setting

PIXEL_METHODS = ("cmo", "cmo_ride", "cam", "m2m")  # they paste, move or translate pixels
FEATURE_METHODS = tuple(name for name in METHODS if name not in PIXEL_METHODS)
CANDIDATES = ("bc", "logit_adjustment", "gcl", "prior_lt", "ecl")  # for the default method of the recipe `frozen`
TAILS = {  # name in a column, in a title, and the changes of the recipe
    "frozen-caltech": ("Caltech-101", "Caltech-101, imbalance 100", {"data": "caltech101", "imbalance": 100.0}),
    "frozen-cifar": (
        "CIFAR-100-LT",
        "CIFAR-100-LT at 96 pixels, imbalance 100",
        cifar_setting(100, 100) | {"size": 96},
    ),
}
NECK = {"neck": 512}
DRAWN = ("fig2", "fig4", "fig5", "fig6", "fig7", "fig9", "fig10")  # on the features of the first set


def choose_pace(experts: int) -> dict[str, Any]:
    """Return learning rate and weight decay for K experts: Eq. 10 averages over K, and this trains each one as one is alone."""
    return {"lr": round(0.02 * experts, 2), "weight_decay": 5e-4 / experts}


def frozen_tables() -> dict[str, Table]:
    """Return the tables of frozen features: all methods, and the parts of ECL, on each set with a tail."""
    ecl = {part: {"method": "ecl", **options} for part, (options, *_) in PARTS.items()}
    parts = (
        Row("BC, 1 neck", {"method": "bc"} | NECK),
        Row("BC, 3 necks", ecl["none (3 x BC)"]),
        Row("vanilla logit distillation", VANILLA),
        *(Row(part, ecl[part]) for part in ("BKT", "FLD", "CPT")),
        *(Row(part, ecl[part]) for part in ("FLD + CPT", "BKT + CPT")),
        Row("ECL", {"method": "ecl"}),
        Row("ECL, K = 1", {"method": "ecl", "experts": 1} | choose_pace(1)),
        Row("ECL, alpha = 0", {"method": "ecl", "alpha": 0.0}),
        Row("ECL, beta = 0", {"method": "ecl", "beta": 0.0}),
        Row("NCL", {"method": "ncl"}),
    )
    methods, candidates = (
        tuple(Row(name, {"method": name}) for name in names) for names in (FEATURE_METHODS, CANDIDATES)
    )
    whole = Setting("", {"data": "caltech101", "imbalance": None}, TIMED_IN_SECONDS)
    title = "Candidates for the default on frozen features, Caltech-101 as it is"
    tables = {"frozen-candidates": Table(title, (whole,), candidates, seeds=5, scales=("frozen",))}
    for name, (_, title, changes) in TAILS.items():
        for suffix, subject, rows in (("", "Every method", methods), ("-parts", "The parts of ECL", parts)):
            setting = Setting("", changes, TIMED_IN_SECONDS)
            heading = f"{subject} on frozen features, {title}"
            tables[name + suffix] = Table(heading, (setting,), rows, seeds=5, scales=("frozen",))
    settings = tuple(Setting(name, changes, SINGLE) for name, _, changes in TAILS.values())
    title = "Table IV: single expert and ensemble; frozen features (ours), imbalance 100"
    rows = tuple(Row(name, {"method": name}) for name in ("ncl", "ecl"))
    tables["frozen-table4"] = Table(title, settings, rows, seeds=5, scales=("frozen",))
    return tables | {f"frozen-{name}": move_figure(FIGURES[name]) for name in DRAWN}


def move_figure(figure: Table) -> Table:
    """Return a figure of the paper on frozen features of Caltech-101 with a tail; more experts are given a higher rate."""
    _, heading, changes = TAILS["frozen-caltech"]
    rows = tuple(
        replace(row, changes=row.changes | choose_pace(row.changes["experts"])) if "experts" in row.changes else row
        for row in figure.rows
    )
    title = f"{figure.title.partition(',')[0]}; frozen features (ours), {heading}"
    setting = Setting("", changes, figure.settings[0].measures)
    return replace(figure, title=title, settings=(setting,), rows=rows, printed="", scales=("frozen",))
