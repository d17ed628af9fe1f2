"""Heads on vectors that you have already: scikit-learn's digits, pixels as features, cut to a long tail.

Run: python examples/features_sklearn.py (a few seconds on a CPU)
"""

import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from longtail import fit_features
from longtail.data import exponential_counts, long_tailed_indices

x, y = load_digits(return_X_y=True)
x, test_x, y, test_y = train_test_split(x, y, test_size=0.5, stratify=y, random_state=0)

# 80 images of digit 0, fewer of each further one, 2 of digit 9
rows = long_tailed_indices(torch.from_numpy(y), exponential_counts(10, 80, 40))
x, y = x[rows], y[rows]

models = {
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced")).fit(x, y),
    "bc": fit_features(x, y, "bc"),
    "ecl": fit_features(x, y, "ecl", neck=128),
}
for name, model in models.items():
    print(f"{name:20} {100 * balanced_accuracy_score(test_y, model.predict(test_x)):.1f}")
