from .accuracy import class_accuracy, group_accuracy, shot_group
from .calibration import expected_calibration_error, reliability
from .distance import feature_distance
from .names import GROUPS, METRICS
from .summary import summarize

__all__ = [
    "GROUPS",
    "METRICS",
    "class_accuracy",
    "expected_calibration_error",
    "feature_distance",
    "group_accuracy",
    "reliability",
    "shot_group",
    "summarize",
]
