"""Check a cell of a ledger: every number is computed again from the predictions for each test image and the published labels."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from longtail.data import Split
from longtail.errors import LongtailError
from longtail.metrics import METRICS, summarize
from longtail.nets.pretrained import check_readable
from longtail.recipe import Recipe
from longtail.reproduce.cells import hash_recipe
from longtail.reproduce.ledger import Ledger, read_cell_file
from longtail.runs.files import report_damage, write_bytes

COLUMNS = ("label", "predicted", "confidence", "experts_predicted", "experts_confidence")
TOLERANCE = 0.01  # points; confidences are float32
MAX_IMAGES = 10**7


@dataclass(frozen=True)
class Check:
    """A reported number of a cell and the one computed again; None where there is nothing to measure."""

    model: str
    metric: str
    reported: float | None
    computed: float | None

    @property
    def agrees(self) -> bool:
        """Return whether the numbers are the same up to rounding."""
        if self.reported is None or self.computed is None:
            return self.reported is self.computed
        return abs(self.reported - self.computed) <= TOLERANCE


def verify(ledger: Ledger, name: str, root: str | None = None) -> list[Check]:
    """Compute every number of a cell without flip TTA again; `root` is the folder with the data sets.

    Raises LongtailError for a cell or predictions that are missing, damaged or of another recipe, for labels that are not
    the published ones, and for a number that does not follow from the predictions.
    """
    path = find_cell(ledger, name)
    kept = read_cell_file(path)
    with report_damage(path):
        recipe = Recipe(**kept["recipe"])
        if kept["recipe_sha256"] != hash_recipe(recipe) or not path.stem.endswith(kept["recipe_sha256"][:10]):
            raise LongtailError(f"{path} holds another recipe than its name says")
    source = find_predictions(ledger, path.stem)
    columns = read_predictions(source)
    split = recipe.load_split(root)
    check_labels(source, columns["label"], split)
    with report_damage(source):
        checks = list(compare(kept["results"]["plain"], columns, split.classes.counts))
    if wrong := [check for check in checks if not check.agrees]:
        check = wrong[0]
        raise LongtailError(
            f"{path} reports {check.metric} {check.reported} of {check.model}, but its predictions give {check.computed}"
            + (f"; {len(wrong) - 1} more numbers differ" if len(wrong) > 1 else "")
        )
    return checks


def find_cell(ledger: Ledger, name: str) -> Path:
    """Return the path of the one cell whose name begins with `name`; raises LongtailError for none or several."""
    found = sorted(path for path in ledger.path.glob("*.json") if path.stem.startswith(name.removesuffix(".json")))
    if len(found) != 1:
        names = ", ".join(path.stem for path in found[:3])
        raise LongtailError(
            f"{ledger.path} holds {f'{len(found)} cells' if found else 'no cell'} whose name begins with '{name}'"
            + (f": {names}{' ...' if len(found) > 3 else ''}; write more of it" if found else "")
        )
    return found[0]


def find_predictions(ledger: Ledger, cell: str) -> Path:
    """Return the predictions of a cell: those attached to the ledger, or those of its run folder."""
    for path in (ledger.predictions_path(cell), ledger.path / "runs" / cell / "predictions.parquet"):
        if path.is_file():
            return path
    raise LongtailError(f"{ledger.path} holds no predictions of {cell}, so its numbers cannot be computed again")


def read_predictions(path: Path) -> dict[str, Tensor]:
    """Read labels, classes and confidences; those of the experts are (N, K). Raises LongtailError for a damaged file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_readable(path)
    with report_damage(path):
        try:
            if pq.read_metadata(path).num_rows > MAX_IMAGES:
                raise ValueError("more rows than any test set has")
            table = pq.read_table(path, columns=list(COLUMNS))
        except (OSError, pa.ArrowException) as error:
            raise ValueError(error) from error
        return {name: torch.tensor(table[name].to_pylist()) for name in COLUMNS}


def check_labels(path: Path, labels: Tensor, split: Split) -> None:
    """Raise LongtailError unless the labels are those of the test images, in their order."""
    published = split.test.labels
    if len(labels) != len(published):
        raise LongtailError(f"{path} has {len(labels):,} images, {split.name} {len(published):,} test images")
    if len(wrong := (labels != published).nonzero()):
        raise LongtailError(f"{path}: the label of test image {int(wrong[0])} is not the published one")


def compare(reported: dict, columns: dict[str, Tensor], counts: tuple[int, ...]) -> Iterator[Check]:
    """Yield the seven numbers of the ensemble and of each expert, reported and computed."""
    models = {"the ensemble": (reported["ensemble"], columns["predicted"], columns["confidence"])}
    for k, expert in enumerate(reported["experts"]):
        values = columns["experts_predicted"][:, k], columns["experts_confidence"][:, k]
        models[f"expert {k + 1}"] = (expert, *values)
    for model, (numbers, predicted, confidence) in models.items():
        computed = summarize(build_logits(predicted, confidence, len(counts)), columns["label"], counts)
        for metric in METRICS:
            yield Check(model, metric, numbers[metric], computed[metric])


def build_logits(predicted: Tensor, confidence: Tensor, classes: int) -> Tensor:
    """Return logits (N, C) with these classes and confidences; all other classes share the rest."""
    top = confidence.double().clamp(1e-12, 1)
    rest = ((1 - top) / max(classes - 1, 1)).clamp_min(1e-300).log()
    return rest.unsqueeze(1).repeat(1, classes).scatter_(1, predicted.unsqueeze(1), top.log().unsqueeze(1))


def attach(ledger: Ledger, name: str) -> Path:
    """Copy the predictions of a cell's run folder into the ledger, compressed and without file names; return the path."""
    import pyarrow.parquet as pq

    cell = find_cell(ledger, name).stem
    content = io.BytesIO()
    table = pq.read_table(find_predictions(ledger, cell), columns=list(COLUMNS))
    pq.write_table(table, content, compression="zstd", compression_level=19)
    path = ledger.predictions_path(cell)
    path.parent.mkdir(exist_ok=True)
    write_bytes(path, content.getbuffer())
    return path


def export(ledger: Ledger, name: str, out: Path) -> None:
    """Write a cell and its predictions to one zip file, which unpacks into a ledger; raises LongtailError if `out` exists."""
    cell = find_cell(ledger, name)
    if out.exists():
        raise LongtailError(f"{out} exists; choose another --submit")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.write(cell, cell.name)
        predictions = ledger.predictions_path(cell.stem)
        archive.write(predictions, f"{predictions.parent.name}/{predictions.name}")
    write_bytes(out, content.getbuffer())
