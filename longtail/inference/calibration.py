"""The calibration of a model: temperature, thresholds of prediction sets, and the promise for each class.

`calibration.json` of a run holds it, with the sha256 of its own content and of the weights that it belongs to.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from longtail import metrics
from longtail.errors import LongtailError, unknown_name
from longtail.inference.thresholds import Thresholds
from longtail.methods import Method
from longtail.metrics.names import SCORES, THRESHOLDS
from longtail.runs.files import read_json
from longtail.runs.finished import FinishedRun
from longtail.validation import Range, check_value

NAME = "calibration.json"
SHARE = Range(0, 1, open_low=True, open_high=True)


@dataclass(frozen=True)
class CalibrationOptions:
    """The share of images whose set must hold their class, the score, what shares a threshold, and the weight of Interp-Q.

    `by` is a name of THRESHOLDS, `score` of SCORES; a `weight` of 1 takes the thresholds of the classes alone. Raises
    LongtailError for a value out of its range.
    """

    coverage: float = 0.9
    by: str = "group"
    score: str = "pas"
    weight: float = 0.9

    def __post_init__(self) -> None:
        check_value("coverage", self.coverage, float, SHARE)
        check_value("weight", self.weight, float, Range(0, 1))
        for kind, name, known in (("score", self.score, SCORES), ("threshold", self.by, THRESHOLDS)):
            if name not in known:
                raise unknown_name(kind, str(name), known)


def check_weight(weight: float | None, by: str) -> None:
    """Raise LongtailError for a weight where nothing is interpolated."""
    if weight is not None and by != "interpolated":
        raise LongtailError(
            f"weight is {weight:g}, and thresholds by {by} have none; leave it out, or add --by interpolated"
        )


@dataclass(frozen=True)
class Priors:
    """The log prior of training (C,), and the one that the logits assume; None if the method leaves that open."""

    train: Tensor
    assumed: Tensor | None

    @classmethod
    def from_method(cls, method: Method) -> "Priors":
        """Take the priors of a method, in float64 on the CPU."""
        assumed = method.assumed_log_prior()
        return cls(method.log_prior.cpu().double(), None if assumed is None else assumed.cpu().double())

    def correct(self, log_prior: Tensor) -> Tensor:
        """Return what moves logits to another prior, (C,); 0 where the assumed prior is not known."""
        return torch.zeros_like(self.train) if self.assumed is None else log_prior.double() - self.assumed


@dataclass(frozen=True)
class Calibration:
    """What calibration images tell of a model.

    `temperature` divides the logits; `bias_temperature` and `bias` (C,) do so where a class prior is estimated. `evidence`
    holds the largest logit without prior of each calibration image, from the smallest. `images` says where they come from,
    `measured` the negative log-likelihood and ECE on them before and after.
    """

    options: CalibrationOptions
    thresholds: Thresholds
    temperature: float
    bias_temperature: float
    bias: list[float]
    evidence: list[float]
    images: dict
    measured: dict

    def scores(self, logits: Tensor, priors: Priors) -> Tensor:
        """Compute the scores of all classes from logits as trained: (N, C) -> (N, C) float64."""
        return compute_scores(logits, self.options.score, self.temperature, priors)

    def sets(self, logits: Tensor, priors: Priors, best: Tensor) -> Tensor:
        """Return which classes are in the set of each image: (N, C) logits as trained, (N,) predicted classes -> (N, C) bool.

        The predicted class is always in, so no set is empty.
        """
        found = metrics.prediction_sets(self.scores(logits, priors), self.thresholds.by_class())
        return found.scatter(1, best.unsqueeze(1), True)

    def unknown(self, logits: Tensor, priors: Priors, share: float) -> Tensor:
        """Return which images look unlike every class: (N, C) logits as trained -> (N,) bool.

        An image is unknown if its evidence is below that of all but a `share` of the calibration images; the promise is that
        at most this share of images of known classes is called unknown. Raises LongtailError for too few calibration images.
        """
        check_value("unknown", share, float, SHARE)
        rank = math.floor((len(self.evidence) + 1) * share + 1e-9)
        if rank < 1:
            raise LongtailError(
                f"unknown is {share:g}; it needs at least {math.ceil(1 / share - 1e-9) - 1} calibration images, and there "
                f"are {len(self.evidence)}"
            )
        return compute_evidence(logits, priors) < self.evidence[rank - 1]


def compute_scores(logits: Tensor, score: str, temperature: float, priors: Priors) -> Tensor:
    """Compute the scores of all classes: (N, C) logits as trained -> (N, C) float64.

    "pas" takes probabilities under the training prior, all others those as trained. Raises LongtailError for "pas" where the
    prior that the logits assume is not known.
    """
    correction = torch.zeros_like(priors.train)
    if score == "pas":
        if priors.assumed is None:
            raise LongtailError(
                "score is pas, which needs the class prior that the logits assume, and this method leaves that open; take lac"
            )
        correction = priors.correct(priors.train)
    probabilities = metrics.apply_temperature(logits, temperature, correction).exp()
    return metrics.compute_scores(score, probabilities, priors.train.softmax(-1))


def compute_evidence(logits: Tensor, priors: Priors) -> Tensor:
    """Compute the largest logit of each image without the class prior: (N, C) -> (N,) float64.

    It tells images of no class from others better than the largest probability does, and takes fewer few-shot images for
    unknown (measured on frozen features of Caltech-101 without 21 classes).
    """
    z = logits.double()
    return (z if priors.assumed is None else z - priors.assumed).amax(-1)


def calibrate_logits(
    logits: Tensor, labels: Tensor, priors: Priors, run: FinishedRun, options: CalibrationOptions, images: dict
) -> Calibration:
    """Calibrate a model on the ensemble's logits (N, C) and the labels (N,) of images that it was not trained on.

    Temperatures maximize the likelihood under the class prior of these images, and are used under any. Raises LongtailError
    for logits that are not finite, for images of a single class, and for too few images.
    """
    broken = int((~logits.isfinite().all(-1)).sum())
    if broken:
        raise LongtailError(f"the logits of {broken:,} of {len(logits):,} calibration images are not finite")
    tested = labels.unique()
    if len(tested) < 2:
        raise LongtailError("calibration needs images of two classes or more; name labeled images of every class")
    frequencies = torch.bincount(labels, minlength=len(priors.train)) + 0.5  # a class without images may still appear
    correction = priors.correct((frequencies / frequencies.sum()).log())
    temperature = metrics.fit_temperature(logits, labels, correction)
    bias_temperature, bias = metrics.fit_bias_corrected(logits, labels, correction)
    if not (math.isfinite(temperature) and math.isfinite(bias_temperature) and bias.isfinite().all()):
        raise LongtailError(
            f"no temperature was found for logits as large as {logits.abs().max():.3g}; the model is not usable"
        )
    of_label = compute_scores(logits, options.score, temperature, priors).gather(1, labels.unsqueeze(1)).squeeze(1)
    thresholds = Thresholds.fit(
        of_label, labels, run.classes, options.coverage, options.by, options.score, options.weight
    )
    log_probabilities = {t: metrics.apply_temperature(logits, t, correction) for t in (1.0, temperature)}
    measured = {
        when: {
            "nll": -log_p.gather(1, labels.unsqueeze(1)).mean().item(),
            "ece": 100 * metrics.expected_calibration_error(log_p.exp(), labels),
        }
        for when, log_p in (("before", log_probabilities[1.0]), ("after", log_probabilities[temperature]))
    }
    evidence = compute_evidence(logits, priors).sort().values.tolist()
    return Calibration(options, thresholds, temperature, bias_temperature, bias.tolist(), evidence, images, measured)


def write_calibration(run: FinishedRun, calibration: Calibration, weights: str) -> None:
    """Write `calibration.json` into a run, for the weights of this file name; an earlier one is replaced."""
    content = asdict(calibration) | {
        "weights": {"file": weights, "sha256": run.folder.verify(weights)},
        "classes": calibration.thresholds.describe(run.classes, calibration.options),
    }
    run.folder.write_json(NAME, content | {"sha256": hash_content(content)})


def read_calibration(run: FinishedRun, weights: str) -> Calibration:
    """Read the calibration of a run's weights.

    Raises LongtailError if there is none, if it is damaged, or if it belongs to other weights.
    """
    path = run.path / NAME
    selected = " --selected" if weights.startswith("selected") else ""
    if not run.folder.has(NAME):
        raise LongtailError(f"{run.path} is not calibrated; run first: longtail calibrate {run.path}{selected}")
    content = read_json(path)
    with run.folder.report_damage(NAME):
        if content.pop("sha256") != hash_content(content):
            raise LongtailError(
                f"{path} is not as longtail wrote it: its sha256 is not that of its content; calibrate again"
            )
        if content["weights"] != {"file": weights, "sha256": run.folder.verify(weights)}:
            raise LongtailError(
                f"{path} belongs to other weights than {weights}: longtail calibrate {run.path}{selected}"
            )
        thresholds = Thresholds(**content["thresholds"])
        if len(thresholds.values) != len(run.classes):
            raise ValueError(f"{len(thresholds.values)} thresholds for {len(run.classes)} classes")
        options = CalibrationOptions(**content["options"])
        rest = ("temperature", "bias_temperature", "bias", "evidence", "images", "measured")
        return Calibration(options, thresholds, *(content[key] for key in rest))


def hash_content(content: dict) -> str:
    """Compute the sha256 of the content of a calibration file, without its own."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
