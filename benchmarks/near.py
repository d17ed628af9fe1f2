"""Near duplicates that `longtail inspect --net` finds: 100 copies of photographs, changed in four ways, and pairs beside them."""

import argparse
import random
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.harness import save

COPIES, COSINES = 100, (0.4, 0.5, 0.6, 0.7, 0.8)
WAYS = (
    "60% of the size",
    "JPEG quality 40",
    "5% cropped at each side",
    "10% cropped at two sides, 60% of the size, quality 60",
)


def change(image: Image.Image, way: int) -> tuple[Image.Image, int]:
    """Return a changed copy of a photograph and the quality of its JPEG."""
    width, height = image.size
    smaller = round(0.6 * width), round(0.6 * height)
    if way == 0:
        return image.resize(smaller, Image.Resampling.LANCZOS), 90
    if way == 1:
        return image, 40
    if way == 2:
        return image.crop((round(0.05 * width), round(0.05 * height), round(0.95 * width), round(0.95 * height))), 90
    cut = image.crop((round(0.1 * width), round(0.1 * height), width, height))
    return cut.resize(smaller, Image.Resampling.LANCZOS), 60


def measure(data: str, net: str, cache: str | None) -> list[dict]:
    """Return for each cosine the copies that are found, in all and by the way of their change, and the other pairs."""
    from longtail.commands.inspect import inspect_data
    from longtail.data import ReadOptions, list_data
    from longtail.distributed import init_world
    from longtail.inspection.near import build_near_extractor, compute_features, find_near_duplicates
    from longtail.tracking import PrintReport

    train = list_data(data, None, ReadOptions()).subsets["train"]
    with tempfile.TemporaryDirectory() as folder:
        for number, i in enumerate(random.Random(0).sample(range(len(train)), COPIES)):
            place = Path(folder, train.name(i).rpartition("/")[0].rpartition("/")[2])
            place.mkdir(exist_ok=True)
            image, quality = change(train.read(i), number % len(WAYS))
            image.save(place / f"{i:06d}_{number % len(WAYS)}.jpg", quality=quality)
        facts = inspect_data(data, None, folder, None, None, False)  # the copies are the val subset
        extractor = build_near_extractor(data, net, None, init_world(), PrintReport(), cache)
        features, rows = compute_features(extractor, facts.subsets, np.empty(0, dtype=np.int64), False)
        pairs = find_near_duplicates(facts.duplicates, features, rows, "cpu", min(COSINES))
        val = facts.duplicates.find_members("val")
        names = [Path(facts.name_image(i)).stem.split("_") for i in val]
    origin = {int(i): (int(name), int(way)) for i, (name, way) in zip(val, names, strict=True)}
    results = []
    for cosine in COSINES:
        chosen = pairs.positions[pairs.cosines >= cosine].tolist()
        found = [origin[b][1] for a, b in chosen if b in origin and a == origin[b][0]]
        others = sum(a not in origin and b not in origin for a, b in chosen)
        results.append(
            {
                "cosine": cosine,
                "copies": len(found),
                "by_way": np.bincount(found, minlength=4).tolist(),
                "pairs": others,
            }
        )
    return results


def main(argv: list[str]) -> None:
    """Measure, print a row for each cosine, and save all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks near", description=__doc__)
    parser.add_argument("data", help="folder of photographs with train/ and test/")
    parser.add_argument("--net", default="tf_efficientnet_lite0")
    parser.add_argument("--cache")
    options = parser.parse_args(argv)
    results = measure(options.data, options.net, options.cache)
    print("copies by way: " + "; ".join(WAYS))
    for row in results:
        print(
            f"cosine {row['cosine']:.1f}: {row['copies']} of {COPIES} copies {row['by_way']}, {row['pairs']:,} other pairs"
        )
    save("near", {"data": Path(options.data).name, "net": options.net, "ways": WAYS, "cosines": results})
