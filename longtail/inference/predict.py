"""Predictions: the most probable classes of an image, the choice of each expert, and tables of these."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from longtail.augment import TransformSet
from longtail.data.decode import BadImage
from longtail.errors import LongtailError, check_parent_folder
from longtail.inference.decisions import Decider, Decision
from longtail.inference.images import decode_batches
from longtail.runs.files import atomic_path
from longtail.runs.spreadsheet import write_cells

KINDS = (".csv", ".parquet")
NO_DECISION = Decision()
Cell = str | float | bool | list[str]  # of a table


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of an image, their probabilities, and the class that each of K experts chooses.

    `decision` holds what was asked of a calibrated model.
    """

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    votes: tuple[str, ...]
    decision: Decision = NO_DECISION

    @property
    def label(self) -> str:
        """Return the most probable class."""
        return self.classes[0]

    def row(self, path: str, prior: str) -> dict[str, Cell]:
        """Return the row of a table, with the path of the image and the name of the class prior."""
        row: dict[str, Cell] = {"path": path}
        for rank, (name, probability) in enumerate(zip(self.classes, self.probabilities, strict=True), 1):
            row |= {f"class_{rank}": name, f"probability_{rank}": probability}
        row |= {f"expert_{k}": name for k, name in enumerate(self.votes, 1)}
        return row | self.decision.row() | {"prior": prior}


def build_predictions(logits: Tensor, classes: list[str], top: int, decider: Decider | None = None) -> list[Prediction]:
    """Turn logits (K, N, C) into N predictions of `top` classes by the softmax of the mean over experts.

    A `decider` takes logits as trained, which it calibrates, and adds its decisions.
    """
    if type(top) is not int or top < 1:
        raise LongtailError(f"top is {top!r}; it is a number of classes, at least 1")
    decisions = [NO_DECISION] * logits.shape[1]
    if decider is not None:
        decisions, logits = decider.decide(logits.mean(0)), decider.adjust(logits)
    best = logits.mean(0).softmax(-1).topk(min(top, len(classes)))
    votes = logits.argmax(-1).T.tolist()
    return [
        Prediction(tuple(classes[c] for c in chosen), tuple(probabilities), tuple(classes[c] for c in vote), decision)
        for chosen, probabilities, vote, decision in zip(
            best.indices.tolist(), best.values.tolist(), votes, decisions, strict=True
        )
    ]


def predict_files(
    paths: Iterable[str],
    transform_set: TransformSet,
    predict: Callable[[Tensor], list[Prediction]],
    bad: list[BadImage],
) -> Iterator[tuple[str, Prediction]]:
    """Yield path and prediction of every readable image, with one batch in memory; append the other images to `bad`."""
    for names, images, errors in decode_batches(paths, transform_set):
        bad += errors
        yield from zip(names, predict(images), strict=True)


@contextmanager
def open_table(out: Path, note: str) -> Iterator[Callable[[dict], None]]:
    """Yield a function that appends a row to a new CSV or parquet file; the file appears whole at the end, or not at all.

    Raises LongtailError for a path that `check_table_path` refuses.
    """
    check_table_path(out)
    writer = open_csv if out.suffix.lower() == ".csv" else open_parquet
    with atomic_path(out, is_new=True) as temporary, writer(temporary, note) as add:
        yield add


def check_table_path(out: Path) -> None:
    """Raise LongtailError if the file exists, has another suffix than those of KINDS, or cannot be written."""
    if out.suffix.lower() not in KINDS:
        raise LongtailError(f"{out} must end in {' or '.join(KINDS)}")
    if out.exists():
        raise LongtailError(f"{out} exists already and is left as it is; choose another --out")
    check_parent_folder(out)


@contextmanager
def open_csv(path: Path, note: str) -> Iterator[Callable[[dict], None]]:
    """Yield a function that writes a row as CSV, after a header; no path or name is a formula of a spreadsheet."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:

        def add(row: dict) -> None:
            if not file.tell():
                write_cells(file, row)
            write_cells(file, map(to_csv_cell, row.values()))

        yield add


@contextmanager
def open_parquet(path: Path, note: str) -> Iterator[Callable[[dict], None]]:
    """Yield a function that writes a row as parquet, 4096 rows at a time; the metadata of the file hold the note."""
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


def to_csv_cell(value: Cell) -> str | float:
    """Return names as one text with | between them, a truth as true or false, and every other value unchanged."""
    if isinstance(value, list):
        return "|".join(name.replace("\\", "\\\\").replace("|", "\\|") for name in value)
    return str(value).lower() if isinstance(value, bool) else value


def to_utf8(value: Cell) -> Cell:
    """Escape the bytes of a path that are not UTF-8; return numbers unchanged."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
