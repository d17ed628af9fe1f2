"""The CIFAR ResNets of He et al. 2016, section 4.2, with shortcut A: ResNet-32 has 463,504 parameters without its head."""

from torch import Tensor, nn
from torch.nn.functional import pad, relu


class Block(nn.Module):
    """Two 3 x 3 convolutions beside shortcut A, which skips pixels where the image halves and pads new channels with zeros."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.extra = stride, (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        # operations in place spare a pass through memory each
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)), inplace=True)))
        if self.stride > 1:
            x = pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.extra, self.extra))
        return relu(y.add_(x), inplace=True)


class ResNetCifar(nn.Module):
    """Three stages of (depth - 2) / 6 blocks with 16, 32 and 64 channels, then the mean over pixels: (N, 3, H, W) -> (N, 64).

    `slim` takes a quarter of the channels from the last two stages: 24 and 48 (Wang et al. 2021).
    """

    feature_dim = 64

    def __init__(self, depth: int, slim: bool = False):
        super().__init__()
        middle, last = (24, 48) if slim else (32, 64)
        self.feature_dim = last
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        shapes = [(16, 16, 1), (16, middle, 2), (middle, last, 2)]
        stages = [[Block(i, o, s)] + [Block(o, o, 1) for _ in range(blocks - 1)] for i, o, s in shapes]
        self.stages = nn.Sequential(*(nn.Sequential(*stage) for stage in stages))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def list_blocks(self) -> list[list[nn.Module]]:
        """Return the residual blocks of each stage; the first convolution counts as a block of the first stage."""
        first, middle, last = (list(stage.children()) for stage in self.stages)
        return [[nn.Sequential(self.conv1, self.bn1, nn.ReLU()), *first], middle, last]

    def maps(self, x: Tensor) -> Tensor:
        """Compute the features of every pixel: (N, 3, H, W) -> (N, d, H / 4, W / 4)."""
        return self.stages(relu(self.bn1(self.conv1(x)), inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x).mean((2, 3))
