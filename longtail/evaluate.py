"""From a model to predictions: batches of images, logits and features, flip TTA, and metrics on a subset."""

from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import normalize

from longtail.augment import Compose, TransformSet, hflip
from longtail.data import Batch, FeatureSet, LazyImages, Split, TensorImages, iterate_pixels
from longtail.data.features import RandomLook
from longtail.data.five_crop import CROPS, iterate_file_crops, iterate_pixel_crops
from longtail.data.seeding import derive_seed
from longtail.distributed import SINGLE_PROCESS, World
from longtail.methods import Method
from longtail.metrics import summarize
from longtail.nets import CosineHeads, fused_conv_bn
from longtail.recipe import Recipe
from longtail.runs.results import Predictions

CPU_BATCH, GPU_BATCH = 128, 1000  # on a CPU what stays in its cache
LARGE_SIDE = 64  # pixels; larger images take a quarter of the batch
ADAPT_BATCH = (
    128  # test images that `adapt` sees at once, on every device: it may learn from them (SADE, authors' code)
)

ImageSource = TensorImages | LazyImages | FeatureSet


def choose_batch_size(images: Tensor | ImageSource, transform_set: TransformSet, device: torch.device) -> int:
    """Return the number of images that are evaluated at once."""
    size = GPU_BATCH if device.type == "cuda" else CPU_BATCH
    is_small = isinstance(images, FeatureSet) or transform_set.size <= LARGE_SIDE
    return size if is_small else size // 4


def iterate_inputs(
    images: Tensor | ImageSource, transform_set: TransformSet, n: int, flip: bool = False
) -> Iterator[Tensor]:
    """Yield the images n at a time as they are evaluated, mirrored with `flip`: (n, 3, H, W) uint8, or features (n, d).

    Files are decoded on the way.
    """
    if isinstance(images, FeatureSet):
        yield from images.features[:, 1 if flip else 0].split(n)
        return
    if isinstance(images, LazyImages):
        batches = iterate_pixels(images, transform_set, n)
    else:
        batches = iter((images.images if isinstance(images, TensorImages) else images).split(n))
    for pixels in batches:
        yield hflip(pixels) if flip else pixels


