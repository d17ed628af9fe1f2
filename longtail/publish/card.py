"""The model card of a run: its data, groups, results, calibration, limits, and the license of its pretrained weights."""

import json
import re
from collections.abc import Sequence

from longtail import __version__
from longtail.data import format_data_name
from longtail.errors import escape_controls
from longtail.hub import HubAddress, is_hub_name
from longtail.inference.calibration import NAME as CALIBRATION
from longtail.inference.calibration import read_calibration
from longtail.inference.prior import describe_prior
from longtail.metrics.names import GROUPS, METRICS
from longtail.nets.weights import find_restriction
from longtail.publish.scrub import scrub
from longtail.runs.finished import FinishedRun
from longtail.runs.results import LAST_WEIGHTS

NAMES = dict(zip(METRICS, ("top-1", "balanced", "many", "medium", "few", "worst class", "ECE"), strict=True))
MODES = {"plain": "as they are", "flip": "flip TTA", "five_crop": "five crops"}
SHOWN = 20  # classes in a list
FEW_TESTS = 10  # test images, below which the accuracy of a class says little
LICENSES = re.compile(r"apache-2\.0|mit|bsd|bsd-[23]-clause|cc0-1\.0|cc-by(?:-[a-z]{2})*-\d\.\d|isc|unlicense")


def render_card(run: FinishedRun, repo: str) -> str:
    """Render the model card of a run that is published as `owner/name`, Markdown with a head in YAML."""
    sections = [
        f"# {escape(repo.partition('/')[2])}",
        describe_model(run),
        f"## Use\n\n{describe_use(run, repo)}",
        f"## Data\n\n{describe_data(run)}",
        f"## Results\n\n{describe_results(run)}",
        f"## Calibration\n\n{describe_calibration(run)}",
        f"## Limits\n\n{list_limits(run)}",
        f"## License\n\n{describe_license(run)}",
    ]
    return f"---\n{render_head(run)}---\n\n" + "\n\n".join(sections) + "\n"


def render_head(run: FinishedRun) -> str:
    """Return the head of the card, by which the hub lists the model; a JSON value is valid YAML."""
    head: dict[str, object] = {
        "library_name": "longtail",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "long-tailed-recognition", run.recipe.method],
    }
    weights = get_weights(run)
    if license := weights.get("license"):
        is_known = LICENSES.fullmatch(str(license).lower())
        head |= {"license": str(license).lower()} if is_known else {"license": "other", "license_name": str(license)}
    if is_hub_name(run.recipe.data):
        head["datasets"] = [HubAddress.parse(run.recipe.data, "[/config]").repo]
    if match := re.fullmatch(r"([\w.-]+/[\w.-]+)(?:@\S+)?(?: \(.*\))? from the hub", str(weights.get("source"))):
        head["base_model"] = match[1]
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in head.items())


def get_weights(run: FinishedRun) -> dict:
    """Return source, hash and license of the pretrained weights, without folders; {} for a run from random weights."""
    weights = scrub(run.environment.get("weights"))
    return weights if isinstance(weights, dict) else {}


def describe_model(run: FinishedRun) -> str:
    """Return what the model is, in a sentence or two."""
    recipe, experts = run.recipe, len(run.results["plain"]["experts"])
    body = f"{experts} experts of {recipe.net}" if experts > 1 else recipe.net
    how = " on the features of the frozen network" if recipe.frozen else ""
    tail = f" Trained parts: {recipe.tune} and the heads." if recipe.tune else ""
    return (
        f"An image classifier for {len(run.classes):,} classes, trained on long-tailed data by the method "
        f"`{recipe.method}`{how} ({escape(body)}, {recipe.epochs:,} epochs, seed {recipe.seed}) with longtail "
        f"{__version__}.{tail} The numbers below are of the last epoch; no test image chose an epoch or a setting."
    )


def describe_use(run: FinishedRun, repo: str) -> str:
    """Return how the model is loaded, and which images it takes."""
    transform = run.model["transform"]
    ways = {
        "cut": "shorter side resized, center cut out",
        "pad": "padded to a square",
        "squeeze": "squeezed to a square",
    }
    fit = ways[transform.get("fit", "cut")]
    return (
        f'```python\nimport longtail\n\nmodel = longtail.load("hf:{repo}")\nprint(model.predict("photo.jpg"))\n```\n\n'
        f"```sh\nlongtail predict hf:{repo} PHOTOS --out found.csv\nlongtail try hf:{repo}\n```\n\n"
        f"Images of any size become squares of {transform['size'][0]} pixels ({fit}). `model.safetensors` holds the weights, "
        "`model.json` the classes with their training counts, and mean and deviation of the channels."
    )


