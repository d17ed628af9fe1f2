"""Heads on feature vectors of any origin, as a scikit-learn estimator: numpy in, numpy out."""

from collections.abc import Callable, Sequence
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from longtail.data import ClassTable, FeatureSet, Split
from longtail.data.seeding import derive_seed
from longtail.distributed import World, init_world
from longtail.errors import LongtailError
from longtail.evaluate import compute_logits
from longtail.methods import Method, get_method_class, name_method
from longtail.nets import VectorNet
from longtail.recipes import recipe_for
from longtail.runs.folder import RunFolder
from longtail.stages import build_loader, plan_stages
from longtail.tracking import PrintReport, SilentReport
from longtail.trainer import Trainer


class Heads(ClassifierMixin, BaseEstimator):
    """A long-tailed classifier on feature vectors (N, d), trained by a method of `longtail methods`.

    `options` are fields of the recipe `frozen` (epochs, lr, neck, ...) and options of the method. Labels are the values of
    `class_names` or positions in it; without names, classes are the sorted values of the labels. Arguments are checked
    by `fit`, which raises LongtailError, or scikit-learn's errors for arrays.
    """

    def __init__(
        self,
        method: str | type[Method] = "bc",
        *,
        class_names: Sequence[str] | None = None,
        seed: int = 0,
        device: str = "auto",
        threads: int | None = None,
        verbose: bool = False,
        options: dict[str, Any] | None = None,
    ):
        self.method, self.class_names, self.options = method, class_names, options
        self.seed, self.device, self.threads, self.verbose = seed, device, threads, verbose

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Heads":
        """Train on features (N, d) and labels (N,); returns self."""
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        self.classes_, codes = self._encode(y)
        if len(np.unique(codes)) < 2:
            raise LongtailError("the labels have one class only; a classifier needs two")
        labels, features = torch.from_numpy(codes.astype(np.int64)), torch.from_numpy(X)[:, None]
        table = ClassTable.from_labels([str(name) for name in self.classes_], labels)
        train = FeatureSet(features, labels, "")
        world = init_world(self.device, self.threads)
        with TemporaryDirectory() as folder, world.session():
            trainer = self._build_trainer(folder, Split("features", table, train, train), world)
            trainer.train()
        self.model_, self.transform_set_ = trainer.method.eval(), trainer.recipe.transform_set
        return self

    def _encode(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the classes and the position of each label among them."""
        if self.class_names is None:
            return np.unique(y, return_inverse=True)
        names = np.asarray(self.class_names)
        if len(set(names.tolist())) < len(names):
            raise LongtailError("class_names holds a name twice")
        if np.issubdtype(y.dtype, np.integer) and not np.issubdtype(names.dtype, np.integer):
            if y.min() < 0 or y.max() >= len(names):
                raise LongtailError(f"labels are {y.min()} to {y.max()}; class_names has {len(names)} names, from 0")
            return names, y
        positions = {name: i for i, name in enumerate(names.tolist())}
        if unknown := sorted(set(y.tolist()) - positions.keys()):
            raise LongtailError(f"label {unknown[0]!r} is not among the class_names")
        return names, np.array([positions[label] for label in y.tolist()])

    def _build_trainer(self, folder: str, split: Split, world: World) -> Trainer:
        """Build a trainer whose run folder is temporary."""
        assert isinstance(split.train, FeatureSet)
        fields = {"eval_every": 0, "seed": self.seed, **(self.options or {})}
        name = name_method(self.method)
        recipe = recipe_for(folder, "frozen", method=name, **fields).fit_batch_size(split)
        torch.manual_seed(derive_seed(recipe.seed, 0))
        net = VectorNet("", neck=recipe.neck, inputs=split.train.features.shape[-1])
        build: Callable[..., Method] = get_method_class(name)
        method = build(split.classes.counts, net, **recipe.options).to(world.device)
        plans = plan_stages(method.stages(), recipe.epochs)
        run = RunFolder.create(f"{folder}/run")
        report = PrintReport() if self.verbose else SilentReport()
        return Trainer(recipe, method, split, plans, build_loader(recipe, method, split, world), run, report, world)

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Compute the logits of the ensemble: (N, d) -> (N, C), or (N,) for two classes, as scikit-learn has it."""
        logits = self._compute_logits(X).numpy()
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Compute the probabilities of the classes: (N, d) -> (N, C)."""
        return self._compute_logits(X).double().softmax(-1).numpy()

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the most probable class of each row: (N, d) -> (N,), values of `classes_`."""
        return self.classes_[self._compute_logits(X).argmax(-1).numpy()]

    def _compute_logits(self, X: np.ndarray) -> Tensor:
        check_is_fitted(self)
        rows = torch.from_numpy(validate_data(self, X, dtype=np.float32, reset=False))
        return compute_logits(self.model_, rows, self.transform_set_).mean(0)


def fit_features(
    features: np.ndarray,
    labels: np.ndarray,
    method: str | type[Method] = "bc",
    class_names: Sequence[str] | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    verbose: bool = False,
    **options: Any,
) -> Heads:
    """Train a method on feature vectors (N, d) with labels (N,), and return the fitted `Heads`.

    `options` are fields of the recipe `frozen` (epochs, lr, neck, ...) and options of the method. Raises LongtailError for
    bad input, and scikit-learn's ValueError for arrays of a wrong shape or with values that are not finite.
    """
    heads = Heads(
        method, class_names=class_names, seed=seed, device=device, threads=threads, verbose=verbose, options=options
    )
    return heads.fit(features, labels)
