"""The tables and figures as data: what each row and column changes, what is read from a run, what the paper prints.

Printed values are those of ECL (Xu et al., IEEE TMM 2023), Tables I-IV: top-1 of the ensemble of three where nothing else
is said. A value that we do not know is left out, never guessed.
"""

from dataclasses import dataclass, field

TOP1, FEW = "plain.ensemble.top1", "plain.ensemble.few"
GROUPS = {"top-1": TOP1, "many": "plain.ensemble.many", "medium": "plain.ensemble.medium", "few": FEW}
CALIBRATED = GROUPS | {"ECE": "plain.ensemble.ece"}

# departures from the recipe of a data set; results at different scales are never in one table
SCALES = {
    "full": {},  # the recipe as it is printed
    # short schedules need lr .1 (spec of the CIFAR recipe: the product lr x wd sets the pace of the weight norms)
    "cpu-small": {"net": "resnet8", "epochs": 8, "lr": 0.1, "weight_decay": 5e-4, "eval_every": 0},
}


@dataclass(frozen=True)
class Setting:
    """One data set at one imbalance, and the numbers read from the results there, by their heading."""

    heading: str
    changes: dict
    measures: dict[str, str]


@dataclass(frozen=True)
class Row:
    """One method with its options; `paper` holds the printed values by "heading" or "heading, measure"."""

    label: str
    changes: dict
    paper: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Rows times settings times seeds; a figure of the paper is a table whose runs are drawn."""

    title: str
    settings: tuple[Setting, ...]
    rows: tuple[Row, ...]
    seeds: int
    figure: str | None = None


def cifar(classes: int, imbalance: float, measures: dict[str, str]) -> Setting:
    """CIFAR-10-LT or CIFAR-100-LT at one imbalance."""
    changes = {"data": f"cifar{classes}-lt", "imbalance": float(imbalance)}
    return Setting(f"CIFAR-{classes}-LT {imbalance}", changes, measures)


C100 = cifar(100, 100, CALIBRATED)
HEADINGS = [f"CIFAR-{classes}-LT {gamma}" for classes in (10, 100) for gamma in (10, 50, 100, 200)]


def printed(*values: float) -> dict[str, float]:
    """A row of Table I: CIFAR-10-LT at 10, 50, 100, 200, then CIFAR-100-LT."""
    return dict(zip(HEADINGS, values, strict=True))


def ablation(label: str, paper: float | None, **parts: bool) -> Row:
    """A row of Table III."""
    return Row(label, {"method": "ecl", **parts}, {} if paper is None else {"CIFAR-100-LT 100, top-1": paper})


TABLES = {
    "table1": Table(
        "Table I: top-1 on CIFAR-10-LT and CIFAR-100-LT, %",
        tuple(cifar(classes, gamma, {"": TOP1}) for classes in (10, 100) for gamma in (10, 50, 100, 200)),
        (
            Row("ce", {"method": "ce"}),
            Row("bc", {"method": "bc"}),
            Row("ncl", {"method": "ncl"}, printed(91.1, 87.3, 85.5, 82.2, 63.8, 58.2, 54.2, 49.5)),
            Row("ecl", {"method": "ecl"}, printed(91.8, 88.9, 86.5, 83.6, 67.3, 59.9, 56.3, 51.4)),
        ),
        seeds=5,
    ),
    "table2": Table(
        "Table II: top-1 on ImageNet-LT and iNaturalist 2018, %",
        (
            Setting("ImageNet-LT R-50", {"data": "imagenet-lt", "net": "resnet50"}, {"": TOP1}),
            Setting("ImageNet-LT RX-50", {"data": "imagenet-lt", "net": "resnext50_32x4d"}, {"": TOP1}),
            Setting("iNaturalist 2018 R-50", {"data": "inaturalist2018", "net": "resnet50"}, {"": TOP1}),
        ),
        (
            Row(
                "ncl",
                {"method": "ncl"},
                dict(
                    zip(
                        ("ImageNet-LT R-50", "ImageNet-LT RX-50", "iNaturalist 2018 R-50"),
                        (59.5, 60.5, 74.9),
                        strict=True,
                    )
                ),
            ),
            Row(
                "ecl",
                {"method": "ecl"},
                dict(
                    zip(
                        ("ImageNet-LT R-50", "ImageNet-LT RX-50", "iNaturalist 2018 R-50"),
                        (60.6, 61.7, 75.8),
                        strict=True,
                    )
                ),
            ),
        ),
        seeds=3,
    ),
    "table3": Table(
        "Table III: what each part of ECL adds, CIFAR-100-LT, imbalance 100",
        (C100,),
        (
            ablation("none (3 x BC)", 52.2, bkt=False, fld=False, cpt=False),
            ablation("vanilla logit distillation", None, ref=False, fld=False, cpt=False),
            ablation("BKT", 53.7, fld=False, cpt=False),
            ablation("FLD", 54.7, bkt=False, cpt=False),
            ablation("CPT", 54.2, bkt=False, fld=False),
            ablation("BKT + CPT", 54.9, fld=False),
            ablation("FLD + CPT", 55.8, bkt=False),
            ablation("BKT + FLD + CPT (ECL)", 56.3),
        ),
        seeds=5,
    ),
    "table4": Table(
        "Table IV: single expert and ensemble, CIFAR-100-LT, imbalance 100",
        (
            cifar(
                100,
                100,
                {
                    "single top-1": "plain.single.top1",
                    "top-1": TOP1,
                    "single ECE": "plain.single.ece",
                    "ECE": "plain.ensemble.ece",
                },
            ),
        ),
        tuple(
            Row(
                method,
                {"method": method},
                {f"CIFAR-100-LT 100, {name}": value for name, value in paper.items()},
            )
            for method, paper in {
                "ncl": {"single top-1": 53.6, "top-1": 54.2, "single ECE": 5.11, "ECE": 4.62},
                "ecl": {"single top-1": 55.1, "top-1": 56.3, "single ECE": 2.33, "ECE": 1.82},
            }.items()
        ),
        seeds=5,
    ),
    "baselines": Table(
        "Cross-entropy against balanced cross-entropy, one network and three",
        (C100,),
        (
            Row("ce, 1 network", {"method": "ce"}),
            Row("ce, 3 networks", {"method": "ce", "experts": 3}),
            Row("bc, 1 network", {"method": "bc"}),
            ablation('bc, 3 networks (row "none" of Table III)', 52.2, bkt=False, fld=False, cpt=False),
        ),
        seeds=5,
    ),
    "fig4": Table(
        "Fig. 4: accuracy against the number of experts K, CIFAR-100-LT, imbalance 100",
        (cifar(100, 100, GROUPS),),
        tuple(Row(f"K = {k}", {"method": "ecl", "experts": k}) for k in (1, 2, 3, 4, 5, 6)),
        seeds=5,
        figure="experts",
    ),
    "fig5": Table(
        "Fig. 5: sweeps of alpha (beta = 1) and beta (alpha = .6), CIFAR-100-LT, imbalance 100",
        (cifar(100, 100, GROUPS),),
        (
            *(Row(f"alpha = {a}", {"method": "ecl", "alpha": a}) for a in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
            *(Row(f"beta = {b}", {"method": "ecl", "beta": b}) for b in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        ),
        seeds=5,
        figure="sweep",
    ),
    "recipe": Table(
        "The recipe at full length: learning rate and weight decay, CIFAR-100-LT, imbalance 100",
        (C100,),
        tuple(
            Row(f"{method}, lr {lr}, wd {wd}", {"method": method, "lr": lr, "weight_decay": wd})
            for method in ("bc", "ecl")
            for lr, wd in ((0.01, 5e-3), (0.1, 5e-4), (0.05, 5e-4), (0.1, 2e-4))
        ),
        seeds=1,
    ),
}
