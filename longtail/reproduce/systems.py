"""The rows of Tables I and II of ECL (Xu et al., IEEE TMM 2023) as data: systems, printed top-1, and how it was measured.

A printed value is known to us from ECL's tables, unless its row has the mark p; "-" is a value that we do not know.
"""

from longtail.methods import METHODS
from longtail.reproduce.rows import Row, cifar_setting

CIFAR = {
    f"CIFAR-{classes}-LT {gamma}": cifar_setting(classes, gamma)
    for classes in (10, 100)
    for gamma in (10, 50, 100, 200)
}
LARGE = {
    "ImageNet-LT R-50": {"data": "imagenet-lt", "net": "resnet50"},
    "ImageNet-LT RX-50": {"data": "imagenet-lt", "net": "resnext50_32x4d"},
    "iNaturalist 2018 R-50": {"data": "inaturalist2018", "net": "resnet50"},
}
MARKS = {
    "t": "true ResNet-32, width 16/32/64",
    "w": "wider than that",
    "b": "best epoch, chosen on test images",
    "c": "the split of Cao et al., seed 0",
    "f": "a split of the first images of each class",
    "p": "published elsewhere; we have not compared the values with ECL's tables",
    "n": "not in ECL's tables",
    "r": "partly runs of ECL's authors",
}
OURS = "true ResNet-32, last epoch, the split of Cao et al. with seed 0, 200 epochs"
CKT = "its formulas (Parisot et al., CVPR 2022) could not be read, and a method under its name would be a guess"

