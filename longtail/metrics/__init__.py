"""Metrics as pure functions of predictions; shares in [0, 1], None (or nan in tensors) where nothing is to be measured."""

from longtail.metrics.accuracy import class_accuracy, group_accuracy, group_of
from longtail.metrics.calibration import expected_calibration_error, reliability
from longtail.metrics.distance import feature_distance
from longtail.metrics.summary import METRICS, summarise

__all__ = [
    "METRICS",
    "class_accuracy",
    "expected_calibration_error",
    "feature_distance",
    "group_accuracy",
    "group_of",
    "reliability",
    "summarise",
]
