"""Export of a trained model for use without this package: as ONNX, checked against PyTorch, or as safetensors."""

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
from longtail.nets import Encoder, merge_lora
from longtail.runs.files import atomic_path
from longtail.runs.finished import FinishedRun

KINDS = ("onnx", "safetensors")
TOLERANCE = 1e-3  # largest difference of a logit between PyTorch and ONNX Runtime


class ExportedModel(nn.Module):
    """The exported network: uint8 RGB images (N, 3, H, W) and a log class prior (C,) -> logits and probabilities (N, C).

    The prior is that of the images in use. The prior that the logits assume leaves them as trained; another one moves
    them (ECL, Eq. 2 and 4).
    """

    scale: Tensor
    shift: Tensor
    assumed: Tensor

    def __init__(self, method: Method, mean: list[float], std: list[float], expert: int | None):
        super().__init__()
        self.method, self.expert = deepcopy(method).cpu().float().eval(), expert
        merge_lora(self.method)
        for module in self.method.modules():
            if isinstance(module, Encoder):
                module.half = False
        normalize = Normalize(mean, std)
        self.register_buffer("scale", normalize.scale)
        self.register_buffer("shift", normalize.shift)
        assumed = method.assumed_log_prior()
        self.register_buffer("assumed", torch.zeros(method.classes) if assumed is None else assumed.cpu().clone())

    def forward(self, images: Tensor, log_prior: Tensor) -> tuple[Tensor, Tensor]:
        z = self.method.logits(self.method.embed(images.float() * self.scale + self.shift))
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
    """Write the ensemble or one expert (from 0) of a finished run; return the new file and its largest logit difference.

    Raises LongtailError if the file exists, an extra package is missing, or a logit of ONNX Runtime differs from that of
    PyTorch by more than a thousandth.
    """
    if kind not in KINDS:
        raise unknown_name("format", str(kind), KINDS)
    experts = len(run.results["plain"]["experts"])
    if expert is not None and (type(expert) is not int or not 0 <= expert < experts):
        raise LongtailError(
            f"expert is {expert!r}; {run.path} has experts 0 to {experts - 1}, and None is their ensemble"
        )
    path = find_new_path(run, out, expert, selected, f".{kind}")
    model, size, metadata = build_model(run, method, expert, selected)
    with atomic_path(path, is_new=True) as temporary:
        if kind == "onnx":
            return path, write_onnx(model, size, metadata, temporary)
        texts = {key: json.dumps(value) for key, value in metadata.items()}
        temporary.write_bytes(save(select_tensors(model.method, expert), texts))
        return path, 0.0


def find_new_path(run: FinishedRun, out: str | Path | None, expert: int | None, selected: bool, ending: str) -> Path:
    """Return the path of a new exported file: `out`, or a name in the run folder.

    Raises LongtailError if the file exists, has no folder, or would go into a run of the hub.
    """
    if not out:
        run.folder.check_own()
    name = "export" + "-selected" * selected + ("" if expert is None else f"-expert{expert + 1}")
    path = expand_path(out) if out else run.path / f"{name}{ending}"
    check_parent_folder(path)
    if path.exists():
        raise LongtailError(f"{path} exists already and is left as it is; choose another --out")
    return path


def build_model(
    run: FinishedRun, method: Method, expert: int | None, selected: bool
) -> tuple[ExportedModel, list[int], dict]:
    """Return the exported network of a run, height and width of its images, and what its file says about it."""
    metadata = run.model | {"data": run.recipe.data, "expert": expert, "selected": selected}
    with run.folder.report_damage("model.json"):
        transform = metadata["transform"]
        model, size = ExportedModel(method, transform["mean"], transform["std"], expert), transform["size"]
    return model, size, metadata | {"log_prior_as_trained": model.assumed.tolist()}


def select_tensors(method: Method, expert: int | None) -> dict[str, Tensor]:
    """Return the tensors that logits need: of all experts, or of one under the names of a model with one expert.

    Raises LongtailError if the experts of the method share layers.
    """
    state = {name: value.cpu().contiguous() for name, value in method.inference_state().items()}
    frozen = {} if method.trunk is None else method.trunk.state_dict(prefix="trunk.")
    trunk = {name: value.cpu().contiguous() for name, value in frozen.items()}
    if expert is None:
        return state | trunk
    prefix = f"encoders.experts.{expert}."
    experts = len({name.split(".")[2] for name in state if name.startswith("encoders.experts.")})
    encoder = {n.replace(prefix, "encoders.experts.0.", 1): value for n, value in state.items() if n.startswith(prefix)}
    heads = {name: value for name, value in state.items() if not name.startswith("encoders.experts.")}
    if not encoder or any(value.dim() == 0 or len(value) != experts for value in heads.values()):
        raise LongtailError(f"the experts of {type(method).__name__} share layers; export the ensemble, or one as onnx")
    return trunk | encoder | {name: value[expert : expert + 1].contiguous() for name, value in heads.items()}


def write_onnx(model: ExportedModel, size: list[int], metadata: dict, path: Path) -> float:
    """Write a model as ONNX for any number of images; return the largest logit difference of ONNX Runtime from PyTorch."""
    with require_export_packages():
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch needs it
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8, generator=generator)
    with warnings.catch_warnings(action="ignore"):
        program = torch.onnx.export(
            model,
            (images, torch.zeros_like(model.assumed)),
            input_names=["images", "log_prior"],
            output_names=["logits", "probabilities"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}, "log_prior": None},
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # dynamo=True returns a program
    props = {f"longtail.{key}": json.dumps(value) for key, value in metadata.items()}
    proto = program.model_proto  # a new object at each access
    onnx.helper.set_model_props(proto, props)
    path.write_bytes(proto.SerializeToString())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images = torch.randint(0, 256, (7, 3, *size), dtype=torch.uint8, generator=generator)  # another batch size
    log_prior = torch.randn(len(model.assumed), generator=generator).log_softmax(-1)
    (logits,) = session.run(["logits"], {"images": images.numpy(), "log_prior": log_prior.numpy()})
    with torch.no_grad():
        difference = (torch.from_numpy(logits) - model(images, log_prior)[0]).abs().max().item()
    if not difference <= TOLERANCE:  # also true of nan
        raise LongtailError(f"a logit of the ONNX model differs from PyTorch by {difference:.2g}; no file was written")
    return difference


@contextmanager
def require_export_packages() -> Iterator[None]:
    """Raise LongtailError with the pip command if a package of the extra `export` is missing."""
    try:
        yield
    except ImportError as error:
        raise LongtailError(
            f"--format onnx needs {error.name}; install it with: pip install 'longtail[export]'"
        ) from error
