"""From images to classes: the most probable ones, and what each expert would say."""

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from longtail.augment import TransformSet
from longtail.data.decode import BadImage
from longtail.errors import LongtailError, check_parent_folder
from longtail.inference.images import decode_batches
from longtail.runs.files import atomic_path

KINDS = (".csv", ".parquet")


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of an image with their probabilities, and the choice of each of K experts."""

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    votes: tuple[str, ...]

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.classes[0]

    def row(self, path: str, prior: str) -> dict[str, str | float]:
        """As the row of a table, with the image's path and the name of the class prior."""
        best = zip(self.classes, self.probabilities, strict=True)
        pairs = [{f"class_{i}": name, f"probability_{i}": share} for i, (name, share) in enumerate(best, 1)]
        row = {"path": path} | {key: value for pair in pairs for key, value in pair.items()}
        return row | {f"expert_{k}": name for k, name in enumerate(self.votes, 1)} | {"prior": prior}


def build_predictions(logits: Tensor, classes: list[str], top: int) -> list[Prediction]:
    """(K, N, C) logits -> N predictions; the ensemble is the softmax of the mean of the experts' logits."""
    if type(top) is not int or top < 1:
        raise LongtailError(f"top is {top!r}; it is a number of classes, at least 1")
    best = logits.mean(0).softmax(-1).topk(min(top, len(classes)))
    votes = logits.argmax(-1).T.tolist()
    return [
        Prediction(tuple(classes[c] for c in chosen), tuple(shares), tuple(classes[c] for c in own))
        for chosen, shares, own in zip(best.indices.tolist(), best.values.tolist(), votes, strict=True)
    ]


def predict_files(
    paths: Iterable[str], family: TransformSet, predict: Callable[[Tensor], list[Prediction]], bad: list[BadImage]
) -> Iterator[tuple[str, Prediction]]:
    """Path and prediction of each image that can be read, a batch in memory at a time; the others are added to `bad`."""
    for names, images, errors in decode_batches(paths, family):
        bad += errors
        yield from zip(names, predict(images), strict=True)


@contextmanager
def open_table(out: Path, note: str) -> Iterator[Callable[[dict], None]]:
    """A new CSV or parquet file that rows are given to one by one; it appears whole at the end, or not at all.

    Raises LongtailError if it is there already, is of another kind, or cannot be written.
    """
    if out.suffix.lower() not in KINDS:
        raise LongtailError(f"{out} must end in {' or '.join(KINDS)}")
    if out.exists():
        raise LongtailError(f"{out} exists already and is left as it is; choose another --out")
    check_parent_folder(out)
    writer = open_csv if out.suffix.lower() == ".csv" else open_parquet
    with atomic_path(out) as temporary, writer(temporary, note) as add:
        yield add


@contextmanager
def open_csv(path: Path, note: str) -> Iterator[Callable[[dict], None]]:
    """Rows as CSV."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file, lineterminator="\n")

        def add(row: dict) -> None:
            if not file.tell():
                writer.writerow(row)
            writer.writerow(row.values())

        yield add


@contextmanager
def open_parquet(path: Path, note: str) -> Iterator[Callable[[dict], None]]:
    """Rows as parquet, a few thousand at a time; the note is in its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict] = []
    writer: list[pq.ParquetWriter] = []

    def flush() -> None:
        batch = pa.Table.from_pylist(rows).replace_schema_metadata({"longtail": note})
        writer[:] = writer or [pq.ParquetWriter(path, batch.schema)]
        writer[0].write_table(batch)
        rows.clear()

    def add(row: dict) -> None:
        rows.append({key: to_utf8(value) for key, value in row.items()})
        if len(rows) == 4096:
            flush()

    try:
        yield add
        if rows or not writer:
            flush()
    finally:
        for opened in writer:
            opened.close()


def to_utf8(value: str | float) -> str | float:
    """What can be written as UTF-8, whatever bytes a path holds."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
