"""A small network for images of about 8 x 8."""

from torch import Tensor, nn


class Conv4(nn.Module):
    """(N, 3, H, W) -> (N, 64): four 3 x 3 convolutions with batch norm and ReLU, halving once, then the mean over pixels."""

    width = 64

    def __init__(self):
        super().__init__()
        shapes = [(3, 32, 1), (32, 32, 1), (32, 64, 2), (64, 64, 1)]
        layers = [
            layer
            for i, o, stride in shapes
            for layer in (nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True))
        ]
        self.layers = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).mean((2, 3))
