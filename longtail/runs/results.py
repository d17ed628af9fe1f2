"""What a finished run holds: the model, predictions, a table of classes, `results.json`, and the manifest of hashes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from longtail.augment import TransformSet
from longtail.data import Split
from longtail.data.eval_transform import MEAN_COLOR
from longtail.data.split import list_names
from longtail.methods import Method
from longtail.metrics import class_accuracy, summarize
from longtail.recipe import Recipe
from longtail.runs.files import atomic_path, hash_file
from longtail.runs.folder import MANIFEST, RunFolder

LAST_WEIGHTS = "model.safetensors"  # of the last epoch
SELECTED_WEIGHTS = "selected.safetensors"  # of the epoch that validation selected
ENCODER_WEIGHTS = "encoder.safetensors"  # of a frozen encoder, which all experts share
RESULT_FILES = (
    ENCODER_WEIGHTS,
    *("recipe.json", "split.json", "environment.json", "metrics.csv", LAST_WEIGHTS, SELECTED_WEIGHTS, "model.json"),
    *("per_class.csv", "predictions.parquet", "results.json"),
)


@dataclass(frozen=True)
class Predictions:
    """Logits (K, N, C) float32 on the CPU: `plain`, and `flip` averaged with those of the mirrored images (flip TTA).

    `five_crop`, where it was asked for, is the mean over five crops of each image.
    """

    plain: Tensor
    flip: Tensor
    labels: Tensor
    five_crop: Tensor | None = None

    def results(self, counts: Sequence[int]) -> dict:
        """Compute the seven metrics of the ensemble (mean of the logits) and of each expert, without and with TTA."""

        def summarize_all(logits: Tensor) -> dict:
            ensemble = summarize(logits.mean(0), self.labels, counts)
            return {"ensemble": ensemble, "experts": [summarize(expert, self.labels, counts) for expert in logits]}

        crops = {} if self.five_crop is None else {"five_crop": summarize_all(self.five_crop)}
        return {"plain": summarize_all(self.plain), "flip": summarize_all(self.flip)} | crops


def write_results(
    run: RunFolder,
    recipe: Recipe,
    method: Method,
    split: Split,
    rows: list[dict],
    predictions: Predictions,
    extras: dict,
) -> None:
    """Write the files of a finished run: `results.json`, which marks the run as finished, and then the manifest."""
    transform_set, results = recipe.transform_set, predictions.results(split.classes.counts)
    rows[-1] |= {f"test_{name}": value for name, value in results["plain"]["ensemble"].items()}
    (run.path / MANIFEST).unlink(missing_ok=True)  # of an earlier end, whose results.json was removed
    run.write_csv("metrics.csv", rows)
    run.write_tensors(LAST_WEIGHTS, method.inference_state())
    weights = [LAST_WEIGHTS, SELECTED_WEIGHTS] if recipe.select else [LAST_WEIGHTS]
    model = {
        "method": recipe.method,
        "net": recipe.net,
        "precision": recipe.precision,
        "frozen": recipe.frozen,
        "tune": recipe.tune,
        "options": recipe.options,
        "classes": list(split.classes.names),
        "train_counts": list(split.classes.counts),
        "transform": describe_transform(transform_set),
        "weights_sha256": {name: hash_file(run.path / name) for name in weights},
    }
    run.write_json("model.json", model)
    run.write_csv("per_class.csv", build_per_class_rows(predictions, split))
    write_predictions(run, predictions, split)
    head = {"method": recipe.method, "data": recipe.data, "seed": recipe.seed, "epochs": recipe.epochs}
    run.write_json("results.json", head | results | extras)
    run.write_manifest(name for name in RESULT_FILES if run.has(name))


def describe_transform(transform_set: TransformSet) -> dict:
    """Return how an image becomes network input: by `fit` a square of `size`, / 255, - mean, / std.

    The shorter side becomes `resize` before the center is cut out ("cut"), the longer side before the rest is padded in the
    color `fill` ("pad"), or both do ("squeeze").
    """
    size, evaluation, fit = transform_set.size, transform_set.eval_transform, transform_set.fit
    resize = evaluation.resize if evaluation and fit == "cut" else size
    head = {"size": [size, size], "resize": resize, "fit": fit} | ({"fill": MEAN_COLOR} if fit == "pad" else {})
    return head | {"mean": transform_set.mean, "std": transform_set.std, "views": transform_set.name}


def build_per_class_rows(predictions: Predictions, split: Split) -> list[dict]:
    """Return a row for each class: name, counts, group, and accuracies in percent (None without test images)."""
    classes, labels = split.classes, predictions.labels
    logits = {"plain": predictions.plain.mean(0), "flip": predictions.flip.mean(0)}
    logits |= {f"expert_{k}": expert for k, expert in enumerate(predictions.plain)}
    accuracy = {name: class_accuracy(z.argmax(-1), labels, len(classes)).tolist() for name, z in logits.items()}
    tested = torch.bincount(labels, minlength=len(classes)).tolist()
    return [
        {
            "class": c,
            "name": classes.names[c],
            "train_images": classes.counts[c],
            "group": classes.groups[c],
            "test_images": tested[c],
            **{name: 100 * values[c] if tested[c] else None for name, values in accuracy.items()},
        }
        for c in range(len(classes))
    ]


def write_predictions(run: RunFolder, predictions: Predictions, split: Split) -> None:
    """Write `predictions.parquet`: a row for each test image, in their order.

    A row holds the name of the image, the label and the ensemble's class by number and by name, the confidence, and the
    class and confidence of each expert.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # argmax of the logits, as in the metrics: in float32 two softmax values may tie where the logits do not
    ensemble, experts, names = predictions.plain.mean(0), predictions.plain, split.classes.names
    labels, predicted = predictions.labels.tolist(), ensemble.argmax(-1).tolist()
    table = pa.table(
        {
            "index": pa.array(range(len(labels)), pa.int32()),
            "path": pa.array(list_names(split.test), pa.string()),
            "label": pa.array(labels, pa.int32()),
            "label_name": pa.array([names[c] for c in labels], pa.string()),
            "predicted": pa.array(predicted, pa.int32()),
            "predicted_name": pa.array([names[c] for c in predicted], pa.string()),
            "confidence": pa.array(ensemble.softmax(-1).amax(-1).tolist(), pa.float32()),
            "experts_predicted": pa.array(experts.argmax(-1).T.tolist(), pa.list_(pa.int32())),
            "experts_confidence": pa.array(experts.softmax(-1).amax(-1).T.tolist(), pa.list_(pa.float32())),
        }
    )
    with atomic_path(run.path / "predictions.parquet") as temporary:
        pq.write_table(table, temporary)
