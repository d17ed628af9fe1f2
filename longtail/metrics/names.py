"""The names of the seven metrics that every model is reported with, in the order of tables."""

METRICS = ("top1", "balanced", "many", "medium", "few", "worst", "ece")
GROUPS = ("many", "medium", "few")
