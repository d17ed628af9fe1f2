"""The pictures of README and of the site: accuracy by class size from the ledger, and screenshots of pages.

Run:  make docs-pictures CALTECH101=FOLDER (FOLDER holds train/ and test/ with the class folders of Caltech-101)
Time: 4 minutes on two busy cores of an AMD EPYC Zen 4 (2026-11-26); less with cached features

The screenshots show 20 animals of Caltech-101 (Li, Andreeto, Ranzato and Perona, CaltechDATA 2022, CC BY 4.0), of which the
training images are cut to a long tail.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
SHOWN = ("longtail/report/*.html", "longtail/report/*.css", "longtail/inspection/page.py")  # what screenshots show
ANIMALS = (  # from frequent to rare
    *(
        "Leopards",
        "butterfly",
        "kangaroo",
        "llama",
        "crab",
        "dalmatian",
        "flamingo",
        "dolphin",
        "elephant",
        "sea_horse",
    ),
    *("hedgehog", "crocodile", "rooster", "beaver", "pigeon", "ant", "lobster", "okapi", "panda", "octopus"),
)
LARGEST, SMALLEST = 133, 5


def main(caltech: str) -> None:
    """Draw all pictures, and keep the hash of the templates that they show."""
    PICTURES.mkdir(exist_ok=True)
    draw_accuracy(PICTURES / "accuracy.svg")
    with tempfile.TemporaryDirectory() as folder:
        make_animals(Path(caltech), Path(folder) / "animals")
        make_pages(Path(folder))
        take_screenshots(Path(folder))
    (PICTURES / "made.json").write_text(json.dumps({"templates_sha256": hash_templates()}, indent=1) + "\n")


def hash_templates() -> str:
    """Return the hash of all templates that screenshots show."""
    digest = hashlib.sha256()
    for pattern in SHOWN:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def draw_accuracy(path: Path) -> None:
    """Draw accuracy of three methods on many-, medium- and few-shot classes of Caltech-101 from the ledger."""
    import matplotlib.pyplot as plt

    from docs.generate.methods import read_lines

    groups = {
        "many": "many-shot classes\n(over 100 images)",
        "medium": "medium-shot\n(20 to 100)",
        "few": "few-shot\n(below 20)",
    }
    names = {"ce": "cross-entropy", "logit_adjustment": "logit_adjustment", "ecl": "ECL"}
    lines = {(line.row, line.column): line for line in read_lines("frozen-caltech", "frozen")}
    plt.rcParams |= {"font.size": 12, "svg.fonttype": "path", "svg.hashsalt": "longtail"}
    figure, axes = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
    for i, (row, label) in enumerate(names.items()):
        found = [lines[row, g] for g in groups]
        places, heights = [g + 0.27 * (i - 1) for g in range(3)], [line.mean for line in found]
        bars = axes.bar(
            places,
            heights,
            0.25,
            yerr=[line.sd for line in found],
            label=label,
            color=("#9AA5B1", "#D99A1C", "#3B7FC4")[i],
        )
        axes.bar_label(bars, fmt="%.0f", padding=2)
    axes.set(
        xticks=range(3),
        xticklabels=groups.values(),
        ylabel="test images right, %",
        ylim=(0, 125),
        yticks=range(0, 101, 20),
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=3, loc="upper center", frameon=False)
    figure.savefig(path, metadata={"Date": None}, facecolor="white")


def make_animals(caltech: Path, folder: Path) -> None:
    """Copy the animals, the first training images of each in a geometric tail, and one new image of some."""
    for rank, name in enumerate(ANIMALS):
        kept = round(LARGEST * (SMALLEST / LARGEST) ** (rank / (len(ANIMALS) - 1)))
        for subset, number in (("train", kept), ("test", None)):
            (folder / subset / name).mkdir(parents=True)
            for image in sorted((caltech / subset / name).iterdir())[:number]:
                shutil.copy(image, folder / subset / name)
    (folder.parent / "new").mkdir()
    for name in ANIMALS[2::2]:
        for image in sorted((folder / "test" / name).iterdir())[:2]:
            image.rename(folder.parent / "new" / f"{name}-{image.name}")


def make_pages(folder: Path) -> None:
    """Run the commands of docs/photographs.md."""
    for words in (
        "inspect animals",
        "train animals --out runs/animals",
        "report runs/animals",
        "predict runs/animals new --gallery found.html",
    ):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-m", "longtail", *words.split()], cwd=folder, env=environment, check=True)


def take_screenshots(folder: Path) -> None:
    """Take a picture of each page from its top or an anchor, in light colors, as a PNG of 256 colors."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    pages = {  # page and height in pixels
        "inspect": ("inspect-animals.html", 1100),
        "report": ("runs/animals/report.html", 900),
        "figures": ("runs/animals/report.html#figures", 970),
        "gallery": ("found.html", 900),
    }
    with sync_playwright() as driver:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (page, height) in pages.items():
            # without animations, so that a page does not scroll while its picture is taken
            tab = browser.new_page(viewport={"width": 1000, "height": height}, reduced_motion="reduce")
            tab.goto(f"{folder.as_uri()}/{page}")
            image = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
            image.quantize(256).save(PICTURES / f"{name}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
