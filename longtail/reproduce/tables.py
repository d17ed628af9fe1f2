"""The tables and figures of ECL (Xu et al., IEEE TMM 2023) as data: rows, columns, measures and printed values.

A printed value is the top-1 of the ensemble of three, unless its column says otherwise. Rows that the paper does not
have, or whose value we do not know, have no printed value.
"""

from collections.abc import Iterable

from longtail.methods import METHODS
from longtail.recipes import ncl_cifar
from longtail.reproduce.figures import FIGURES
from longtail.reproduce.frozen import frozen_tables
from longtail.reproduce.rows import (
    C100,
    CALIBRATED,
    PARTS,
    SINGLE,
    TIMED,
    TOP1,
    VANILLA,
    Row,
    Scale,
    Setting,
    Table,
    ablation_row,
    cifar_setting,
)
from longtail.reproduce.systems import CIFAR, LARGE, system_rows

# a short schedule needs lr .1: the product of learning rate and weight decay sets the pace of the weight norms
SHORT = {"net": "resnet8", "lr": 0.1, "weight_decay": 5e-4, "eval_every": 0}
LIKE_ONE = "three times the rate and a third of the decay, so that three networks, whose loss Eq. 10 averages, move as one alone"
LIKE_NCL = {name: value for name, value in ncl_cifar.RECIPE.items() if name not in ("imbalance", "net", "views")}
SCALES = {
    "full": Scale({}, "The recipe of the paper. Only this scale compares with the paper's numbers."),
    "cpu-16px": Scale(
        {"views": "cifar-16"},
        "The recipe of the paper, with CIFAR images averaged to 16 x 16 pixels, so that all 200 epochs fit a laptop core.",
        seeds=3,
    ),
    "cpu-small": Scale(
        SHORT | {"epochs": 8},
        "ResNet-8 and 8 epochs: a first look, too short for the claims of the paper.",
        seeds=3,
    ),
    "cpu-30": Scale(SHORT | {"epochs": 30}, "ResNet-8 and 30 epochs; `cpu-16px` replaced it.", seeds=3),
    "frozen": Scale({"frozen": True}, "Methods train on features of EfficientNet-lite0, which are computed once."),
    "cpu-30-k3": Scale(
        SHORT | {"epochs": 30, "lr": 0.3, "weight_decay": 5e-4 / 3}, f"As `cpu-30`, with {LIKE_ONE}.", seeds=3
    ),
    "cpu-16px-k3": Scale(
        {"views": "cifar-16", "lr": 0.03, "weight_decay": 5e-3 / 3}, f"As `cpu-16px`, with {LIKE_ONE}.", seeds=3
    ),
    "full-k3": Scale({"lr": 0.03, "weight_decay": 5e-3 / 3}, f"As `full`, with {LIKE_ONE}.", seeds=3),
    "full-ncl": Scale(
        LIKE_NCL,
        "All methods by the recipe of NCL (`ncl-cifar`): 400 epochs in steps, a higher rate, a smaller weight decay.",
        seeds=3,
    ),
    "full-ncl-k3": Scale(LIKE_NCL | {"lr": 0.3, "weight_decay": 2e-4 / 3}, f"As `full-ncl`, with {LIKE_ONE}.", seeds=3),
}


def fits_scale(table: Table, scale: str) -> bool:
    """Return whether a table can be measured at a scale: those of features at `frozen` only, the others at all others."""
    return ("frozen" in table.scales) == (scale == "frozen")


BOTH = ("CIFAR-100-LT", "ImageNet-LT")  # of Tables III and IV


def both_settings(cifar: dict[str, str], imagenet: dict[str, str]) -> tuple[Setting, ...]:
    """Return the settings of Tables III and IV with their measures: CIFAR-100-LT, imbalance 100, and ImageNet-LT, ResNet-50."""
    return (
        Setting(BOTH[0], C100.changes, cifar),
        Setting(BOTH[1], LARGE["ImageNet-LT R-50"], imagenet, seeds=3),
    )


