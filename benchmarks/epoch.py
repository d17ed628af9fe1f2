"""An epoch with its augmentation: ours against the stand-in peer fed by PIL in loader workers."""

import argparse
import random

import torch
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.harness import compare, save
from benchmarks.peer import PeerECL, PeerStep
from benchmarks.step import BATCH, RECIPE, ours
from longtail.data import ClassTable, Loader, Split, TensorImages
from tests.augment.pil_reference import to_pil


class PilViews(Dataset):
    """Both views of each image by torchvision on PIL images, as the papers' code has them."""

    def __init__(self, part: TensorImages):
        self.images, self.labels = to_pil(part.images), part.labels.tolist()
        end = [transforms.ToTensor(), transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))]
        policy = transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)
        crop, flip = transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()
        self.strong = transforms.Compose(
            [crop, flip, policy, *end, transforms.RandomErasing(1.0, (0.25, 0.25), (1, 1))]
        )
        jitter = transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8)
        gray, blur = transforms.RandomGrayscale(p=0.2), transforms.RandomApply([Blur()], p=0.5)
        self.moco = transforms.Compose([transforms.RandomResizedCrop(32, (0.2, 1.0)), flip, jitter, gray, blur, *end])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int):
        return self.strong(self.images[i]), self.moco(self.images[i]), self.labels[i]


class Blur:
    """MoCo's blur."""

    def __call__(self, image):
        from PIL import ImageFilter

        return image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))


def random_split(images: int, classes: int = 100) -> Split:
    """Random images and labels."""
    g = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8, generator=g)
    labels = torch.arange(images) % classes
    part = TensorImages(pixels, labels)
    return Split("random", ClassTable.from_labels([str(c) for c in range(classes)], labels), part, part)


def main(argv: list[str]) -> None:
    """Time an epoch of a few steps; the mathematics of both is checked by the benchmarks step and augment."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks epoch", description=__doc__)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args(argv)
    from longtail.augment import get_transform_set

    split, views = random_split(args.images), get_transform_set("cifar").transforms
    loader = Loader(split, [views["strong"], views["moco"]], BATCH, 0, torch.device("cpu"), 1024)
    full, half = ours("fp32"), ours("bf16")
    peer = PeerStep(PeerECL(ours("fp32").method), RECIPE.lr, RECIPE.momentum, RECIPE.weight_decay)
    data = DataLoader(PilViews(split.train), BATCH, shuffle=True, drop_last=True, num_workers=args.workers)

    def papers() -> None:
        for a, b, y in data:
            peer(a, b, y)

    def mine(step) -> None:
        for (chunk,) in loader.epoch(0):
            for i in range(len(chunk)):
                step([chunk.batch(i, step.progress)], 0.0)
            step.read()

    calls = {"peer": papers, "ours fp32": lambda: mine(full), "ours bf16": lambda: mine(half)}
    save("epoch", compare(calls, args.rounds) | {"images": args.images, "workers": args.workers})
