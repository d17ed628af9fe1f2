"""The tables and figures of ECL (Xu et al., IEEE TMM 2023) as data: rows, columns, measures and printed values.

A printed value is the top-1 of the ensemble of three, unless its column says otherwise. Rows that the paper does not
have, or whose value we do not know, have no printed value.
"""

from longtail.methods import METHODS
from longtail.reproduce.frozen import frozen_tables
from longtail.reproduce.rows import (
    CALIBRATED,
    SINGLE,
    TIMED,
    TOP1,
    Row,
    Scale,
    Setting,
    Table,
    ablation_row,
    cifar_setting,
)

# a short schedule needs lr .1: the product of learning rate and weight decay sets the pace of the weight norms
SHORT = {"net": "resnet8", "lr": 0.1, "weight_decay": 5e-4, "eval_every": 0}
SCALES = {
    "full": Scale({}),  # the printed recipe
    "cpu-16px": Scale({"views": "cifar-16"}, seeds=3),  # the printed recipe on images averaged to 16 x 16 pixels
    "cpu-small": Scale(SHORT | {"epochs": 8}, seeds=3),
    "cpu-30": Scale(SHORT | {"epochs": 30}, seeds=3),
    "frozen": Scale({"frozen": True}),  # features of EfficientNet-lite0, computed once
    # Eq. 10 averages over K = 3 experts: three times the rate and a third of the decay train each one as one is trained alone
    "cpu-30-k3": Scale(SHORT | {"epochs": 30, "lr": 0.3, "weight_decay": 5e-4 / 3}, seeds=3),
    "cpu-16px-k3": Scale({"views": "cifar-16", "lr": 0.03, "weight_decay": 5e-3 / 3}, seeds=3),
}


C100 = Setting("", cifar_setting(100, 100), CALIBRATED)
HEADINGS = {
    f"CIFAR-{classes}-LT {gamma}": cifar_setting(classes, gamma)
    for classes in (10, 100)
    for gamma in (10, 50, 100, 200)
}
LARGE = {
    "ImageNet-LT R-50": {"data": "imagenet-lt", "net": "resnet50"},
    "ImageNet-LT RX-50": {"data": "imagenet-lt", "net": "resnext50_32x4d"},
    "iNaturalist 2018 R-50": {"data": "inaturalist2018", "net": "resnet50"},
}


def table1_row(*values: float) -> dict[str, float]:
    """Return a printed row of Table I by heading: CIFAR-10-LT at 10, 50, 100, 200, then CIFAR-100-LT."""
    return dict(zip(HEADINGS, values, strict=True))


def figure_table(title: str, figure: str, *methods: str) -> Table:
    """Return a figure that compares methods side by side, one seed each."""
    rows = tuple(Row(method, {"method": method}) for method in methods)
    return Table(f"{title}, CIFAR-100-LT, imbalance 100", (C100,), rows, seeds=1, figure=figure)


COMPARED = ("ce", "class_balanced", "bc", "gcl", "ncl", "ecl")

