"""Tables of frozen features: every method, and the parts of ECL, on sets with a long tail; no paper prints them."""

from longtail.methods import METHODS
from longtail.reproduce.rows import PARTS, TIMED_IN_SECONDS, VANILLA, Row, Setting, Table, cifar_setting

PIXEL_METHODS = ("cmo", "cmo_ride", "cam", "m2m")  # they paste, move or translate pixels
FEATURE_METHODS = tuple(name for name in METHODS if name not in PIXEL_METHODS)
CANDIDATES = ("bc", "logit_adjustment", "gcl", "prior_lt", "ecl")  # for the default method of the recipe `frozen`
TAILS = {
    "frozen-caltech": ("Caltech-101, imbalance 100", {"data": "caltech101", "imbalance": 100.0}),
    "frozen-cifar": ("CIFAR-100-LT at 96 pixels, imbalance 100", cifar_setting(100, 100) | {"size": 96}),
}
NECK = {"neck": 512}


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
        Row("ECL, K = 1", {"method": "ecl", "experts": 1} | NECK),
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
    for name, (title, changes) in TAILS.items():
        for suffix, subject, rows in (("", "Every method", methods), ("-parts", "The parts of ECL", parts)):
            setting = Setting("", changes, TIMED_IN_SECONDS)
            heading = f"{subject} on frozen features, {title}"
            tables[name + suffix] = Table(heading, (setting,), rows, seeds=5, scales=("frozen",))
    return tables
