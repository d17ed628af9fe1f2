"""Names of the seven metrics that every model is reported with, in the order of tables, and of the class groups."""

METRICS = ("top1", "balanced", "many", "medium", "few", "worst", "ece")
GROUPS = ("many", "medium", "few")

SCORES = ("pas", "lac", "aps", "raps")  # of prediction sets
THRESHOLDS = ("all", "group", "class", "interpolated")  # which calibration images decide whether a class is in a set
