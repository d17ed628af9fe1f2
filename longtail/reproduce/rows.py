"""What a table is made of: scales, settings, rows and the measures of a run."""

from dataclasses import dataclass, field

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
    """Changes of the recipe of a data set, and the most seeds by default; a table never mixes scales."""

    changes: dict
    seeds: int = 5


@dataclass(frozen=True)
class Setting:
    """A group of columns: one data set at one imbalance, and the path in the results of each measure."""

    heading: str
    changes: dict
    measures: dict[str, str]


@dataclass(frozen=True)
class Row:
    """A method with its options; `paper` holds the printed values by "heading", "heading, measure" or "measure"."""

    label: str
    changes: dict
    paper: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Rows, settings and seeds; a figure of the paper is a table whose runs are drawn as `figure` of `longtail.analysis`."""

    title: str
    settings: tuple[Setting, ...]
    rows: tuple[Row, ...]
    seeds: int
    figure: str | None = None
    scales: tuple[str, ...] = (
        "full",
        "cpu-16px",
        "cpu-small",
        "cpu-30",
        "cpu-30-k3",
    )  # at which the page shows the table


def cifar_setting(classes: int, imbalance: float) -> dict:
    """Return the recipe changes for CIFAR-10-LT or CIFAR-100-LT at one imbalance."""
    return {"data": f"cifar{classes}-lt", "imbalance": float(imbalance)}


def ablation_row(label: str, paper: float | None, **options: bool) -> Row:
    """Return a row of ECL with some components switched off, as in Table III."""
    return Row(label, {"method": "ecl", **options}, {} if paper is None else {"top-1": paper})
