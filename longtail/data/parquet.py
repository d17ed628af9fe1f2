"""Images in parquet files of the Hugging Face layout: an `image` struct of bytes and path, and an integer `label`."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from longtail.errors import LongtailError


@dataclass(frozen=True)
class ParquetImages:
    """Encoded images of one file, their labels (N,) int64 and the class names."""

    path: Path
    encoded: list[bytes]
    labels: np.ndarray
    names: list[str]


def read_parquet(path: Path, classes: int) -> ParquetImages:
    """Read the encoded images of one file; raises LongtailError if it is missing, broken or of another layout."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise LongtailError(f"{path} is missing; the folder must hold train.parquet and test.parquet")
    try:
        table = pq.read_table(path)
        image = "image" if "image" in table.column_names else "img"
        label = next(name for name in ("label", "fine_label") if name in table.column_names)
        encoded = table[image].combine_chunks().field("bytes").to_pylist()
        if table[label].null_count or not pa.types.is_integer(table[label].type):
            raise TypeError(f"the labels are {table[label].type} with {table[label].null_count} missing")
        labels = np.asarray(table[label].to_numpy(), dtype=np.int64)
    except (pa.ArrowException, OSError, KeyError, StopIteration, TypeError, ValueError, AttributeError) as error:
        raise LongtailError(
            f"{path} is not a readable parquet file with columns image (struct with bytes) and label: {_line(error)}"
        ) from error
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= classes:
        raise LongtailError(f"{path} must hold labels 0 to {classes - 1}; found {_range(labels)}")
    return ParquetImages(path, encoded, labels, _class_names(table.schema, label, classes))


def decode(file: ParquetImages, rows: Sequence[int], size: tuple[int, int]) -> Tensor:
    """Decode chosen rows to RGB (N, 3, H, W) uint8; raises LongtailError naming the row that cannot be or has another size."""
    from PIL import Image

    out = np.empty((len(rows), *size, 3), dtype=np.uint8)
    for place, row in enumerate(rows):
        try:
            with Image.open(io.BytesIO(file.encoded[row])) as image:
                pixels = np.asarray(image.convert("RGB"))
        except (OSError, TypeError, ValueError, SyntaxError) as error:
            raise LongtailError(f"{file.path}, row {row}: not a readable image ({_line(error)})") from error
        if pixels.shape[:2] != size:
            found, asked = (" x ".join(map(str, s)) for s in (pixels.shape[:2], size))
            raise LongtailError(f"{file.path}, row {row}: the image is {found}, expected {asked}")
        out[place] = pixels
    return torch.from_numpy(out).permute(0, 3, 1, 2).contiguous()


def _class_names(schema, label: str, classes: int) -> list[str]:
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return [str(c) for c in range(classes)]
    if len(names) != classes:
        raise LongtailError(f"the parquet file names {len(names)} classes, expected {classes}; is it the other CIFAR?")
    return list(names)


def _range(labels: np.ndarray) -> str:
    return f"{labels.min()} to {labels.max()}" if len(labels) else "no rows"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
