"""A trained model for use without this package: ONNX, checked against PyTorch, or safetensors."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from longtail.augment import Normalize
from longtail.errors import LongtailError, check_parent_folder, expand_path, unknown_name
from longtail.methods import Method
from longtail.nets import Encoder
from longtail.runs.files import atomic_path
from longtail.runs.finished import FinishedRun

KINDS = ("onnx", "safetensors")
TOLERANCE = 1e-3  # of logits, between PyTorch and ONNX Runtime


class ExportedModel(nn.Module):
    """What is exported: uint8 RGB (N, 3, H, W) and the log class prior (C,) of where it is used -> logits, probabilities.

    With the prior that the logits assume they are those of training; another one moves them (ECL, Eq. 2 and 4).
    """

    def __init__(self, method: Method, mean: list[float], std: list[float], expert: int | None):
        super().__init__()
        self.method, self.expert = deepcopy(method).cpu().float().eval(), expert
        for part in self.method.modules():
            if isinstance(part, Encoder):
                part.half = False
        normalize = Normalize(mean, std)
        self.register_buffer("scale", normalize.scale)
        self.register_buffer("shift", normalize.shift)
        assumed = method.assumed_log_prior()
        self.register_buffer("assumed", torch.zeros(method.classes) if assumed is None else assumed.cpu().clone())

    def forward(self, images: Tensor, log_prior: Tensor) -> tuple[Tensor, Tensor]:
        z = self.method.logits(images.float() * self.scale + self.shift)
        if z.dim() == 3:
            z = z.mean(0) if self.expert is None else z[self.expert]
        z = z - self.assumed + log_prior
        return z, z.softmax(-1)


def export(
    run: FinishedRun,
    method: Method,
    kind: str,
    expert: int | None,
    out: str | Path | None = None,
    *,
    selected: bool = False,
) -> tuple[Path, float]:
    """Write the ensemble or expert k (from 0) of a finished run; -> the new file, and how far its logits are from PyTorch's.

    Raises LongtailError if it is there already, an extra package is missing, or the logits differ by more than a thousandth.
    """
    if kind not in KINDS:
        raise unknown_name("format", str(kind), KINDS)
    name = "export" + "-selected" * selected + ("" if expert is None else f"-expert{expert + 1}")
    path = expand_path(out) if out else run.path / f"{name}.{kind}"
    check_parent_folder(path)
    if path.exists():
        raise LongtailError(f"{path} exists already and is left as it is; choose another --out")
    described = run.model | {"data": run.recipe.data}
    described |= {"expert": expert, "selected": selected}
    with run.folder.report_damage("model.json"):
        model = ExportedModel(method, described["transform"]["mean"], described["transform"]["std"], expert)
        size = described["transform"]["size"]
    described["log_prior_as_trained"] = model.assumed.tolist()
    with atomic_path(path) as temporary:
        if kind == "onnx":
            return path, write_onnx(model, size, described, temporary)
        facts = {key: json.dumps(value) for key, value in described.items()}
        temporary.write_bytes(save(select_tensors(method, expert), facts))
        return path, 0.0


def select_tensors(method: Method, expert: int | None) -> dict[str, Tensor]:
    """The tensors that logits need, of all experts or of one, named as in a model with one.

    Raises LongtailError if the experts of the method share more than their images.
    """
    state = {name: value.cpu().contiguous() for name, value in method.inference_state().items()}
    if expert is None:
        return state
    own, count = (
        f"encoders.experts.{expert}.",
        len({n.split(".")[2] for n in state if n.startswith("encoders.experts.")}),
    )
    found = {n.replace(own, "encoders.experts.0.", 1): v for n, v in state.items() if n.startswith(own)}
    heads = {n: v for n, v in state.items() if not n.startswith("encoders.experts.")}
    if not found or any(v.dim() == 0 or len(v) != count for v in heads.values()):
        raise LongtailError(f"the experts of {type(method).__name__} share layers; export the ensemble, or one as onnx")
    return found | {name: value[expert : expert + 1].contiguous() for name, value in heads.items()}


def write_onnx(model: ExportedModel, size: list[int], described: dict, path: Path) -> float:
    """Export with a free number of images, and compare through ONNX Runtime; -> the largest difference of a logit."""
    with require_export_packages():
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch needs it
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8, generator=generator)
    names = {"input_names": ["images", "log_prior"], "output_names": ["logits", "probabilities"]}
    with warnings.catch_warnings(action="ignore"):
        free = {"images": {0: torch.export.Dim("batch")}, "log_prior": None}
        program = torch.onnx.export(
            model, (images, torch.zeros_like(model.assumed)), dynamo=True, dynamic_shapes=free, verbose=False, **names
        )
    props = {f"longtail.{key}": json.dumps(value) for key, value in described.items()}
    proto = program.model_proto  # made anew each time
    onnx.helper.set_model_props(proto, props)
    path.write_bytes(proto.SerializeToString())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images = torch.randint(0, 256, (7, 3, *size), dtype=torch.uint8, generator=generator)  # another number of them
    log_prior = torch.randn(len(model.assumed), generator=generator).log_softmax(-1)
    found = session.run(["logits"], {"images": images.numpy(), "log_prior": log_prior.numpy()})[0]
    with torch.no_grad():
        difference = (torch.from_numpy(found) - model(images, log_prior)[0]).abs().max().item()
    if not difference <= TOLERANCE:
        raise LongtailError(f"the ONNX model's logits are {difference:.2g} from PyTorch's; it was not kept")
    return difference


@contextmanager
def require_export_packages() -> Iterator[None]:
    """Say how to get the packages of the extra `export` where one is missing."""
    try:
        yield
    except ImportError as error:
        raise LongtailError(
            f"--format onnx needs {error.name}; install it with: pip install 'longtail[export]'"
        ) from error