# group; name, method, options, top-1 on CIFAR-10-LT and on CIFAR-100-LT at 10 50 100 200, top-1 on ImageNet-LT R-50,
# RX-50 and iNaturalist 2018, and how the printed values were measured: marks, epochs x views an image, networks at test
NONE, THREE = "- - - -", "- - -"
SYSTEMS: dict[str, tuple[tuple[str, str, dict, str, str, str, str], ...]] = {
    "loss": (
        ("CE", "ce", {}, NONE, NONE, THREE, ""),
        ("Focal", "focal", {}, NONE, NONE, THREE, ""),
        ("CB", "class_balanced", {}, NONE, NONE, THREE, ""),
        ("LDAM-DRW", "ldam_drw", {}, NONE, NONE, THREE, "c; 200 x 1; 1"),
        ("BS", "bc", {}, NONE, NONE, THREE, ""),
        ("LA", "logit_adjustment", {}, NONE, NONE, THREE, ""),
        ("LADE", "lade", {}, NONE, NONE, THREE, ""),
        ("GCL", "gcl", {}, NONE, NONE, THREE, "(200 + 30) x 1; 1"),
        ("WD", "ltr_wd", {}, NONE, NONE, THREE, ""),
    ),
    "decoupled": (
        ("OLTR", "oltr", {}, NONE, NONE, "40.4 - 63.9", "(30 + 60) x 1; 1"),
        ("cRT", "crt", {}, NONE, NONE, THREE, ""),
        ("LWS", "lws", {}, NONE, NONE, THREE, ""),
        ("tau-norm", "tau_norm", {}, NONE, NONE, THREE, ""),
        ("NCM", "ncm", {}, NONE, NONE, THREE, ""),
        ("MiSLAS", "mislas", {}, NONE, NONE, THREE, ""),
        ("DisAlign", "disalign", {}, NONE, NONE, THREE, ""),
    ),
    "augmentation": (
        ("mixup", "mixup", {}, NONE, NONE, THREE, ""),
        ("M2m", "m2m", {}, "87.9 - 78.3 -", "58.2 - 42.9 -", THREE, "b f; 200 x 1; 1"),
        ("CAM", "cam", {}, "- 83.6 80.0 -", "- 51.7 47.8 -", THREE, "b; 1"),
        ("Prior-LT", "prior_lt", {}, NONE, NONE, THREE, ""),
        ("CMO", "cmo", {}, NONE, NONE, THREE, ""),
        ("CKT", "", {}, NONE, NONE, "- 54.2 -", ""),
    ),
    "causal": (
        ("Causal norm", "causal_norm", {}, "- 83.6 80.6 -", "- 50.3 44.1 -", THREE, ""),
        ("TDE + IDR", "tde_idr", {}, "- 84.5 79.6 -", "- 50.3 44.9 -", THREE, ""),
    ),
    "contrastive": (
        ("Hybrid-SC", "hybrid_sc", {}, "91.12 85.36 81.40 -", "- 51.9 46.7 -", THREE, "p; 200 x 3; 1"),
        ("DRO-LT", "dro_lt", {}, NONE, "63.4 57.6 47.3 -", THREE, "t b; (200 + 100) x 1; 1"),
        ("PaCo", "paco", {}, NONE, NONE, THREE, "w; 400 x 2; 1"),
        ("TSC", "tsc", {}, "88.7 82.9 79.7 -", "59.0 47.4 43.8 -", "- - 69.7", "p; (1000 + 200) x 2; 1"),
        ("BCL", "bcl", {}, NONE, NONE, THREE, ""),
        ("ProCo", "proco", {}, "91.9 88.2 85.9 -", "65.5 57.1 52.8 -", "57.3 58.0 73.5", "p t b c; 200 x 3; 1"),
    ),
    "distillation": (
        ("LFME", "lfme", {}, "87.1 81.5 75.3 72.9", "57.8 47.2 42.3 39.0", THREE, "r; 1"),
        ("DiVE", "dive", {}, NONE, "62.0 51.1 45.4 -", "- - 71.7", "p; (200 + 200) x 1; 1"),
        ("SSD", "ssd", {}, NONE, "62.3 50.5 46.0 -", "- 56.0 71.5", "1"),
        ("CBD", "cbd", {}, NONE, NONE, "55.6 - -", "n p; (90 + 90) x 1; 1"),
    ),
    "multi-expert": (
        ("BBN", "bbn", {}, NONE, NONE, THREE, ""),
        ("RIDE", "ride", {"experts": 4}, NONE, "61.8 - - -", THREE, "(200 + 5) x 1; 4 branches"),
        ("CMO + RIDE", "cmo_ride", {"experts": 4}, NONE, "60.2 53.0 50.0 -", "- - 72.8", "p; 4 branches"),
        ("ACE", "ace", {"experts": 4}, "- 84.9 81.4 -", "- 51.9 49.6 -", "54.7 56.6 72.9", "4 branches"),
        ("SADE", "sade", {}, NONE, NONE, THREE, "200 x 1; 3 branches"),
        ("BalPoE", "balpoe", {}, "- - 86.8 -", "- 60.1 55.9 -", THREE, "p; 3 branches"),
        ("NCL", "ncl", {}, "91.1 87.3 85.5 82.2", "63.8 58.2 54.2 49.5", "59.5 60.5 74.9", "400 x 2; 3"),
        ("ECL", "ecl", {}, "91.8 88.9 86.5 83.6", "67.3 59.9 56.3 51.4", "60.6 61.7 75.8", "200 x 2; 3"),
    ),
}


def system_rows(headings: dict[str, dict]) -> tuple[Row, ...]:
    """Return a row for each system, for the columns of Table I (`CIFAR`) or of Table II (`LARGE`).

    A method that is not in the table of methods has no row. CKT cannot be run and keeps its printed value.
    """
    rows = []
    for group, systems in SYSTEMS.items():
        for label, method, options, cifar10, cifar100, large, marks in systems:
            printed = parse_printed(headings, f"{cifar10} {cifar100}" if headings is CIFAR else large)
            if method in METHODS:
                rows.append(Row(label, {"method": method, **options}, printed, group=group, marks=marks))
            elif not method and printed:
                rows.append(Row(label, {}, printed, group=group, reason=CKT))
    return tuple(rows)


def parse_printed(headings: dict[str, dict], values: str) -> dict[str, float]:
    """Parse printed values in the order of the columns; "-" is not known."""
    return {name: float(value) for name, value in zip(headings, values.split(), strict=True) if value != "-"}


def parse_marks(marks: str) -> set[str]:
    """Return the marks among the words before the first semicolon."""
    return set(marks.partition(";")[0].split()) & MARKS.keys()


def find_printed(method: str, heading: str) -> tuple[float, str] | None:
    """Return the printed value of a method in a column of Table I or II and its marks, or None."""
    for headings in (CIFAR, LARGE):
        for row in system_rows(headings):
            if row.changes.get("method") == method and heading in row.paper:
                return row.paper[heading], row.marks
    return None
