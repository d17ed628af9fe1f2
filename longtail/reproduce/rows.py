"""What a table is made of: scales, settings, rows and the measures of a run."""

from dataclasses import dataclass, field

# scales of networks that train from random weights, without the first looks
LONG_SCALES = ("full", "full-k3", "full-ncl", "full-ncl-k3", "cpu-16px", "cpu-16px-k3", "cpu-30-k3")
TOP1 = "plain.ensemble.top1"
CALIBRATED = {
    "top-1": TOP1,
    "many": "plain.ensemble.many",
    "medium": "plain.ensemble.medium",
    "few": "plain.ensemble.few",
    "ECE": "plain.ensemble.ece",
}
SINGLE = {"single top-1": "plain.single.top1", "top-1": TOP1}
SINGLE |= {"single ECE": "plain.single.ece", "ECE": "plain.ensemble.ece"}
TIMED, TIMED_IN_SECONDS = CALIBRATED | {"minutes": "minutes"}, CALIBRATED | {"seconds": "seconds"}


@dataclass(frozen=True)
class Scale:
    """Changes of the recipe of a data set, what they are for, and the most seeds by default; a table never mixes scales."""

    changes: dict
    about: str = ""
    seeds: int = 5


@dataclass(frozen=True)
class Setting:
    """A group of columns: one data set at one imbalance, the path in the results of each measure, and the most seeds."""

    heading: str
    changes: dict
    measures: dict[str, str]
    seeds: int | None = None  # by default as many as the table has


@dataclass(frozen=True)
class Row:
    """A method with its options; `paper` holds the printed values by "heading", "heading, measure" or "measure".

    `marks` says how the printed values were measured. A row with a `reason` cannot be run.
    """

    label: str
    changes: dict
    paper: dict[str, float] = field(default_factory=dict)
    group: str = ""
    marks: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Table:
    """Rows, settings and seeds; a figure is a table whose runs are drawn as `figure` of `longtail.analysis`.

    `printed` says in one line what the picture in the paper shows, "" for a figure of ours.
    """

    title: str
    settings: tuple[Setting, ...]
    rows: tuple[Row, ...]
    seeds: int
    figure: str | None = None
    printed: str = ""
    scales: tuple[str, ...] = LONG_SCALES  # on the page of all results
    least_rows: int = 2  # with fewer measured rows the page leaves a scale out


def cifar_setting(classes: int, imbalance: float) -> dict:
    """Return the recipe changes for CIFAR-10-LT or CIFAR-100-LT at one imbalance."""
    return {"data": f"cifar{classes}-lt", "imbalance": float(imbalance)}


C100 = Setting("", cifar_setting(100, 100), CALIBRATED)
PARTS = {  # Table III: options of a row, printed top-1 on CIFAR-100-LT at imbalance 100, and on ImageNet-LT
    "none (3 x BC)": ({"bkt": False, "fld": False, "cpt": False}, 52.2, 55.1),
    "BKT": ({"fld": False, "cpt": False}, 53.7, 56.4),
    "FLD": ({"bkt": False, "cpt": False}, 54.7, 58.9),
    "CPT": ({"bkt": False, "fld": False}, 54.2, 57.6),
    "BKT + CPT": ({"fld": False}, 54.9, 57.9),
    "FLD + CPT": ({"bkt": False}, 55.8, 59.9),
    "BKT + FLD + CPT (ECL)": ({}, 56.3, 60.6),
}
VANILLA = {"method": "ecl", "ref": False, "fld": False, "cpt": False}  # logit distillation with all weights 1


def ablation_row(part: str, label: str = "") -> Row:
    """Return a row of ECL with the components of a row of Table III, and the value printed for CIFAR-100-LT."""
    options, cifar, _ = PARTS[part]
    return Row(label or part, {"method": "ecl", **options}, {"top-1": cifar})