TABLES = {
    "table1": Table(
        "Table I: top-1 on CIFAR-10-LT and CIFAR-100-LT, %",
        tuple(Setting(heading, changes, {"": TOP1}) for heading, changes in HEADINGS.items()),
        (
            Row("ce", {"method": "ce"}),
            Row("bc", {"method": "bc"}),
            Row("ncl", {"method": "ncl"}, table1_row(91.1, 87.3, 85.5, 82.2, 63.8, 58.2, 54.2, 49.5)),
            Row("ecl", {"method": "ecl"}, table1_row(91.8, 88.9, 86.5, 83.6, 67.3, 59.9, 56.3, 51.4)),
        ),
        seeds=5,
    ),
    "table2": Table(
        "Table II: top-1 on ImageNet-LT and iNaturalist 2018, %",
        tuple(Setting(heading, changes, {"": TOP1}) for heading, changes in LARGE.items()),
        (
            Row("ncl", {"method": "ncl"}, dict(zip(LARGE, (59.5, 60.5, 74.9), strict=True))),
            Row("ecl", {"method": "ecl"}, dict(zip(LARGE, (60.6, 61.7, 75.8), strict=True))),
        ),
        seeds=3,
    ),
    "table3": Table(
        "Table III: what each component of ECL adds, CIFAR-100-LT, imbalance 100",
        (C100,),
        (
            ablation_row("none (3 x BC)", 52.2, bkt=False, fld=False, cpt=False),
            ablation_row("vanilla logit distillation", None, ref=False, fld=False, cpt=False),
            ablation_row("BKT", 53.7, fld=False, cpt=False),
            ablation_row("FLD", 54.7, bkt=False, cpt=False),
            ablation_row("CPT", 54.2, bkt=False, fld=False),
            ablation_row("BKT + CPT", 54.9, fld=False),
            ablation_row("FLD + CPT", 55.8, bkt=False),
            ablation_row("BKT + FLD + CPT (ECL)", 56.3),
        ),
        seeds=5,
    ),
    "table4": Table(
        "Table IV: single expert and ensemble, CIFAR-100-LT, imbalance 100",
        (Setting("", cifar_setting(100, 100), SINGLE),),
        (
            Row("ncl", {"method": "ncl"}, {"single top-1": 53.6, "top-1": 54.2, "single ECE": 5.11, "ECE": 4.62}),
            Row("ecl", {"method": "ecl"}, {"single top-1": 55.1, "top-1": 56.3, "single ECE": 2.33, "ECE": 1.82}),
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
            ablation_row('bc, 3 networks (row "none" of Table III)', 52.2, bkt=False, fld=False, cpt=False),
        ),
        seeds=5,
    ),
    "evidence": Table(
        "The claims of the paper, in the order of their runs, CIFAR-100-LT, imbalance 100",
        (C100,),
        (
            ablation_row("ECL", 56.3),
            Row("BC, 1 network", {"method": "bc"}),
            ablation_row("BC, 3 networks", 52.2, bkt=False, fld=False, cpt=False),
            Row("NCL", {"method": "ncl"}, {"top-1": 54.2, "ECE": 4.62}),
            Row("CE", {"method": "ce"}),
            ablation_row("FLD", 54.7, bkt=False, cpt=False),
            ablation_row("CPT", 54.2, bkt=False, fld=False),
            ablation_row("BKT", 53.7, fld=False, cpt=False),
            ablation_row("FLD + CPT", 55.8, bkt=False),
            ablation_row("BKT + CPT", 54.9, fld=False),
            ablation_row("vanilla logit distillation", None, ref=False, fld=False, cpt=False),
        ),
        seeds=3,
        scales=("cpu-16px", "cpu-16px-k3", "full"),
    ),
    "fig4": Table(
        "Fig. 4: accuracy against the number of experts K, CIFAR-100-LT, imbalance 100",
        (C100,),
        tuple(Row(f"K = {k}", {"method": "ecl", "experts": k}) for k in (1, 2, 3, 4, 5, 6)),
        seeds=5,
        figure="experts",
    ),
    "fig5": Table(
        "Fig. 5: sweeps of alpha (beta = 1) and beta (alpha = .6), CIFAR-100-LT, imbalance 100",
        (C100,),
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
    "fig2": Table(
        "Fig. 2: what the teachers pass on, CIFAR-100-LT, imbalance 100",
        (C100,),
        (
            ablation_row("vanilla logit distillation", None, ref=False, fld=False, cpt=False),
            ablation_row("BKT", 53.7, fld=False, cpt=False),
        ),
        seeds=1,
        figure="transfer",
    ),
    "fig6": figure_table("Fig. 6: t-SNE of the features", "embedding", *COMPARED),
    "fig7": Table(
        "Fig. 7: distance between experts' features by class, CIFAR-100-LT, imbalance 100",
        (C100,),
        (
            ablation_row("without distillation", 52.2, bkt=False, fld=False, cpt=False),
            ablation_row("BKT", 53.7, fld=False, cpt=False),
            ablation_row("ECL", 56.3),
        ),
        seeds=1,
        figure="distance",
    ),
    "fig8": figure_table("Fig. 8: landscapes of loss and accuracy", "landscape", "bc", "ncl", "ecl"),
    "fig9": figure_table("Fig. 9: reliability", "reliability", *COMPARED),
    "fig10": figure_table("Fig. 10: confusion", "confusion", *COMPARED),
}
