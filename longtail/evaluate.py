"""From a model to predictions, and from predictions to the numbers and files of a run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from longtail.augment import Family, View, mirror
from longtail.data import Batch, Files, Images, Split, pixels
from longtail.data.loader import mix
from longtail.errors import LongtailError
from longtail.methods import Method
from longtail.metrics import class_accuracy, summarise
from longtail.nets import folded
from longtail.recipe import Recipe
from longtail.runs import RunFolder
from longtail.world import ALONE, World, full_precision

LAST = "model.safetensors"  # the weights of the last epoch
BATCH = (128, 1000)  # on a CPU, what stays in its cache; on a GPU
LARGE = 64  # pixels; above it a quarter as many
STEP = 128  # test images that `adapt` sees at once, on every device: it may learn from them (SADE, authors' code)


@dataclass(frozen=True)
class Predictions:
    """Logits (K, N, C) float32 on the CPU of the images (`plain`) and averaged with those of their mirror images (`flip`)."""

    plain: Tensor
    flip: Tensor
    labels: Tensor

    def results(self, counts: Sequence[int]) -> dict:
        """The seven numbers for the ensemble (mean of the logits) and for each expert, with and without mirror images."""

        def both(logits: Tensor) -> dict:
            ensemble = summarise(logits.mean(0), self.labels, counts)
            return {"ensemble": ensemble, "experts": [summarise(expert, self.labels, counts) for expert in logits]}

        return {"plain": both(self.plain), "flip": both(self.flip)}


def batch_size(views: Family, device: torch.device) -> int:
    """Images computed at once."""
    return BATCH[device.type == "cuda"] // (1 if views.size <= LARGE else 4)


def parts_of(images: Tensor | Images | Files, views: Family, n: int) -> Iterator[Tensor]:
    """The images n at a time, (N, 3, H, W) uint8; files are decoded on the way."""
    if isinstance(images, Files):
        yield from pixels(images, views, n)
    else:
        yield from (images.images if isinstance(images, Images) else images).split(n)


def batches_of(images: Images | Files, views: Family, device: torch.device) -> Iterator[Batch]:
    """All images once, in their order and without augmentation, for the post-hoc steps of a method."""
    normalise, start = views.normaliser(device), 0
    for part in parts_of(images, views, batch_size(views, device)):
        rows = torch.arange(start, start := start + len(part))
        y, progress = images.labels[rows].to(device), torch.ones((), device=device)
        yield Batch([normalise(part.to(device))], y, rows.to(device), progress)


@torch.no_grad()
def outputs_of(
    method: Method,
    compute: Callable[[Tensor], Tensor],
    images: Tensor | Images | Files,
    views: Family,
    mirrored: bool = False,
) -> Tensor:
    """What `compute` makes of normalised images: (N, 3, H, W) uint8 -> (K, N, ...) float32 on the CPU, in evaluation mode."""
    was_training, device = method.training, method.log_prior.device
    normalise, see = views.normaliser(device), mirror if mirrored else lambda x: x
    method.eval()
    with folded(*(getattr(method, name) for name in method.inference)):
        found = (part.to(device) for part in parts_of(images, views, batch_size(views, device)))
        # some networks (timm's ViT) take no batch of none: where there is no image they are shown a black one
        shown = ((len(x), see(x if len(x) else x.new_zeros(1, *x.shape[1:]))) for x in found)
        parts = [compute(normalise(x)).float().cpu()[..., :n, :] for n, x in shown]
    method.train(was_training)
    outputs = torch.cat(parts, dim=-2)
    return outputs if outputs.dim() == 3 else outputs.unsqueeze(0)


def logits_of(method: Method, images: Tensor | Images | Files, views: Family, mirrored: bool = False) -> Tensor:
    """(N, 3, H, W) uint8 -> (K, N, C); a single network has K = 1."""
    return outputs_of(method, method.logits, images, views, mirrored)


def features_of(method: Method, images: Tensor | Images | Files, views: Family) -> Tensor:
    """(N, 3, H, W) uint8 -> (K, N, d); a single network has K = 1."""
    return outputs_of(method, method.features, images, views)


def pixels_of(images: Images | Files, rows: Sequence[int], views: Family) -> Tensor:
    """Some images as they are tested: (n, 3, H, W) uint8."""
    return torch.cat(list(parts_of(images.take(rows), views, batch_size(views, torch.device("cpu")))))


def shared_logits(
    method: Method, images: Images | Files, views: Family, world: World, mirrored: bool = False
) -> Tensor:
    """The same in every process, each computing its share of the images, none of them twice."""
    own = images if world.size == 1 else images.take(range(len(images))[world.rows(len(images))])
    return world.gather(logits_of(method, own, views, mirrored), dim=1, n=len(images))


def predict(method: Method, test: Images | Files, views: Family, world: World = ALONE) -> Predictions:
    """Logits of the test images, with and without their mirror images."""
    plain = shared_logits(method, test, views, world)
    flip = (plain + shared_logits(method, test, views, world, mirrored=True)) / 2
    return Predictions(plain, flip, test.labels)


def adapt(method: Method, images: Images | Files, views: Family, seed: int) -> dict:
    """What a method learns from the test images, or measures on them, before it is tested; their labels stay here."""
    device = method.log_prior.device
    normalise = views.normaliser(device)
    chosen = [View() if name == "plain" else views.views[name] for name in method.sees]

    def batches(epoch: int) -> Iterator[list[Tensor]]:
        generator = torch.Generator().manual_seed(mix(seed, 3, epoch))
        shuffled = images.take(torch.randperm(len(images), generator=generator).numpy())
        for part in parts_of(shuffled, views, STEP):
            yield [normalise(view(part.to(device), generator)) for view in chosen]

    return method.eval().adapt(batches)


def measure(
    method: Method, split: Split, recipe: Recipe, part: str = "test", world: World = ALONE
) -> dict[str, float | None]:
    """The ensemble's seven numbers on a part, under "PART_NAME": the test part for curves, only the val part for choosing."""
    images = split.parts[part]
    logits = shared_logits(method, images, recipe.family, world)
    found = summarise(logits.mean(0), images.labels, split.classes.counts)
    return {f"{part}_{name}": value for name, value in found.items()}


