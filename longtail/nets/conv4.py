"""Conv-4, a small network for images of about 8 x 8 pixels."""

from torch import Tensor, nn


class Conv4(nn.Module):
    """Four 3 x 3 convolutions with batch norm and ReLU, then the mean over pixels: (N, 3, H, W) -> (N, 64).

    The third convolution halves the image. `slim` takes a quarter of the channels from the last two.
    """

    feature_dim = 64

    def __init__(self, slim: bool = False):
        super().__init__()
        self.feature_dim = last = 48 if slim else 64
        shapes = [(3, 32, 1), (32, 32, 1), (32, last, 2), (last, last, 1)]
        layers = [
            layer
            for i, o, stride in shapes
            for layer in (nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True))
        ]
        self.layers = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def list_blocks(self) -> list[list[nn.Module]]:
        """Return the blocks of each of three stages, as a ResNet has them; a block is a convolution with batch norm."""
        first, second, third, fourth = (self.layers[i : i + 3] for i in range(0, len(self.layers), 3))
        return [[first, second], [third], [fourth]]

    def maps(self, x: Tensor) -> Tensor:
        """Compute the features of every pixel: (N, 3, H, W) -> (N, d, H / 2, W / 2)."""
        return self.layers(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x).mean((2, 3))
