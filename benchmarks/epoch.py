"""An epoch with its augmentation: ours against the reference step fed by PIL in loader workers."""

import argparse
import random

import torch
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.harness import compare, count, save
from benchmarks.step import BATCH, get_views, ours, peer_step
from longtail.data import ClassTable, Loader, Split, TensorImages
from longtail.machine import has_bf16
from longtail.step import Step
from tests.augment.pil_reference import to_pil


class PilViews(Dataset):
    """A data set of both views of each image by torchvision on PIL images, as in the papers' code."""

    def __init__(self, images: TensorImages):
        self.images, self.labels = to_pil(images.images), images.labels.tolist()
        normalize = [transforms.ToTensor(), transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))]
        policy = transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)
        crop, flip = transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()
        self.strong = transforms.Compose(
            [crop, flip, policy, *normalize, transforms.RandomErasing(1.0, (0.25, 0.25), (1, 1))]
        )
        jitter = transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8)
        gray, blur = transforms.RandomGrayscale(p=0.2), transforms.RandomApply([Blur()], p=0.5)
        self.moco = transforms.Compose(
            [transforms.RandomResizedCrop(32, (0.2, 1.0)), flip, jitter, gray, blur, *normalize]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int):
        return self.strong(self.images[i]), self.moco(self.images[i]), self.labels[i]


class Blur:
    """The Gaussian blur of MoCo."""

    def __call__(self, image):
        from PIL import ImageFilter

        return image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))


def random_split(images: int, classes: int = 100) -> Split:
    """Make a split of random images, with as many of each class."""
    g = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8, generator=g)
    labels = torch.arange(images) % classes
    subset = TensorImages(pixels, labels)
    return Split("random", ClassTable.from_labels([str(c) for c in range(classes)], labels), subset, subset)


def main(argv: list[str]) -> None:
    """Time an epoch of a few steps; the benchmarks step and augment check that both compute the same."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks epoch", description=__doc__)
    parser.add_argument("--images", type=count(), default=1024)
    parser.add_argument("--rounds", type=count(), default=3)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args(argv)
    split = random_split(args.images)
    loader = Loader(split, get_views("cifar", ("strong", "moco")), BATCH, 0, torch.device("cpu"), 1024)
    full, half, peer = ours("fp32"), ours("bf16"), peer_step()
    images = split.train
    assert isinstance(images, TensorImages)
    data = DataLoader(
        PilViews(images),
        BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=args.workers,
        persistent_workers=args.workers > 0,
    )

    def papers() -> None:
        for a, b, y in data:
            peer(a, b, y)

    def mine(step: Step) -> None:
        for (chunk,) in loader.epoch(0):
            for i in range(len(chunk)):
                step([chunk.batch(i, step.progress)], 0.0)
            step.pop_sums()

    calls = {"peer": papers, "ours fp32": lambda: mine(full)}
    if has_bf16(torch.device("cpu")):  # emulated bf16 says nothing about ours
        calls["ours bf16"] = lambda: mine(half)
    save("epoch", compare(calls, args.rounds) | {"images": args.images, "workers": args.workers})
