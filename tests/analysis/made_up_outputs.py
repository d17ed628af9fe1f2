"""Made-up outputs of a run, with all attributes that figures read."""

from types import SimpleNamespace

import numpy as np
import torch

from longtail.inference.calibration import Calibration, CalibrationOptions
from longtail.inference.thresholds import Thresholds
from longtail.metrics import shot_group


def made_up(counts, experts=3, images=400, seed=0, untested=(), names=None):
    """Make up the outputs of a run from random logits that are right more often than not."""
    g, classes = torch.Generator().manual_seed(seed), len(counts)
    tested = torch.tensor([c for c in range(classes) if c not in untested])
    labels = tested[torch.randint(0, len(tested), (images,), generator=g)]
    logits = torch.randn(experts, images, classes, generator=g)
    logits += 1.5 * torch.nn.functional.one_hot(labels, classes)
    counts = np.array(counts)
    prior = torch.tensor(counts, dtype=torch.float64).clamp_min(1)
    log_prior = (prior / prior.sum()).log().float()
    return SimpleNamespace(
        label="made-up",
        names=names or [f"class {c}" for c in range(classes)],
        counts=counts,
        groups=[shot_group(int(n)) for n in counts],
        order=np.argsort(-counts, kind="stable"),
        labels=labels,
        logits=logits,
        features=torch.randn(experts, images, 8, generator=g),
        method=SimpleNamespace(log_prior=log_prior, assumed_log_prior=lambda: torch.zeros(classes)),
        calibration=make_calibration(classes),
        recipe=SimpleNamespace(method="ecl", options={"kd_temperature": 2.0}),
        run=SimpleNamespace(path="RUN", metrics=[make_row(e, t) for e, t in ((1, None), (2, 40.0), (3, 55.5))]),
    )


def make_row(epoch, top1):
    """Make a row of metrics.csv."""
    terms = {"loss": 3.0 / epoch, "bc": 2.0 / epoch, "logit": 1.0 / epoch}
    return {"epoch": float(epoch), "stage": "train", "lr": 0.1, **terms, "val_top1": top1, "test_top1": top1}


def make_calibration(classes):
    """Make up the calibration of a run, which puts about two classes into a set."""
    thresholds = Thresholds([-0.9] * classes, [30] * classes, ["all"] * classes)
    images = {"source": "validation part", "count": 30 * classes, "sha256": "", "tested": 0}
    measured = {"before": {"nll": 1.0, "ece": 9.0}, "after": {"nll": 0.9, "ece": 2.0}}
    return Calibration(CalibrationOptions(by="all"), thresholds, 0.7, 0.7, [0.0] * classes, [1.0], images, measured)
