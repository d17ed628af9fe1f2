"""Parameters and multiply-accumulates (MACs) of a method in training and at inference, counted on a built network."""

from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from longtail.data import Batch, ClassTable, Split, TensorImages, exponential_counts
from longtail.data.seeding import preserve_random_state
from longtail.methods import Method, Stage, get_method_class
from longtail.nets import Net

CLASSES, LARGEST, IMBALANCE = 100, 500, 100  # CIFAR-100-LT
SIDE, IMAGES = 32, 4  # pixels; images of a counted step


@dataclass(frozen=True)
class Costs:
    """Views of an image in a step, parameters that any stage trains, parameters of inference, and MACs of one image.

    MACs are those of convolutions and matrix products. Those of training are of a step without its backward pass, on
    average over the epochs of all stages.
    """

    views: int
    trained_parameters: int
    parameters: int
    training_macs: float
    macs: float


class MacCounter(TorchDispatchMode):
    """A context that counts the multiply-accumulates of convolutions and matrix products, also of gradients taken inside."""

    macs = 0.0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if count := flop_registry.get(function._overloadpacket):
            self.macs += count(*args, **(kwargs or {}), out_val=out) / 2
        return out


def count_costs(name: str) -> Costs:
    """Count the costs of a method with its default options: ResNet-32, 32 x 32 pixels, the classes of CIFAR-100-LT."""
    with preserve_random_state():
        torch.manual_seed(0)
        counts = exponential_counts(CLASSES, LARGEST, IMBALANCE)
        method: Method = get_method_class(name)(counts, Net("resnet32"))  # type: ignore[call-arg]
        stages = [stage for stage in method.stages() if stage.share]
        training = [(stage.share, *count_stage(method, stage)) for stage in stages]
        whole = sum(share for share, *_ in training)
        trained = {parameter for *_, parameters in training for parameter in parameters}
        method.eval()
        with torch.no_grad(), MacCounter() as counter:
            method.logits(torch.zeros(1, 3, SIDE, SIDE))
        prefixes = tuple(f"{part}." for part in method.inference)
        return Costs(
            views=max(len(method.views) + len(stage.samplers) - 1 for stage in stages),
            trained_parameters=sum(parameter.numel() for parameter in trained),
            parameters=sum(p.numel() for key, p in method.named_parameters() if key.startswith(prefixes)),
            training_macs=sum(share * macs for share, macs, _ in training) / whole,
            macs=counter.macs,
        )


def count_stage(method: Method, stage: Stage) -> tuple[float, list[torch.nn.Parameter]]:
    """Return the MACs of a step of a stage for one image, and the parameters that the stage trains."""
    method.begin_stage(stage, make_split(method.counts))
    trained = method.enter(stage)
    y = torch.arange(IMAGES)
    views = [torch.randn(IMAGES, 3, SIDE, SIDE) for _ in method.views]
    batch = Batch(views, y, y, torch.tensor(0.5))
    with MacCounter() as counter:
        method(*[batch] * len(stage.samplers))
    return counter.macs / IMAGES, trained


def make_split(counts: tuple[int, ...]) -> Split:
    """Make a split of black images, which share the memory of one."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    images = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8).expand(len(labels), -1, -1, -1)
    subset = TensorImages(images, labels)
    return Split("black images", ClassTable(tuple(map(str, range(len(counts)))), counts), subset, subset)
