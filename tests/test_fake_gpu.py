"""GPU code paths without a GPU: fake tensors, which claim to be on a GPU and hold no values (torch's FakeTensorMode).

An operation on mixed devices raises, as on a GPU. Reading a value back raises, and so does a copy between host and GPU.
Gradients and the fused optimizer are not tested, because torch has no fake form of them.
"""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from longtail import methods
from longtail.augment import TRANSFORM_SETS
from longtail.data import Batch, Loader
from longtail.evaluate import compute_features, compute_logits, iterate_batches
from longtail.nets import Net
from longtail.testing import COUNTS, make_split

GPU = torch.device("cuda:0")
ASSIGNING = ("tsc",)  # methods that read values back before an epoch, which they may
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer")  # torch's own modules do


@pytest.fixture
def gpu(monkeypatch):
    """Return a mode of fake tensors, and make torch take them for a GPU's."""
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch, "_sample_dirichlet", torch.rand_like)  # has no fake form
    monkeypatch.setattr(torch.autograd, "grad", lambda loss, x: (torch.zeros_like(x),))  # nor has a backward pass
    monkeypatch.setattr(nn.Module, "to", lambda module, **changes: module)  # nor a swap of parameters
    return FakeTensorMode(allow_non_fake_inputs=True)


class OnDevice(TorchDispatchMode):
    """A mode that forbids copies between host and GPU, which a captured step must not make."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, torch.Tensor) and t.dim()]
        assert len({t.device.type for t in tensors}) <= 1, f"{func} copies between host and GPU in a step"
        return result


def build_on_gpu(name: str, gpu: FakeTensorMode, half: bool = False) -> methods.Method:
    """Build a method whose parameters and buffers are on the fake GPU."""
    method = methods.get_method_class(name)(COUNTS, Net("resnet8", half=half))
    with gpu:
        for module in method.modules():
            for key, p in module._parameters.items():
                if p is not None:
                    moved = torch.empty(p.shape, dtype=p.dtype, device=GPU)
                    module._parameters[key] = nn.Parameter(moved, requires_grad=p.requires_grad)
            for key, b in module._buffers.items():
                module._buffers[key] = torch.empty(b.shape, dtype=b.dtype, device=GPU)
    return method


def make_gpu_batch(method: methods.Method) -> Batch:
    """Make the batch of a step, with the views that a method asks for."""
    views = [torch.empty(16, 3, 8, 8, device=GPU) for _ in method.views]
    y, index = (torch.zeros(16, dtype=torch.long, device=GPU) for _ in range(2))
    return Batch(views, y, index, torch.zeros((), device=GPU))


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("name", methods.METHODS)
def test_every_stage_of_every_method_stays_on_the_gpu(name, half, gpu):
    method, split = build_on_gpu(name, gpu, half), make_split()
    with gpu:
        for stage in method.stages():
            method.begin_stage(stage, split)
            if not stage.share:
                with torch.no_grad():
                    method.eval().post_hoc(stage, iterate_batches(split.train, TRANSFORM_SETS["digits"], GPU))
                continue
            if name not in ASSIGNING:
                with torch.no_grad():
                    method.eval().begin_epoch(iterate_batches(split.train, TRANSFORM_SETS["digits"], GPU))
            method.train()
            with OnDevice():
                for _ in range(2):
                    terms = method(*(make_gpu_batch(method) for _ in stage.samplers))
                    method.after_step()
            assert all(term.device == GPU and term.shape == () for term in terms.values())


@pytest.mark.parametrize("name", methods.METHODS)
def test_every_method_is_evaluated_on_the_gpu(name, gpu, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "item", lambda self: 0.0)  # measurements on the test images may be read back
    method, split = build_on_gpu(name, gpu), make_split()
    with gpu:
        if method.test_time_views:
            method.eval().adapt(
                lambda epoch: iter([[torch.empty(16, 3, 8, 8, device=GPU) for _ in method.test_time_views]])
            )
        for compute in (compute_logits, compute_features):
            assert compute(method, split.test, TRANSFORM_SETS["digits"]).device.type == "cpu"


@pytest.mark.parametrize("name", TRANSFORM_SETS)
def test_batches_are_made_on_the_gpu(name, gpu, monkeypatch):
    # shapes that depend on values: images that an operation changes, blur radii, a histogram, the widest window
    monkeypatch.setattr(torch.Tensor, "nonzero", lambda mask: torch.zeros(len(mask), 1, dtype=torch.long, device=GPU))
    monkeypatch.setattr(torch.Tensor, "unique", lambda radius: SimpleNamespace(tolist=lambda: [0, 1]))
    monkeypatch.setattr(torch.Tensor, "__int__", lambda widest: 3)
    monkeypatch.setattr(torch, "bincount", lambda x, minlength: torch.zeros(minlength, dtype=x.dtype, device=x.device))
    transform_set, split = TRANSFORM_SETS[name], make_split()
    with gpu:
        loader = Loader(split, list(transform_set.transforms.values()), 16, 0, GPU, 32)
        for (chunk,) in loader.epoch(0):
            assert {t.device for t in (*chunk.views, chunk.y, chunk.index)} == {GPU}


def mix_devices(x):
    return x + torch.ones(3)


def copy_to_gpu(x):
    return x + torch.tensor([1.0, 2.0, 3.0], device=x.device)


def copy_to_host(x):
    return x.cpu()


def read_value(x):
    return x.sum().item()


@pytest.mark.parametrize("fault", [mix_devices, copy_to_gpu, copy_to_host, read_value])
def test_a_step_with_a_fault_is_refused(fault, gpu):
    with gpu, pytest.raises((RuntimeError, AssertionError)), OnDevice():
        fault(torch.empty(3, device=GPU))
