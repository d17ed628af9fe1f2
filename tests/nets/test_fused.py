"""K ResNets of CIFAR trained as one by Triton's kernels, which its interpreter runs here without a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from longtail.nets.fusible import fits
from longtail.nets.resnet_cifar import ResNetCifar

pytest.importorskip("triton", reason="torch brings Triton on Linux only")
COMPARE = Path(__file__).with_name("compare_fused.py")


def test_networks_trained_as_one_have_the_features_gradients_and_statistics_of_plain_ones():
    # a process of its own, since Triton reads the variable when kernels are defined; its interpreter has no bfloat16
    env = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, str(COMPARE), "fp32", "1e-5"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def train_mode(depth: int = 8) -> list[nn.Module]:
    return [ResNetCifar(depth).to(memory_format=torch.channels_last).train() for _ in range(2)]


def hook(body: nn.Module) -> None:
    body.conv1.register_forward_hook(lambda *_: None)


CHANGES = {
    "in evaluation mode": lambda body: body.eval(),
    "with a layer in evaluation mode": lambda body: body.bn1.eval(),
    "with a hook": hook,
    "in half precision": lambda body: body.half(),
    "with weights of another layout": lambda body: body.to(memory_format=torch.contiguous_format),
    "partly frozen": lambda body: body.conv1.requires_grad_(False),
    "with another batch norm": lambda body: setattr(body, "bn1", nn.SyncBatchNorm(16)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_networks_that_differ_from_how_they_are_built_are_not_fused(change):
    x, bodies = torch.zeros(2, 3, 8, 8), train_mode()
    assert fits(bodies, x)
    CHANGES[change](bodies[1])
    assert not fits(bodies, x)


def test_images_that_need_a_gradient_or_whose_sides_do_not_halve_twice_are_not_fused():
    assert not fits(train_mode(), torch.zeros(2, 3, 8, 8, requires_grad=True))
    assert not fits(train_mode(), torch.zeros(2, 3, 10, 8))
    assert not fits([ResNetCifar(8, slim=True).to(memory_format=torch.channels_last).train()], torch.zeros(2, 3, 8, 8))
