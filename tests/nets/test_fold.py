"""Batch norm is folded into convolutions wherever this changes nothing but the time."""

import pytest
import torch
from torch import nn

from longtail import nets

timm = pytest.importorskip("timm")


def count_batch_norms(module: nn.Module) -> int:
    return sum(isinstance(m, nn.BatchNorm2d) for m in module.modules())


def build_trained(name: str, size: int) -> nets.Encoder:
    """Build an encoder in evaluation mode whose batch norms have statistics, scales and shifts of their own."""
    torch.manual_seed(0)
    encoder = nets.Net(name, size=size).encoder().eval()
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in ((module.running_var, 0.5), (module.weight.data, 0.8), (module.running_mean, -0.1)):
                values.uniform_(low, low + 0.4)
            module.bias.data.uniform_(-0.2, 0.2)
    return encoder


@pytest.mark.parametrize(
    "name, size, before",
    [
        ("tf_efficientnet_lite0", 64, 49),  # BatchNormAct2d and padding as TensorFlow has it
        ("resnet50", 64, 53),
        ("mobilenetv3_small_050", 64, 34),
        ("convnext_atto", 64, 0),
        ("test_vit", 64, 0),
        ("resnet8", 32, 7),
    ],
)
def test_folding_leaves_no_batch_norm_and_changes_no_feature(name, size, before):
    encoder = build_trained(name, size)
    body = encoder.body
    assert count_batch_norms(body) == before
    x = torch.randn(4, 3, size, size)
    with torch.no_grad():
        plain = encoder(x)
        with nets.fused_conv_bn(encoder):
            assert count_batch_norms(encoder) == 0
            folded = encoder(x)
    assert encoder.body is body and count_batch_norms(body) == before
    assert torch.allclose(folded, plain, rtol=1e-4, atol=1e-4 * plain.abs().max().item())


class Awkward(nn.Module):
    """Convolutions whose batch norm must stay: a shared one, one read twice, and one that standardizes its weights."""

    def __init__(self):
        super().__init__()
        self.shared, self.first, self.second = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.twice, self.third = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.standardized, self.fourth = timm.layers.StdConv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.good, self.last = nn.Conv2d(3, 3, 1), timm.layers.BatchNormAct2d(3, act_layer=nn.SiLU)

    def forward(self, x):
        x = self.second(self.shared(self.first(self.shared(x))))
        y = self.twice(x)
        return self.last(self.good(self.fourth(self.standardized(self.third(y) + y)))).mean((2, 3))


def test_two_norms_behind_a_convolution_are_both_folded():
    torch.manual_seed(0)
    encoder = nets.Encoder(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.Flatten()), half=False
    )
    x = torch.randn(8, 3, 5, 5)
    for _ in range(5):
        encoder(3 * x + 1)  # moves the statistics
    encoder.eval()
    with torch.no_grad():
        plain = encoder(x)
        with nets.fused_conv_bn(encoder):
            assert count_batch_norms(encoder) == 0 and torch.allclose(encoder(x), plain, rtol=1e-4, atol=1e-5)


def test_only_a_batch_norm_that_alone_reads_a_plain_convolution_is_folded():
    torch.manual_seed(0)
    encoder = nets.Encoder(Awkward(), half=False)
    x = torch.randn(8, 3, 5, 5)
    encoder(x)  # moves the statistics
    encoder.eval()
    with torch.no_grad():
        plain = encoder(x)
        with nets.fused_conv_bn(encoder):
            assert count_batch_norms(encoder) == 4
            assert any(isinstance(m, nn.SiLU) for m in encoder.modules())
            assert torch.allclose(encoder(x), plain, rtol=1e-4, atol=1e-6)