def iterate_crops(images: Tensor | ImageSource, transform_set: TransformSet, n: int) -> Iterator[Tensor]:
    """Yield five crops of every image, those of about n / 5 images at a time: (m, 3, H, W) uint8."""
    if isinstance(images, LazyImages):
        return iterate_file_crops(images, transform_set, max(n // CROPS, 1))
    assert isinstance(images, TensorImages)  # features have no pixels
    return iterate_pixel_crops(images.images, max(n // CROPS, 1))


def iterate_batches(images: ImageSource, transform_set: TransformSet, device: torch.device) -> Iterator[Batch]:
    """Yield all images once as normalized batches, in order and without augmentation."""
    normalize, start = transform_set.build_normalize(device), 0
    for pixels in iterate_inputs(images, transform_set, choose_batch_size(images, transform_set, device)):
        rows = torch.arange(start, start := start + len(pixels))
        y, progress = images.labels[rows].to(device), torch.ones((), device=device)
        yield Batch([normalize(pixels.to(device))], y, rows.to(device), progress)


@torch.no_grad()
def compute_outputs(
    method: Method,
    compute: Callable[[Tensor], Tensor],
    images: Tensor | ImageSource,
    transform_set: TransformSet,
    flip: bool = False,
    five_crop: bool = False,
) -> Tensor:
    """Apply `compute` to all images in evaluation mode, mirrored with `flip`; a frozen trunk sees pixels first.

    (N, 3, H, W) uint8, or features (N, d) -> (K, N, ...) float32 on the CPU; a single network has K = 1. With `five_crop`
    each image has five rows in place of one.
    """
    was_training, device = method.training, method.log_prior.device
    to_input, n = transform_set.build_normalize(device), choose_batch_size(images, transform_set, device)
    is_cropped = five_crop and len(images) > 0
    inputs = iterate_crops(images, transform_set, n) if is_cropped else iterate_inputs(images, transform_set, n, flip)
    method.eval()
    outputs = []
    with fused_conv_bn(*(getattr(method, name) for name in method.inference), *filter(None, [method.trunk])):
        for pixels in inputs:
            x = pixels.to(device)
            if not len(x):  # some networks (timm's ViT) take no empty batch: show a black image and drop its row
                x = x.new_zeros(1, *x.shape[1:])
            rows = compute(method.embed(to_input(x))).float().cpu()
            outputs.append(rows[..., : len(pixels), :])
    method.train(was_training)
    stacked = torch.cat(outputs, dim=-2)
    return stacked if stacked.dim() == 3 else stacked.unsqueeze(0)


def compute_logits(
    method: Method, images: Tensor | ImageSource, transform_set: TransformSet, flip: bool = False
) -> Tensor:
    """Compute the logits of all images: (N, 3, H, W) uint8 -> (K, N, C)."""
    return compute_outputs(method, method.logits, images, transform_set, flip)


def compute_five_crop_logits(method: Method, images: ImageSource, transform_set: TransformSet, world: World) -> Tensor:
    """Compute the mean logits of five crops of every image, each rank its shard (Shi et al. 2024): -> (K, N, C)."""
    shard = take_shard(images, world)
    logits = compute_outputs(method, method.logits, shard, transform_set, five_crop=True)
    return world.all_gather(logits.unflatten(1, (-1, CROPS)).mean(2), dim=1, n=len(images))


def compute_features(method: Method, images: Tensor | ImageSource, transform_set: TransformSet) -> Tensor:
    """Compute the features of all images: (N, 3, H, W) uint8 -> (K, N, d)."""
    return compute_outputs(method, method.features, images, transform_set)


def begin_with_class_means(method: Method, images: ImageSource, transform_set: TransformSet, world: World) -> None:
    """Set cosine heads to the mean features of the classes, in place (Shi et al. 2024); each rank computes its shard.

    Pretrained experts are equal, and equal heads would keep them so: from the second on, images have random weights in the
    means (Bayesian bootstrap, seeded by the expert). A reference head begins like the head that it is compared with. A
    class without images keeps its random weights.
    """
    found = compute_features(method, take_shard(images, world), transform_set)
    v = world.all_gather(found, dim=1, n=len(images))
    for k in range(1, len(v)):
        v[k] *= torch.empty(len(images), 1).exponential_(generator=torch.Generator().manual_seed(k))
    sums = v.new_zeros(len(v), method.classes, v.shape[-1]).index_add_(1, images.labels, v)
    there = images.labels.unique()
    with torch.no_grad():
        for name, heads in method.named_children():
            if name in ("cls", "ref") and isinstance(heads, CosineHeads):
                heads.weight[:, there] = normalize(sums[:, there], dim=-1).to(heads.weight)


def take_shard(images: ImageSource, world: World) -> ImageSource:
    """Return this rank's share of the images."""
    return images if world.size == 1 else images.take(range(len(images))[world.shard(len(images))])


def read_inputs(images: ImageSource, rows: Sequence[int], transform_set: TransformSet) -> Tensor:
    """Read some images as they are evaluated: (n, 3, H, W) uint8, or features (n, d)."""
    n = choose_batch_size(images, transform_set, torch.device("cpu"))
    return torch.cat(list(iterate_inputs(images.take(rows), transform_set, n)))


def compute_logits_sharded(
    method: Method, images: ImageSource, transform_set: TransformSet, world: World, flip: bool = False
) -> Tensor:
    """Compute the logits of all images, each rank its shard; every rank returns all of them, (K, N, C)."""
    logits = compute_logits(method, take_shard(images, world), transform_set, flip)
    return world.all_gather(logits, dim=1, n=len(images))


def predict_subset(
    method: Method,
    images: ImageSource,
    transform_set: TransformSet,
    world: World = SINGLE_PROCESS,
    five_crop: bool = False,
) -> Predictions:
    """Compute the logits of a subset, without and with flip TTA and, with `five_crop`, the mean of five crops."""
    plain = compute_logits_sharded(method, images, transform_set, world)
    flip = (plain + compute_logits_sharded(method, images, transform_set, world, flip=True)) / 2
    crops = compute_five_crop_logits(method, images, transform_set, world) if five_crop else None
    return Predictions(plain, flip, images.labels, crops)


def adapt_to_test_images(method: Method, images: ImageSource, transform_set: TransformSet, seed: int) -> dict:
    """Let a method learn from the unlabelled test images, or measure on them; returns what `Method.adapt` does."""
    device = method.log_prior.device
    normalize = transform_set.build_normalize(device)
    views: list[Compose | RandomLook]
    if isinstance(images, FeatureSet):
        views = [RandomLook(1 if name == "plain" else images.looks) for name in method.test_time_views]
    else:
        makers = transform_set.transforms
        views = [Compose() if name == "plain" else cast("Compose", makers[name]) for name in method.test_time_views]

    def batches(epoch: int) -> Iterator[list[Tensor]]:
        generator = torch.Generator().manual_seed(derive_seed(seed, 3, epoch))
        shuffled = images.take(torch.randperm(len(images), generator=generator).numpy())
        inputs = (
            iter(shuffled.features.split(ADAPT_BATCH))
            if isinstance(shuffled, FeatureSet)
            else iterate_inputs(shuffled, transform_set, ADAPT_BATCH)
        )
        for pixels in inputs:
            yield [normalize(view(pixels.to(device), generator)) for view in views]

    return method.eval().adapt(batches)


def evaluate_subset(
    method: Method, split: Split, recipe: Recipe, name: str = "test", world: World = SINGLE_PROCESS
) -> dict[str, float | None]:
    """Compute the ensemble's seven metrics on the subset `name`, as {"test_top1": percent, ...}.

    The test subset serves for curves only; "val" is the only subset that may choose anything.
    """
    images = split.subsets[name]
    logits = compute_logits_sharded(method, images, recipe.transform_set, world)
    metrics = summarize(logits.mean(0), images.labels, split.classes.counts)
    return {f"{name}_{metric}": value for metric, value in metrics.items()}