def describe_data(run: FinishedRun) -> str:
    """Return the data with their counts, and a table of the groups of classes."""
    counts, split = run.classes.counts, run.split
    name = run.recipe.data if is_hub_name(run.recipe.data) else format_data_name(run.recipe.data)
    commits = "".join(f" `{key}` is read at commit `{value}`." for key, value in split.get("commits", {}).items())
    seen = [n for n in counts if n]
    lines = [
        f"`{escape_controls(name)}`: {split['train_images']:,} training images of {len(counts):,} classes, from "
        f"{min(seen):,} to {max(seen):,} a class (imbalance {max(seen) / min(seen):,.0f}), and {split['test_images']:,} "
        f"test images.{commits}",
        "",
        "| group | training images of a class | classes | training images | test accuracy |",
        "|---|---|---|---|---|",
    ]
    ranges = {"many": "over 100", "medium": "20 to 100", "few": "under 20"}
    for group in GROUPS:
        mine = [n for n, own in zip(counts, run.classes.groups, strict=True) if own == group]
        accuracy = format_number(run.results["plain"]["ensemble"][group])
        lines.append(f"| {group} | {ranges[group]} | {len(mine):,} | {sum(mine):,} | {accuracy} |")
    return "\n".join(lines)


def format_number(value: float | None) -> str:
    """Format a percentage with one decimal; n/a for None."""
    return "n/a" if value is None else f"{value:.1f}"


def describe_results(run: FinishedRun) -> str:
    """Return the table of the seven metrics in percent, of the ensemble and of each expert."""
    lines = [f"| % of test images | {' | '.join(NAMES.values())} |", f"|---{'|---' * len(NAMES)}|"]
    for mode, note in MODES.items():
        if mode not in run.results:
            continue
        experts = run.results[mode]["experts"]
        rows = [("all experts" if len(experts) > 1 else "images", run.results[mode]["ensemble"])]
        rows += [(f"expert {k}", expert) for k, expert in enumerate(experts, 1)] if len(experts) > 1 else []
        for name, metrics in rows:
            lines.append(f"| {name}, {note} | {' | '.join(format_number(metrics[key]) for key in METRICS)} |")
    return "\n".join(lines) + (
        "\n\nBalanced is the mean accuracy of all classes; many, medium and few are the means of the groups above; ECE is the "
        "expected calibration error (15 bins). Flip TTA averages the logits of an image and its mirror image."
    )


def describe_calibration(run: FinishedRun) -> str:
    """Return what `calibration.json` says in numbers, or that the run has none."""
    ece = format_number(run.results["plain"]["ensemble"]["ece"])
    if not run.folder.has(CALIBRATION):
        return f"The probabilities are as trained, with an ECE of {ece} percent; they were not calibrated."
    found = read_calibration(run, LAST_WEIGHTS)
    options, of, measured = found.options, sum(found.thresholds.images), found.measured
    return (
        f"Calibrated on {of:,} images (`{CALIBRATION}`): temperature {found.temperature:.3g}; on these images the ECE goes from "
        f"{measured['before']['ece']:.1f} to {measured['after']['ece']:.1f} percent. Prediction sets ask for a coverage of "
        f"{100 * options.coverage:g} percent, by {options.by}, with the score {options.score}. `{CALIBRATION}` says for every "
        f"class how many images stand behind it and what it can promise. `longtail predict --set --calibrated` uses it."
    )


def list_limits(run: FinishedRun) -> str:
    """Return the limits that follow from the data and the numbers of the run, as a list."""
    ensemble, rows, counts = run.results["plain"]["ensemble"], run.per_class, run.classes.counts
    prior = describe_prior(run.load_method(), None)
    table = list(zip(run.classes.names, counts, run.classes.groups, strict=True))
    few = [name for name, n, group in table if n and group == "few"]
    unseen = [name for name, n, _ in table if not n]
    with run.folder.report_damage("per_class.csv"):
        untested = [row["name"] for row in rows if int(row["test_images"]) < FEW_TESTS]
        wrong = [row["name"] for row in rows if row["plain"] and float(row["plain"]) < 50]
    lines = [
        "The model knows these classes only. An image of anything else still gets one of them.",
        f"A probability depends on how frequent the classes are; these assume: {prior}. `--target-prior` takes others.",
        "The numbers hold for images such as the test images. Other cameras, places or years can be harder.",
        f"The worst class has a test accuracy of {format_number(ensemble['worst'])} percent.",
    ]
    noted = {
        "under 20 training images": few,
        "no training image and is hardly ever predicted": unseen,
        f"under {FEW_TESTS} test images, too few for a number of its own": untested,
        "a test accuracy under 50 percent": wrong,
    }
    lines += [f"{count(names)} {what}: {shorten(names)}." for what, names in noted.items() if names]
    return "\n".join(f"- {line}" for line in lines)


def count(names: Sequence[str]) -> str:
    """Return the number of classes with the verb that follows."""
    return "1 class has" if len(names) == 1 else f"{len(names):,} classes have"


def shorten(names: Sequence[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(map(escape, names[:SHOWN])) + more


def describe_license(run: FinishedRun) -> str:
    """Return the license of the pretrained weights, and what it restricts."""
    weights = get_weights(run)
    if not weights:
        return "The network was trained from random weights. The owner of this repository says how it may be used."
    license = weights.get("license")
    if license is None:
        terms = "no license is stated; find out before you use or share this model"
    else:
        limit = find_restriction(str(license))
        terms = f"license {escape(license)}" + (f": **{limit}**" if limit else "")
    source, digest = str(weights.get("source")).lstrip("/"), str(weights.get("sha256"))[:16]
    return (
        f"The model began from the pretrained weights {escape(source)} (sha256 `{digest}...`): {terms}. "
        "The license of the training images may restrict use as well."
    )


def escape(text: object) -> str:
    """Return a text on one line that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", escape_controls(text))
