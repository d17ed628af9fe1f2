"""The figures of ECL (Xu et al., IEEE TMM 2023) as data, and figures of ours, whose names begin with `ours`.

`printed` says what the picture in the paper shows, as far as we know. Where we do not know an imbalance, it is 100 here.
"""

from longtail.reproduce.rows import C100, CALIBRATED, SINGLE, VANILLA, Row, Setting, Table, ablation_row, cifar_setting

C10 = Setting("CIFAR-10-LT", cifar_setting(10, 100), CALIBRATED)
IMAGENET = Setting("", {"data": "imagenet-lt", "net": "resnet50"}, CALIBRATED)
NAMES = {"CE": "ce", "CB": "class_balanced", "BS": "bc", "GCL": "gcl", "NCL": "ncl", "ECL": "ecl"}
BY_K = SINGLE | {"single few": "plain.single.few", "few": "plain.ensemble.few"}


def method_rows(*names: str) -> tuple[Row, ...]:
    """Return a row for each method by its name in the paper."""
    return tuple(Row(name, {"method": NAMES[name]}) for name in names)


FIGURES = {
    "fig2": Table(
        "Fig. 2: what the teachers pass on, CIFAR-100-LT, imbalance 100",
        (C100,),
        method_rows("NCL", "ECL"),
        seeds=1,
        figure="transfer",
        printed="(a) mean probability of each class over test images and teachers, with the line 1/C; (b) how often the "
        "teachers predict each class; vanilla NCL against ECL on CIFAR-100-LT, imbalance 100",
    ),
    "fig4": Table(
        "Fig. 4: accuracy against the number of experts K, CIFAR-100-LT, imbalance 100",
        (Setting("", C100.changes, BY_K),),
        tuple(Row(f"K = {k}", {"method": "ecl", "experts": k}) for k in (1, 2, 3, 4, 5, 6)),
        seeds=5,
        figure="experts",
        printed="top-1 and few-shot accuracy against K, each for a single expert and for the ensemble",
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
        printed="accuracy against alpha with beta 1, and against beta with alpha .6",
    ),
    "fig6": Table(
        "Fig. 6: t-SNE of the features, CIFAR-10-LT and CIFAR-100-LT, imbalance 100",
        (C10, Setting("CIFAR-100-LT", C100.changes, CALIBRATED)),
        method_rows("CE", "NCL", "ECL"),
        seeds=1,
        figure="embedding",
        printed="t-SNE of the features of CE, NCL and ECL, on CIFAR-10-LT (a-c) and CIFAR-100-LT (d-f)",
    ),
    "fig7": Table(
        "Fig. 7: distance between experts' features by class, CIFAR-10-LT, imbalance 100",
        (C10,),
        method_rows("NCL", "ECL"),
        seeds=1,
        figure="distance",
        printed="distance of the expert pairs (0,1), (0,2) and (1,2), NCL against ECL, on CIFAR-10-LT; experts count from 0 "
        "there and from 1 here",
    ),
    "fig8": Table(
        "Fig. 8: landscapes of loss and accuracy, CIFAR-10-LT, imbalance 100",
        (C10,),
        (ablation_row("BKT + CPT", "ECL without FLD"), ablation_row("BKT + FLD + CPT (ECL)", "ECL")),
        seeds=1,
        figure="landscape",
        printed="loss and accuracy of ECL without and with FLD along five random directions each, on CIFAR-10-LT, imbalance 100",
    ),
    "fig9": Table(
        "Fig. 9: reliability, ImageNet-LT, ResNet-50",
        (IMAGENET,),
        method_rows("CE", "CB", "GCL", "NCL", "ECL"),
        seeds=1,
        figure="reliability",
        printed="reliability diagrams of CE, CB, GCL, NCL and ECL on ImageNet-LT with ResNet-50",
    ),
    "fig9-cifar": Table(
        "Fig. 9 on other data (ours): reliability, CIFAR-100-LT, imbalance 100",
        (C100,),
        method_rows("CE", "CB", "GCL", "NCL", "ECL"),
        seeds=1,
        figure="reliability",
    ),
    "fig10": Table(
        "Fig. 10: confusion, CIFAR-100-LT, imbalance 100",
        (C100,),
        method_rows(*NAMES),
        seeds=1,
        figure="confusion",
        printed="confusion matrices of CE, CB, BS, GCL, NCL and ECL on a logarithmic scale, x the truth, y the prediction",
    ),
    "sec4-tau": Table(
        "Sec. IV: post-hoc logit adjustment of NCL's experts, CIFAR-100-LT, imbalance 100",
        (Setting("", C100.changes, SINGLE),),
        method_rows("NCL"),
        seeds=1,
        figure="expert-tau",
        printed="the best strength tau of post-hoc adjustment of single experts of NCL is about 1.2 to 1.3, not 1",
    ),
    "ours-transfer": Table(
        "Ours, after Fig. 2: what the teachers pass on without and with balanced transfer, CIFAR-100-LT, imbalance 100",
        (C100,),
        (Row("vanilla logit distillation", VANILLA), ablation_row("BKT")),
        seeds=1,
        figure="transfer",
    ),
    "ours-embedding": Table(
        "Ours, after Fig. 6: t-SNE of the features of six methods, CIFAR-100-LT, imbalance 100",
        (C100,),
        method_rows(*NAMES),
        seeds=1,
        figure="embedding",
    ),
    "ours-distance": Table(
        "Ours, after Fig. 7: distance between experts' features with parts of ECL, CIFAR-100-LT, imbalance 100",
        (C100,),
        (
            ablation_row("none (3 x BC)", "without distillation"),
            ablation_row("BKT"),
            ablation_row("BKT + FLD + CPT (ECL)", "ECL"),
        ),
        seeds=1,
        figure="distance",
    ),
    "ours-landscape": Table(
        "Ours, after Fig. 8: landscapes of three methods, CIFAR-100-LT, imbalance 100",
        (C100,),
        method_rows("BS", "NCL", "ECL"),
        seeds=1,
        figure="landscape",
    ),
    "ours-reliability": Table(
        "Ours, after Fig. 9: reliability of six methods, CIFAR-100-LT, imbalance 100",
        (C100,),
        method_rows(*NAMES),
        seeds=1,
        figure="reliability",
    ),
}
