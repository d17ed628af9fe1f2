"""Heads of long-tail methods on vectors that you have already, beside scikit-learn's logistic regression.

Run:      python examples/features_sklearn.py
Time:     7 s of CPU time (one thread of a shared AMD EPYC Zen 4, torch 2.15, 2026-11-26)
Expected: balanced accuracy of 84.3 (logistic regression), 81.6 (logit_adjustment), 81.3 (bc) and 81.9 (ecl): on so few raw
          pixels, regression with balanced class weights is best; on features of a pretrained network see RESULTS.md
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

x, y = load_digits(return_X_y=True)  # the pixels are the features: (N, 64), (N,)
x, test_x, y, test_y = train_test_split(x, y, test_size=0.5, stratify=y, random_state=0)

# 80 images of digit 0, fewer of each further one, 2 of digit 9
rows = long_tailed_indices(torch.from_numpy(y), exponential_counts(10, 80, 40))
x, y = x[rows], y[rows]

models = {
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced")).fit(x, y),
    "logit_adjustment": fit_features(x, y),  # the default
    "bc": fit_features(x, y, "bc"),
    "ecl": fit_features(x, y, "ecl", neck=128),
}
for name, model in models.items():
    print(f"{name:20} {100 * balanced_accuracy_score(test_y, model.predict(test_x)):.1f}")