def write(
    run: RunFolder,
    recipe: Recipe,
    method: Method,
    split: Split,
    rows: list[dict],
    predictions: Predictions,
    extras: dict,
) -> None:
    """The model, predictions, per-class table, and last of all `results.json`, with the extras among them."""
    views, results = recipe.family, predictions.results(split.classes.counts)
    rows[-1] |= {f"test_{name}": value for name, value in results["plain"]["ensemble"].items()}
    run.write_csv("metrics.csv", rows)
    run.write_tensors(LAST, method.inference_state())
    run.write_json(
        "model.json",
        {
            "method": recipe.method,
            "net": recipe.net,
            "precision": recipe.precision,
            "options": recipe.options,
            "classes": list(split.classes.names),
            "train_counts": list(split.classes.counts),
            "transform": transform(views),
        },
    )
    run.write_csv("per_class.csv", per_class(predictions, split))
    write_predictions(run, predictions)
    head = {"method": recipe.method, "data": recipe.data, "seed": recipe.seed, "epochs": recipe.epochs}
    run.write_json("results.json", head | results | extras)


def transform(views: Family) -> dict:
    """How an image becomes a network's input: shorter side to `resize`, centre of `size`, / 255, - mean, / std."""
    size, resize = [views.size] * 2, views.test.resize if views.test else views.size
    return {"size": size, "resize": resize, "mean": views.mean, "std": views.std, "views": views.name}


def per_class(predictions: Predictions, split: Split) -> list[dict]:
    """A row for each class: its name, counts, group, and accuracy in percent (empty where it has no test image)."""
    classes, labels = split.classes, predictions.labels
    voters = {"plain": predictions.plain.mean(0), "flip": predictions.flip.mean(0)}
    voters |= {f"expert_{k}": expert for k, expert in enumerate(predictions.plain)}
    accuracy = {name: class_accuracy(z.argmax(-1), labels, len(classes)).tolist() for name, z in voters.items()}
    tested = torch.bincount(labels, minlength=len(classes)).tolist()
    return [
        {
            "class": c,
            "name": classes.names[c],
            "train_images": classes.counts[c],
            "group": classes.groups[c],
            "test_images": tested[c],
            **{name: 100 * values[c] if tested[c] else None for name, values in accuracy.items()},
        }
        for c in range(len(classes))
    ]


def write_predictions(run: RunFolder, predictions: Predictions) -> None:
    """`predictions.parquet`: a row for each test image, the ensemble's and every expert's choice and confidence (no mirror)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ensemble, experts = predictions.plain.mean(0), predictions.plain  # the class by logits, whose softmax may tie
    table = pa.table(
        {
            "index": pa.array(range(len(predictions.labels)), pa.int32()),
            "label": pa.array(predictions.labels.tolist(), pa.int32()),
            "predicted": pa.array(ensemble.argmax(-1).tolist(), pa.int32()),
            "confidence": pa.array(ensemble.softmax(-1).amax(-1).tolist(), pa.float32()),
            "experts_predicted": pa.array(experts.argmax(-1).T.tolist(), pa.list_(pa.int32())),
            "experts_confidence": pa.array(experts.softmax(-1).amax(-1).T.tolist(), pa.list_(pa.float32())),
        }
    )
    with run.replacing("predictions.parquet") as temporary:
        pq.write_table(table, temporary)


def load_method(run: RunFolder, weights: str = LAST) -> tuple[Recipe, Method]:
    """The recipe and the trained method of a finished run, at the precision it was trained in.

    Raises LongtailError if it is not finished or does not fit.
    """
    if not run.has("results.json"):
        raise LongtailError(
            f"{run.path} has no model yet: it was not trained to the end; the same train command with --resume goes on"
        )
    if weights != LAST and not run.has(weights):
        raise LongtailError(
            f"{run.path} has no {weights}: an epoch is selected by --select, which this run was not asked for"
        )
    with run.as_written("recipe.json"):
        recipe = Recipe(**run.read_json("recipe.json"))
    with run.as_written("model.json"), torch.random.fork_rng(devices=[]):  # the fresh weights are thrown away
        method = recipe.change(weights=None).build(run.read_json("model.json")["train_counts"])
    state = run.read_tensors(weights)
    wanted = method.inference_state()
    if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in wanted.items()}:
        raise LongtailError(f"{run.path / weights} does not hold the weights of {recipe.method} on {recipe.net}")
    broken = [name for name, value in state.items() if not value.isfinite().all()]
    if broken:
        raise LongtailError(f"{run.path / weights} holds numbers that are not finite, in {broken[0]}")
    method.load_state_dict(state, strict=False)
    full_precision(recipe.precision != "tf32")
    return recipe, method.eval()
