"""Heads on feature vectors of any origin, as a scikit-learn estimator: numpy in, numpy out."""

from collections.abc import Callable, Sequence
from copy import deepcopy
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
from longtail.errors import LongtailError, unknown_name
from longtail.evaluate import compute_logits
from longtail.methods import Method, get_method_class, get_options, name_method
from longtail.nets import VectorNet
from longtail.recipe import Recipe
from longtail.recipes import recipe_for
from longtail.stages import build_loader, plan_stages
from longtail.tracking import PrintReport, SilentReport
from longtail.trainer import Trainer

# fields of a recipe that mean something without images; all others are of data, encoders, tests and runs
FIELDS = (
    *("epochs", "batch_size", "accumulate", "lr", "momentum", "nesterov", "weight_decay", "optimizer", "schedule"),
    *("milestones", "warmup", "neck"),
)


class Heads(ClassifierMixin, BaseEstimator):
    """A long-tailed classifier on feature vectors (N, d), trained by a method of `longtail methods`.

    `options` are options of the method and fields of the recipe `frozen`: epochs, batch_size, lr, neck and others. Labels
    are the values of `class_names` or positions in it; a class may have no example. Without names, classes are the sorted
    values of the labels. Arguments are checked by `fit`, which raises LongtailError, or scikit-learn's errors for arrays.

    Fitted heads live on the CPU, and can be pickled (`joblib.dump`): the loaded ones predict equally. As with any pickle,
    load files of people you trust only.
    """

    def __init__(
        self,
        method: str | type[Method] = "logit_adjustment",
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
        """Train on features (N, d) and labels (N,); returns self.

        Arrays, lists and torch tensors are taken, standardized, and computed with in float32.
        """
        X, y = validate_data(self, to_numpy(X), to_numpy(y), dtype=(np.float32, np.float64), order="C")
        check_classification_targets(y)
        self.classes_, codes = self._encode(y)
        if len(np.unique(codes)) < 2:
            raise LongtailError("the labels have one class only; a classifier needs two")
        # networks compute in float32, whose batch norm swamps small features and overflows on large ones
        self.mean_, self.scale_ = X.mean(0, dtype=np.float64), X.std(0, dtype=np.float64)
        self.scale_[self.scale_ == 0] = 1
        labels, features = torch.from_numpy(codes.astype(np.int64)), self._standardize(X)[:, None]
        train = FeatureSet(features, labels, "")
        table = ClassTable.from_labels([str(name) for name in self.classes_], labels)
        world = init_world(self.device, self.threads)
        with world.session():
            self._train(Split("features", table, train, train), X.shape[1], world)
        return self

    def _encode(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the classes and the position of each label among them."""
        if self.class_names is None:
            return np.unique(y, return_inverse=True)
        names = np.asarray(self.class_names)
        if names.ndim != 1:
            raise LongtailError(f"class_names is {self.class_names!r}; it takes a list of names")
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

    def _build_recipe(self, split: Split) -> Recipe:
        """Build the recipe; raises LongtailError for options that are unknown or out of range."""
        name, options = name_method(self.method), self.options or {}
        known = [*FIELDS, *get_options(name)]
        for option in options:
            if option not in known:
                raise unknown_name(f"option of {name} on features", option, known)
        # the path names no file: a recipe takes a known data set or a path
        recipe = recipe_for("/features", "frozen", method=name, eval_every=0, seed=self.seed, **options)
        return recipe.fit_batch_size(split)

    def _train(self, split: Split, inputs: int, world: World) -> None:
        """Train the method in memory, and keep a copy on the CPU, free of gradients."""
        recipe = self._build_recipe(split)
        torch.manual_seed(derive_seed(recipe.seed, 0))
        build: Callable[..., Method] = get_method_class(recipe.method)
        method = build(split.classes.counts, VectorNet("", neck=recipe.neck, inputs=inputs), **recipe.options)
        if set(method.test_time_views) - {"plain"}:
            raise LongtailError(
                f"{recipe.method} would learn from test images, which fit does not see; leave aggregate out"
            )
        self.model_, method = deepcopy(method), method.to(world.device)
        plans, loader = plan_stages(method.stages(), recipe.epochs), build_loader(recipe, method, split, world)
        title = f"{recipe.method}: {len(split.train):,} vectors of {inputs}, {len(split.classes)} classes"
        report = FitReport(title) if self.verbose else SilentReport()
        Trainer(recipe, method, split, plans, loader, None, report, world).train()
        self.model_.load_state_dict(method.state_dict())
        self.model_.eval()
        self.transform_set_ = recipe.transform_set

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Compute the logits of the ensemble: (N, d) -> (N, C), or (N,) for two classes, as scikit-learn has it."""
        logits = self._compute_logits(X).numpy()
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Compute the probabilities of the classes: (N, d) -> (N, C)."""
        return self._compute_logits(X).double().softmax(-1).numpy()

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the most probable class of each row: (N, d) -> (N,), values of `classes_`."""
        best = self._compute_logits(X).argmax(-1).numpy()
        return self.classes_[best]

    def score(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """Compute the accuracy, a share in [0, 1]; labels are given as to `fit`."""
        y = np.asarray(to_numpy(y))
        if self.class_names is not None:
            y = self.classes_[self._encode(y)[1]]
        return super().score(X, y, sample_weight)

    def _compute_logits(self, X: np.ndarray) -> Tensor:
        check_is_fitted(self)
        X = validate_data(self, to_numpy(X), dtype=(np.float32, np.float64), order="C", reset=False)
        return compute_logits(self.model_, self._standardize(X), self.transform_set_).mean(0)

    def _standardize(self, X: np.ndarray) -> Tensor:
        """Return features with the mean 0 and the deviation 1 of the training features, (N, d) float32."""
        return torch.from_numpy(((X - self.mean_) / self.scale_).astype(np.float32))


class FitReport(PrintReport):
    """Plain lines about a fit, under a title that names no images."""

    def __init__(self, title: str):
        super().__init__()
        self.title = title

    def begin(self, seed: int, title: str, epochs: int, steps: int) -> None:
        super().begin(seed, f"{self.title}, {epochs} epochs of {steps // epochs} steps", epochs, steps)


def to_numpy(values: Any) -> Any:
    """Return a torch tensor of any type and device as an array; anything else stays as it is."""
    if not isinstance(values, Tensor):
        return values
    values = values.detach().cpu()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def fit_features(
    features: np.ndarray,
    labels: np.ndarray,
    method: str | type[Method] = "logit_adjustment",
    class_names: Sequence[str] | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    verbose: bool = False,
    **options: Any,
) -> Heads:
    """Train a method on feature vectors (N, d) with labels (N,), and return the fitted `Heads`.

    `options` are options of the method and fields of the recipe `frozen`: epochs, batch_size, lr, neck and others. Raises
    LongtailError for bad input, and scikit-learn's ValueError for arrays of a wrong shape or with values that are not finite.
    """
    heads = Heads(
        method, class_names=class_names, seed=seed, device=device, threads=threads, verbose=verbose, options=options
    )
    return heads.fit(features, labels)
