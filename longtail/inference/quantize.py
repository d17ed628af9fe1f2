"""Export as 8-bit integers by ONNX Runtime: calibrated on training images, and measured on test images before it is kept."""

import json
import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from longtail.augment import TransformSet
from longtail.data import Split
from longtail.errors import LongtailError
from longtail.evaluate import ImageSource, iterate_inputs
from longtail.inference.export import build_model, find_new_path, require_export_packages, write_onnx
from longtail.methods import Method
from longtail.metrics import summarize
from longtail.runs.files import atomic_path
from longtail.runs.finished import FinishedRun

CALIBRATED = 256  # training images from which the ranges of activations are read
BATCH = 32
# with Clip and Relu, the range of a layer is that after them, which is far narrower in networks with ReLU6
QUANTIZED = ["Conv", "Gemm", "MatMul", "Clip", "Relu"]
COMPARED = ("top1", "many", "medium", "few")  # a fall of any of these may refuse the file


@dataclass(frozen=True)
class Int8Export:
    """A file of 8-bit integers, its bytes and those of the float model, and the metrics of both on the test images."""

    path: Path
    bytes: int
    float_bytes: int
    metrics: dict[str, float | None]
    float_metrics: dict[str, float | None]

    def list_changes(self) -> dict[str, float]:
        """Return the change of each compared metric in points, where there are test images."""
        pairs = {name: (self.float_metrics[name], self.metrics[name]) for name in COMPARED}
        return {name: after - before for name, (before, after) in pairs.items() if None not in (before, after)}  # type: ignore[operator]


def export_int8(
    run: FinishedRun,
    method: Method,
    split: Split,
    expert: int | None,
    out: str | Path | None,
    max_drop: float,
    show: Any,
    *,
    selected: bool = False,
) -> Int8Export:
    """Write the ensemble or one expert (from 0) as ONNX with 8-bit weights and activations.

    `show` receives the numbers before the file is kept. Raises LongtailError if top-1 or the accuracy of a group falls by more
    than `max_drop` points, if the file exists, and if an extra package is missing.
    """
    path = find_new_path(run, out, expert, selected, "-int8.onnx")
    model, size, metadata = build_model(run, method, expert, selected)
    log_prior = model.assumed.numpy()
    with atomic_path(path, is_new=True) as temporary, tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "float.onnx")
        write_onnx(model, size, metadata, whole)
        quantize_file(whole, temporary, read_calibration(split.train, run.transform_set), log_prior)
        add_metadata(temporary, metadata | {"int8": True})
        numbers = [measure(file, split, run.transform_set, log_prior) for file in (temporary, whole)]
        found = Int8Export(path, temporary.stat().st_size, whole.stat().st_size, *numbers)
        show(found)
        name, worst = min(found.list_changes().items(), key=lambda pair: pair[1], default=("", 0.0))
        if worst < -max_drop:
            raise LongtailError(
                f"8-bit integers cost {-worst:.1f} points of {name}, more than --max-drop {max_drop:g}; no file was written"
            )
    return found


def read_calibration(images: ImageSource, transform_set: TransformSet) -> Iterator[Tensor]:
    """Yield training images (n, 3, H, W) uint8, spread evenly over the images sorted by class."""
    order = images.labels.argsort(stable=True).numpy()
    rows = order[np.unique(np.linspace(0, len(order) - 1, CALIBRATED).round().astype(int))]
    return iterate_inputs(images.take(rows), transform_set, BATCH)


def quantize_file(source: Path, target: Path, batches: Iterable[Tensor], log_prior: np.ndarray) -> None:
    """Write convolutions and matrix products of an ONNX model in 8-bit integers, a scale for each output channel."""
    with require_export_packages():
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        """The images by which ONNX Runtime finds the ranges of activations."""

        def __init__(self) -> None:
            self.feeds = ({"images": images.numpy(), "log_prior": log_prior} for images in batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feeds, None)

    prepared = source.with_name("prepared.onnx")
    with silence_logging():
        quant_pre_process(source, prepared)
        quantization.quantize_static(prepared, target, Reader(), per_channel=True, op_types_to_quantize=QUANTIZED)


@contextmanager
def silence_logging() -> Iterator[None]:
    """Keep ONNX Runtime's warnings about its own defaults off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def add_metadata(path: Path, metadata: dict) -> None:
    """Add the description of a model to its ONNX file."""
    import onnx

    proto = onnx.load(path)
    onnx.helper.set_model_props(proto, {f"longtail.{key}": json.dumps(value) for key, value in metadata.items()})
    path.write_bytes(proto.SerializeToString())


def measure(path: Path, split: Split, transform_set: TransformSet, log_prior: np.ndarray) -> dict[str, float | None]:
    """Compute the seven metrics of an ONNX model on the test images of a split."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # by default all cores, whatever the user asks of torch
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    batches = iterate_inputs(split.test, transform_set, BATCH)
    found = [session.run(["logits"], {"images": x.numpy(), "log_prior": log_prior})[0] for x in batches if len(x)]
    logits = torch.from_numpy(np.concatenate(found or [np.empty((0, len(log_prior)), np.float32)]))
    return summarize(logits, split.test.labels, split.classes.counts)