def both_printed(measures: Iterable[str], *values: float) -> dict[str, float]:
    """Return printed values of Tables III and IV by column: all measures on CIFAR-100-LT, then all on ImageNet-LT."""
    return dict(zip((f"{heading}, {name}" for heading in BOTH for name in measures), values, strict=True))


TABLES = {
    "table1": Table(
        "Table I: top-1 on CIFAR-10-LT and CIFAR-100-LT, %",
        tuple(Setting(heading, changes, {"": TOP1}) for heading, changes in CIFAR.items()),
        system_rows(CIFAR),
        seeds=5,
    ),
    "table2": Table(
        "Table II: top-1 on ImageNet-LT and iNaturalist 2018, %",
        tuple(Setting(heading, changes, {"": TOP1}) for heading, changes in LARGE.items()),
        system_rows(LARGE),
        seeds=3,
    ),
    "table3": Table(
        "Table III: what each component of ECL adds, CIFAR-100-LT (imbalance 100) and ImageNet-LT (ResNet-50)",
        both_settings(CALIBRATED, {"top-1": TOP1}),
        (
            *(
                Row(part, {"method": "ecl", **o}, both_printed(("top-1",), *values))
                for part, (o, *values) in PARTS.items()
            ),
            Row("ours: vanilla logit distillation", VANILLA),
        ),
        seeds=5,
    ),
    "table4": Table(
        "Table IV: single expert and ensemble, CIFAR-100-LT (imbalance 100) and ImageNet-LT (ResNet-50)",
        both_settings(SINGLE, SINGLE),
        (
            Row("ncl", {"method": "ncl"}, both_printed(SINGLE, 53.6, 54.2, 5.11, 4.62, 57.7, 59.5, 3.80, 2.92)),
            Row("ecl", {"method": "ecl"}, both_printed(SINGLE, 55.1, 56.3, 2.33, 1.82, 59.3, 60.6, 1.96, 1.33)),
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
            ablation_row("none (3 x BC)", 'bc, 3 networks (row "none" of Table III)'),
        ),
        seeds=5,
    ),
    "evidence": Table(
        "The claims of the paper, in the order of their runs, CIFAR-100-LT, imbalance 100",
        (C100,),
        (
            ablation_row("BKT + FLD + CPT (ECL)", "ECL"),
            Row("BC, 1 network", {"method": "bc"}),
            ablation_row("none (3 x BC)", "BC, 3 networks"),
            Row("NCL", {"method": "ncl"}, {"top-1": 54.2, "ECE": 4.62}),
            Row("CE", {"method": "ce"}),
            *(ablation_row(part) for part in ("FLD", "CPT", "BKT", "FLD + CPT", "BKT + CPT")),
            Row("vanilla logit distillation", VANILLA),
        ),
        seeds=3,
        least_rows=1,
    ),
    "recipe": Table(
        "The recipe at full length: learning rate and weight decay, CIFAR-100-LT, imbalance 100",
        (C100,),
        (
            *(
                Row(f"{method}, lr {lr}, wd {wd}", {"method": method, "lr": lr, "weight_decay": wd})
                for method in ("bc", "ecl")
                for lr, wd in ((0.01, 5e-3), (0.1, 5e-4), (0.05, 5e-4), (0.1, 2e-4))
            ),
            Row("ecl, lr 0.1, wd 0.0005, summed over 3", {"method": "ecl", "lr": 0.3, "weight_decay": 5e-4 / 3}),
        ),
        seeds=1,
    ),
    "methods": Table(
        "Every method on digits-lt, imbalance 50, one recipe",
        (Setting("", {"data": "digits-lt"}, TIMED),),
        tuple(Row(name, {"method": name}) for name in METHODS),
        seeds=5,
    ),
    "methods-cifar": Table(
        "Every method on CIFAR-100-LT, imbalance 100, one recipe",
        (Setting("", cifar_setting(100, 100), TIMED),),
        tuple(Row(name, {"method": name}) for name in METHODS),
        seeds=5,
    ),
    **frozen_tables(),
    **FIGURES,
}
