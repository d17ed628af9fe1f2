"""The claims of ECL (Xu et al., IEEE TMM 2023) as differences of two rows, and what the ledger says of each.

One rule for all: a claim *holds* at a place if the 95 % interval of the mean difference (Student's t, paired by seed) lies on
the claimed side of zero, *fails* if it lies on the other side, and is *undecided* if it includes zero. One seed has no
interval, so its number decides nothing.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

from longtail.errors import LongtailError
from longtail.reproduce.cells import build_cells, format_scale
from longtail.reproduce.frozen import TAILS, choose_pace
from longtail.reproduce.ledger import Ledger
from longtail.reproduce.rows import C100, LONG_SCALES, PARTS, TOP1, VANILLA, Row, Setting, Table
from longtail.reproduce.show import get_measurement

SEEDS, PICTURE = 5, "claims.svg"  # the picture lies in the folder `figures` of the ledger
SINGLE_TOP1, ECE, FEW = "plain.single.top1", "plain.ensemble.ece", "plain.ensemble.few"
ECL, NCL = {"method": "ecl"}, {"method": "ncl"}
ECL_PARTS = {part: ECL | options for part, (options, *_) in PARTS.items()}
NONE = ECL_PARTS["none (3 x BC)"]


@dataclass(frozen=True)
class Claim:
    """A claim: `first` is better than `second`, by one measure or by one each; `printed` is the difference in the paper."""

    text: str
    source: str
    first: dict
    second: dict
    measure: str = TOP1
    second_measure: str = ""  # by default the same
    is_less: bool = False  # a smaller value is better
    printed: float | None = None


CLAIMS = (
    Claim("ECL is more accurate than NCL", "abstract, Table IV", ECL, NCL, printed=2.1),
    Claim("ECL has a smaller calibration error than NCL", "Table IV", ECL, NCL, ECE, is_less=True, printed=-2.8),
    Claim("ECL is more accurate than NCL on few-shot classes", "Sec. IV", ECL, NCL, FEW),
    Claim("one expert of ECL reaches the ensemble of NCL", "Table IV", ECL, NCL, SINGLE_TOP1, TOP1, printed=0.9),
    Claim("ECL is more accurate than three BC networks", "Table III", ECL, NONE, printed=4.1),
    Claim("BKT helps three BC networks", "Table III", ECL_PARTS["BKT"], NONE, printed=1.5),
    Claim("FLD helps three BC networks", "Table III", ECL_PARTS["FLD"], NONE, printed=2.5),
    Claim("CPT helps three BC networks", "Table III", ECL_PARTS["CPT"], NONE, printed=2.0),
    Claim("BKT adds to FLD + CPT", "Table III", ECL, ECL_PARTS["FLD + CPT"], printed=0.5),
    Claim("FLD adds to BKT + CPT", "Table III", ECL, ECL_PARTS["BKT + CPT"], printed=1.4),
    Claim("BKT is better than vanilla logit distillation", "Sec. IV", ECL_PARTS["BKT"], VANILLA),
    Claim("the ensemble of ECL is better than one expert", "Table IV", ECL, ECL, TOP1, SINGLE_TOP1, printed=1.2),
    Claim("three experts are better than one", "Fig. 4", ECL, ECL | {"experts": 1}),
    Claim("distillation helps: alpha .6 is better than 0", "Fig. 5", ECL, ECL | {"alpha": 0.0}),
    Claim("contrast helps: beta 1 is better than 0", "Fig. 5", ECL, ECL | {"beta": 0.0}),
)


@dataclass(frozen=True)
class Place:
    """Where a claim is measured: a heading, the changes of a data set, a scale and a precision."""

    heading: str
    changes: dict
    scale: str
    precision: str = "fp32"
    alone: dict = field(default_factory=dict)  # changes for one expert, where the rate of the scale is for three


PLACES = (
    *(
        Place(f"CIFAR-100-LT, `{format_scale(scale, precision)}`", C100.changes, scale, precision)
        for scale in LONG_SCALES
        for precision in (("fp32", "bf16") if scale.startswith("full") else ("fp32",))
    ),
    Place("CIFAR-100-LT, frozen features", TAILS["frozen-cifar"][2], "frozen", alone=choose_pace(1)),
    Place("Caltech-101 tail, frozen features", TAILS["frozen-caltech"][2], "frozen", alone=choose_pace(1)),
    Place("digits-lt", {"data": "digits-lt"}, "full"),
)


@dataclass(frozen=True)
class Finding:
    """The differences of a claim at a place, one for each seed; a positive one is on the claimed side."""

    claim: Claim
    place: Place
    differences: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Return the mean difference."""
        return statistics.mean(self.differences)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % interval of the mean difference, None for one seed."""
        n = len(self.differences)
        if n < 2:
            return None
        from scipy.stats import t

        half = float(t.ppf(0.975, n - 1)) * statistics.stdev(self.differences) / n**0.5
        return self.mean - half, self.mean + half

    @property
    def verdict(self) -> str:
        """Return "holds", "fails", "undecided" or "one seed", by the rule of this module."""
        if self.interval is None:
            return "one seed"
        low, high = self.interval
        return "holds" if low > 0 else "fails" if high < 0 else "undecided"

    def __str__(self) -> str:
        """Format the finding, such as "+0.3 ± 0.2 holds", with half of the interval; the sign is that of the measure."""
        sign = -1 if self.claim.is_less else 1
        half = "" if self.interval is None else f" ± {(self.interval[1] - self.interval[0]) / 2:.1f}"
        verdict = f"**{self.verdict}**" if self.verdict in ("holds", "fails") else self.verdict
        return f"{sign * self.mean:+.1f}{half} {verdict}"


def find_all(ledger: Ledger) -> list[Finding]:
    """Return the findings for all claims at all places where at least one seed of both rows is finished."""
    files = [path.name for path in ledger.path.glob("*.json")]
    heads = {p.heading: f"{format_scale(p.scale, p.precision)}-{p.changes['data']}-" for p in PLACES}
    places = [p for p in PLACES if any(name.startswith(heads[p.heading]) for name in files)]
    found = [find(claim, place, ledger) for place in places for claim in CLAIMS]
    return sorted((each for each in found if each.differences), key=lambda each: CLAIMS.index(each.claim))


def find(claim: Claim, place: Place, ledger: Ledger) -> Finding:
    """Compute the differences of a claim at a place, of the seeds that both rows have."""
    first = read_values(claim.first, claim.measure, place, ledger)
    second = read_values(claim.second, claim.second_measure or claim.measure, place, ledger) if first else {}
    sign = -1 if claim.is_less else 1
    seeds = sorted(first.keys() & second.keys())
    return Finding(claim, place, tuple(sign * (first[seed] - second[seed]) for seed in seeds))


def read_values(changes: dict, measure: str, place: Place, ledger: Ledger) -> dict[int, float]:
    """Return one measure of a row by seed; unusable and missing cells are left out."""
    changes = changes | (place.alone if changes.get("experts") == 1 else {})
    table = Table("", (Setting("", place.changes, {}),), (Row("", changes),), seeds=SEEDS)
    values = {}
    for cell in build_cells(table, place.scale, SEEDS, place.precision):
        try:
            kept = ledger.read(cell)
        except LongtailError:
            continue
        if kept and (value := get_measurement(kept, measure)) is not None:
            values[cell.recipe.seed] = value
    return values


def render_claims(findings: list[Finding], picture: str | None = None) -> Iterator[str]:
    """Yield the lines of the claims as Markdown: a row for each claim, a column for each place with a number."""
    places = [place for place in PLACES if any(found.place == place for found in findings)]
    counts = {
        verdict: sum(f.verdict == verdict for f in findings) for verdict in ("holds", "fails", "undecided", "one seed")
    }
    yield "## What holds"
    yield ""
    yield (
        "Each row is a claim of the paper as a difference in points, with half of its 95 % interval over seeds, paired by "
        "seed. *Holds*: the interval lies on the claimed side of zero. *Fails*: on the other side. One seed decides nothing. "
        f"An empty field is not measured. {', '.join(f'{verdict} {count}' for verdict, count in counts.items())}."
    )
    if picture:
        yield f"\n![The claims as differences with their intervals, one row for each]({picture})"
    yield ""
    yield "| claim | in the paper | " + " | ".join(place.heading for place in places) + " |"
    yield "| --- | ---: |" + " --- |" * len(places)
    for claim in CLAIMS:
        here = {found.place.heading: str(found) for found in findings if found.claim == claim}
        printed = f"{claim.printed:+.1f}, " if claim.printed is not None else ""
        cells = [f"{claim.text}", f"{printed}{claim.source}", *(here.get(place.heading, "") for place in places)]
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield (
        "The claims about feature distance (Fig. 7), flat landscapes (Fig. 8) and t-SNE (Fig. 6) are pictures: "
        "`longtail reproduce fig7` and so on draw ours."
    )
