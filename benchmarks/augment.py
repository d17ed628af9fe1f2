"""Batched augmentation against PIL image by image: strong, moco and both views, equal bit for bit.

PIL is timed without drawing random parameters. "papers" times the transforms of the papers' code, torchvision on PIL
images, from random draws to normalized tensors. Ours includes the draws. No candidate decodes files.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.epoch import PilViews
from benchmarks.harness import compare, count, save
from longtail.augment import TRANSFORM_SETS, Compose
from longtail.data import TensorImages, load_split
from longtail.distributed import init_world
from tests.augment.pil_reference import from_pil, to_pil, view_image, view_rows


def real_images(n: int, root: str) -> torch.Tensor:
    """Read the first n test images of CIFAR-10, (n, 3, 32, 32) uint8; raises LongtailError if they are not there."""
    test = load_split("cifar10-lt", 100, root).test
    assert isinstance(test, TensorImages)
    return test.images[:n]


def random_images(n: int) -> torch.Tensor:
    """Draw n smooth random images, (n, 3, 32, 32) uint8."""
    coarse = torch.rand(n, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 255
    return torch.nn.functional.interpolate(coarse, size=32, mode="bilinear").byte()


def pair(view: Compose, images: torch.Tensor, device: str) -> tuple:
    """Return two calls that augment the images, ours and that of PIL with fixed parameters, after checking that they agree."""
    generator = torch.Generator().manual_seed(0)
    draws = view.draw(len(images), (images.shape[2], images.shape[3]), generator)
    on_device, pil, rows = images.to(device), to_pil(images), view_rows(draws)

    def ours():
        return view(on_device, generator)

    def theirs():
        return [view_image(view, image, row) for image, row in zip(pil, rows, strict=True)]

    different = (view.apply(on_device, draws).cpu() != from_pil(theirs())).sum().item()
    if different:
        raise SystemExit(f"{different} bytes differ from PIL; a wrong result is not timed")
    return ours, theirs


def main(argv: list[str]) -> None:
    """Check equality, then time 1000 images."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks augment", description=__doc__)
    parser.add_argument("--images", type=count(), default=1000)
    parser.add_argument("--rounds", type=count(), default=11)
    parser.add_argument("--root", help="folder of CIFAR-10; without, smooth random images")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=count(), default=torch.get_num_threads())
    options = parser.parse_args(argv)
    options.device = init_world(options.device).device.type
    torch.set_num_threads(options.threads)
    source = "CIFAR-10 test" if options.root else "random"
    images = real_images(options.images, options.root) if options.root else random_images(options.images)
    calls: dict[str, tuple[Callable, Callable]] = {}
    for name, view in TRANSFORM_SETS["cifar"].transforms.items():
        assert isinstance(view, Compose)  # other transform sets work on PIL images
        calls[name] = pair(view, images, options.device)
    both = [[calls[name][candidate] for name in ("strong", "moco")] for candidate in (0, 1)]
    calls["both"] = (lambda: [call() for call in both[0]], lambda: [call() for call in both[1]])
    record: dict[str, Any] = {"images": len(images), "source": source, "device": options.device, "bytes_different": 0}
    for name, (ours, theirs) in calls.items():
        print(f"{name}: {len(images)} {source} images on {options.device}, equal to PIL in every byte")
        record[name] = compare({"PIL": theirs, "longtail": ours}, options.rounds)
    normalize = TRANSFORM_SETS["cifar"].build_normalize(torch.device(options.device))
    papers = PilViews(TensorImages(images, torch.zeros(len(images))))
    print("papers: both views as normalized tensors, of the same distribution")
    record["papers"] = compare(
        {
            "papers": lambda: [papers[i] for i in range(len(papers))],
            "longtail": lambda: [normalize(view) for view in calls["both"][0]()],
        },
        options.rounds,
    )
    save(f"augment-{options.device}", record)
