"""What a calibrated model says of an image beside probabilities: a set of classes, "unknown", a superclass that is sure."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from longtail import metrics
from longtail.errors import LongtailError
from longtail.inference.calibration import SHARE, Calibration, Priors
from longtail.inference.hierarchy import Hierarchy
from longtail.inference.prior import move_to_prior, parse_target_prior
from longtail.methods import Method
from longtail.validation import check_value

ESTIMATE = "estimate"  # target prior: the class frequencies of the images themselves


@dataclass(frozen=True)
class DecisionOptions:
    """What is asked of a calibrated model; all defaults ask nothing.

    Raises LongtailError for values out of range and for options that need each other.
    """

    calibrated: bool = False
    sets: bool = False
    unknown: float | None = None
    hierarchy: str | Path | None = None
    sure: float | None = None

    def __post_init__(self) -> None:
        for name in ("unknown", "sure"):
            if getattr(self, name) is not None:
                check_value(name, getattr(self, name), float, SHARE)
        if (self.hierarchy is None) != (self.sure is None):
            missing, given = ("sure", "hierarchy") if self.sure is None else ("hierarchy", "sure")
            raise LongtailError(f"--{given} needs --{missing} beside it: --hierarchy FILE --sure 0.9")

    def needs_calibration(self, target_prior: str | Path | None) -> bool:
        """Return whether a calibration must be read."""
        wanted = self.calibrated, self.sets, self.unknown is not None, self.sure is not None
        return any(wanted) or str(target_prior) == ESTIMATE


@dataclass(frozen=True)
class Decision:
    """What is said of one image: its set, whether it is unknown, its sure class or superclass with the probability.

    `as_trained` is the class without an estimated prior and its probability. What was not asked for is None.
    """

    set: tuple[str, ...] | None = None
    is_unknown: bool | None = None
    sure: tuple[str, float] | None = None
    as_trained: tuple[str, float] | None = None

    def row(self) -> dict[str, str | float | bool | list[str]]:
        """Return the columns of a table."""
        row: dict[str, str | float | bool | list[str]] = {}
        if self.as_trained is not None:
            row |= {"class_as_trained": self.as_trained[0], "probability_as_trained": self.as_trained[1]}
        if self.set is not None:
            row |= {"set": list(self.set), "set_size": len(self.set)}
        if self.is_unknown is not None:
            row["unknown"] = self.is_unknown
        if self.sure is not None:
            row |= {"sure": self.sure[0], "sure_probability": self.sure[1]}
        return row


@dataclass(frozen=True)
class Decider:
    """A calibrated model's decisions: calibrated logits under a class prior, and a `Decision` for each image.

    `log_target` is the target prior (C,), or None for that of training; with `is_estimated` the biases of the classes are
    corrected too.
    """

    calibration: Calibration
    options: DecisionOptions
    method: Method
    classes: tuple[str, ...]
    hierarchy: Hierarchy | None = None
    log_target: Tensor | None = None
    is_estimated: bool = False

    @classmethod
    def build(
        cls,
        calibration: Calibration,
        options: DecisionOptions,
        method: Method,
        classes: list[str],
        target_prior: str | Path | None,
        batches: Iterable[Tensor],
    ) -> "tuple[Decider, int]":
        """Read the hierarchy, and find the target prior; returns the number of images of an estimate, else 0, too.

        `batches` yields the ensemble's logits as trained (n, C), for an estimate only. Raises LongtailError for sets whose
        promise another prior would break.
        """
        by, target, used = calibration.options.by, None, 0
        if options.sets and target_prior is not None and by not in ("class", "group"):
            raise LongtailError(
                f"sets that are calibrated by {by} promise their coverage under the class frequencies of the calibration "
                "images only; leave --target-prior out, or calibrate --by class or group"
            )
        hierarchy = None if options.hierarchy is None else Hierarchy.read(options.hierarchy, classes)
        if str(target_prior) == ESTIMATE:
            target, used = estimate_log_target(calibration, method, batches)
        elif target_prior is not None:
            target = parse_target_prior(str(target_prior), classes, method.counts)
        return cls(calibration, options, method, tuple(classes), hierarchy, target, used > 0), used

    def adjust(self, logits: Tensor) -> Tensor:
        """Calibrate logits as trained and move them to the target prior: (..., N, C) -> (..., N, C)."""
        found = self.calibration
        if self.is_estimated:
            logits = logits / found.bias_temperature + torch.tensor(found.bias, dtype=torch.float32)
        else:
            logits = logits / found.temperature
        return move_to_prior(logits, self.method, self.log_target)

    def decide(self, logits: Tensor) -> list[Decision]:
        """Decide on images by the ensemble's logits as trained: (N, C) -> N decisions.

        Raises LongtailError for logits that are not finite.
        """
        if not logits.isfinite().all():
            raise LongtailError("the logits of an image are not finite, so nothing can be said of it")
        n, options, priors = len(logits), self.options, Priors.from_method(self.method)
        adjusted = self.adjust(logits)
        sets: list = [None] * n
        if options.sets:
            scores = self.calibration.scores(logits, priors)
            found = self.calibration.sets(logits, priors, adjusted.argmax(-1))
            sets = [self.name_members(row, score) for row, score in zip(found, scores, strict=True)]
        unknown: list = [None] * n
        if options.unknown is not None:
            unknown = self.calibration.unknown(logits, priors, options.unknown).tolist()
        sure: list = [None] * n
        if self.hierarchy is not None and options.sure is not None:
            sure = self.hierarchy.back_off(adjusted.double().softmax(-1), options.sure)
        before: list = [None] * n
        if self.is_estimated:
            best = (logits / self.calibration.temperature).softmax(-1).max(-1)
            before = [(self.classes[c], p) for c, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]
        return [Decision(*each) for each in zip(sets, unknown, sure, before, strict=True)]

    def name_members(self, is_in: Tensor, scores: Tensor) -> tuple[str, ...]:
        """Return the classes of a set, the best score first: (C,) bool, (C,) -> names."""
        members = is_in.nonzero().flatten()
        order = scores[members].argsort(stable=True)
        return tuple(self.classes[c] for c in members[order].tolist())


def estimate_log_target(calibration: Calibration, method: Method, batches: Iterable[Tensor]) -> tuple[Tensor, int]:
    """Estimate the log class prior (C,) of images by EM, from the ensemble's logits as trained in batches (n, C).

    Returns the images that were used too. Raises LongtailError for a method whose prior is not known, and for fewer images
    than classes.
    """
    priors = Priors.from_method(method)
    if priors.assumed is None:
        raise LongtailError(
            f"the class prior that the logits of {type(method).__name__} assume is not known, so they cannot move to another; "
            "leave --target-prior out"
        )
    correction = priors.correct(priors.train) + torch.tensor(calibration.bias, dtype=torch.float64)
    found = [metrics.apply_temperature(z, calibration.bias_temperature, correction).float() for z in batches]
    log_probabilities = torch.cat(found) if found else torch.zeros(0, method.classes)
    n = len(log_probabilities)
    if n < method.classes:
        raise LongtailError(
            f"target prior estimate needs at least as many images as classes, {method.classes:,}, and there are {n:,}; "
            "name more images, or a target prior"
        )
    return metrics.estimate_prior(log_probabilities, priors.train).log().float(), n
