"""Batched augmentation against PIL image by image: strong, moco and both views, equal bit for bit.

PIL's own operations are timed without drawing their parameters; "papers" is what the papers' code runs, torchvision's
transforms on PIL images, from draws to normalized tensors. Neither decodes. Ours is timed with its draws and its pixels.
"""

import argparse
import io
from pathlib import Path

import torch

from benchmarks.epoch import PilViews
from benchmarks.harness import compare, save
from longtail.augment import TRANSFORM_SETS, Compose
from longtail.data import TensorImages
from tests.augment.pil_reference import from_pil, to_pil, view_image, view_rows

CIFAR = Path(__file__).parents[2] / "shared/data/cifar10/test.parquet"


def real_images(n: int) -> torch.Tensor:
    """Read `n` test images of CIFAR-10; (n, 3, 32, 32) uint8; raises FileNotFoundError."""
    import pyarrow.parquet
    from PIL import Image

    table = pyarrow.parquet.read_table(CIFAR, columns=["image"]).slice(0, n)
    return from_pil([Image.open(io.BytesIO(cell["bytes"])) for cell in table.column("image").to_pylist()])


def random_images(n: int) -> torch.Tensor:
    """Draw `n` smooth random images; (n, 3, 32, 32) uint8."""
    coarse = torch.rand(n, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 255
    return torch.nn.functional.interpolate(coarse, size=32, mode="bilinear").byte()


def pair(view: Compose, images: torch.Tensor, device: str) -> tuple:
    """Make two calls that augment the images: ours, and PIL's with one fixed draw; checks that they agree."""
    generator = torch.Generator().manual_seed(0)
    draws = view.draw(len(images), tuple(images.shape[2:]), generator)
    on_device, pil, rows = images.to(device), to_pil(images), view_rows(draws)

    def ours():
        return view(on_device, generator)

    def theirs():
        return [view_image(view, image, row) for image, row in zip(pil, rows, strict=True)]

    different = (view.apply(on_device, draws).cpu() != from_pil(theirs())).sum().item()
    if different:
        raise SystemExit(f"{different} bytes differ from PIL: no timing of a wrong answer")
    return ours, theirs


def main(argv: list[str]) -> None:
    """Check equality, then time 1000 images (--images, --rounds, --device, --threads) and save the record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks augment", description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    source = "CIFAR-10 test" if CIFAR.exists() else "random"
    images = real_images(options.images) if CIFAR.exists() else random_images(options.images)
    calls = {name: pair(view, images, options.device) for name, view in TRANSFORM_SETS["cifar"].transforms.items()}
    calls["both"] = tuple(lambda which=which: (calls["strong"][which](), calls["moco"][which]()) for which in (0, 1))
    record = {"images": len(images), "source": source, "device": options.device, "bytes_different": 0}
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
