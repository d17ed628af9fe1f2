"""A small calibrated run of three experts, and its page on a free port of this machine."""

import pytest
from PIL import Image

import longtail
from longtail.data import load_split
from longtail.launch import train
from longtail.recipes import recipe_for
from longtail.tracking import SilentReport
from tests.tryout.serving import Served, serve


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """Train a run on handwritten digits, calibrate it on test images, and write one of these as a photograph."""
    out = tmp_path_factory.mktemp("tryout")
    train(recipe_for("digits-lt", method="ecl", epochs=2, eval_every=0), out / "run", SilentReport(), threads=1)
    images = load_split("digits-lt", 50.0).test.images
    for label in range(10):
        (out / "labeled" / str(label)).mkdir(parents=True)
        for i, image in enumerate(images[70 * label : 70 * label + 12]):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(out / "labeled" / str(label) / f"{i}.png")
    longtail.load(out / "run", device="cpu").calibrate(out / "labeled", by="all")
    return out


@pytest.fixture(scope="session")
def served(digits):
    with serve(digits / "run") as (server, answerer):
        yield Served(server, answerer, (digits / "labeled" / "3" / "0.png").read_bytes())
