"""Temperature on digits-lt: calibration error on the test images before and after, and whether top-1 moves."""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.harness import count, save


def write_unused_digits(folder: Path) -> int:
    """Write the digits of scikit-learn that digits-lt neither trains nor tests on as class folders; returns their number."""
    from longtail.data import load_split
    from longtail.data.sources import find_digits_file

    rows = np.loadtxt(find_digits_file(), delimiter=",")
    gray = (rows[:, :-1] * (255 / 16)).round().astype(np.uint8).reshape(-1, 8, 8)
    split = load_split("digits-lt", 50.0)
    used = {image[0].numpy().tobytes() for subset in (split.train, split.test) for image in subset.images}
    unused = [i for i, image in enumerate(gray) if image.tobytes() not in used]
    for i in unused:
        place = folder / str(int(rows[i, -1]))
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(gray[i]).convert("RGB").save(place / f"{i:04d}.png")
    return len(unused)


def measure(run: Path, images: Path | None) -> dict[str, float]:
    """Calibrate a run on images or on its validation part; returns temperature, ECE and top-1 before and after."""
    from longtail import api
    from longtail.evaluate import compute_logits
    from longtail.metrics import summarize

    model = api.load(run, threads=1)
    calibration, _ = model.calibrate(images)
    test = model.run.load_data().test
    logits = compute_logits(model.method, test, model.transform_set).mean(0)
    found = {"temperature": calibration.temperature, "images": calibration.images["count"]}
    for when, divisor in (("before", 1.0), ("after", calibration.temperature)):
        metrics = summarize(logits / divisor, test.labels, model.train_counts)
        found |= {f"ece_{when}": metrics["ece"], f"top1_{when}": metrics["top1"]}
    return found


def main(argv: list[str]) -> None:
    """Train what is missing, measure each seed, print a line for each, and save all."""
    from longtail.launch import train
    from longtail.recipes import recipe_for
    from longtail.runs.folder import RunFolder
    from longtail.tracking import PrintReport

    parser = argparse.ArgumentParser(prog="python -m benchmarks temperature", description=__doc__)
    parser.add_argument("--method", default="ecl")
    parser.add_argument("--seeds", type=count(), default=3)
    parser.add_argument("--epochs", type=count())
    parser.add_argument("--val-share", type=float, default=0.0, help="calibrate on a validation part of this share")
    parser.add_argument("--runs", type=Path, help="folder that keeps the runs, for the next time")
    options = parser.parse_args(argv)
    changes = {"val_share": options.val_share} | ({"epochs": options.epochs} if options.epochs else {})
    with tempfile.TemporaryDirectory() as folder:
        runs, images = options.runs or Path(folder) / "runs", Path(folder) / "unused"
        write_unused_digits(images)
        results = []
        for seed in range(options.seeds):
            run = runs / f"seed{seed}"
            if not (run.is_dir() and RunFolder(run).is_finished()):
                recipe = recipe_for("digits-lt", method=options.method, seed=seed, **changes)
                train(recipe, run, PrintReport(), threads=1, resume=True)
            results.append(measure(run, None if options.val_share else images))
            print(", ".join(f"{name} {value:.2f}" for name, value in results[-1].items()))
    means = {name: float(np.mean([each[name] for each in results])) for name in results[0]}
    print("mean: " + ", ".join(f"{name} {value:.2f}" for name, value in means.items()))
    name = "temperature" + ("-val" if options.val_share else "")
    save(name, {"method": options.method, "val_share": options.val_share, "seeds": results, "mean": means})
