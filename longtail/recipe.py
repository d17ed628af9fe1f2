"""A recipe: all settings that determine the result of a run, flat, checked and saved with the run.

This module loads no torch, so that help, completion and errors of typing are fast: methods that need it import it.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from longtail.conflicts import check_conflicts
from longtail.data.catalog import CUT_SETS, SOURCES
from longtail.errors import LongtailError, unknown_name
from longtail.hub import is_hub_name
from longtail.methods import check_options, get_method_class, get_options
from longtail.metrics.names import METRICS
from longtail.validation import Range, check_pattern, check_value

if TYPE_CHECKING:
    from longtail.augment import TransformSet
    from longtail.data import Split
    from longtail.methods import Method
    from longtail.nets import Net, PretrainedWeights

SHARE = Range(0, 1, open_high=True)
CUT_VIEWS = ("cifar", "digits")  # views of the sizes that sets in memory have
WEIGHTS_WORDS = ("auto", "timm", "none")  # values of `weights` beside hf:owner/name and paths


@dataclass(frozen=True)
class Recipe:
    """One run. `epochs` counts all stages, `batch_size` all processes and micro-batches; every stage restarts the schedule.

    A field is annotated with its type, one line of help and, for numbers, its range. Raises LongtailError for values of
    a wrong type or out of range, and for unknown names.
    """

    data: Annotated[str, "name of the data set"]
    imbalance: Annotated[
        float | None, "images of the largest class over those of the smallest; none: as the data are", Range(1)
    ]
    net: Annotated[str, "name of the encoder, ours or timm's"]
    views: Annotated[str, "name of the transform set that makes the views"]
    epochs: Annotated[int, "passes over the training images", Range(1)]
    batch_size: Annotated[int, "images a step", Range(2)]  # batch norm needs two
    lr: Annotated[float, "learning rate at the start", Range(0, 1e30, open_low=True)]
    momentum: Annotated[float, "momentum of SGD; beta 1 of AdamW", SHARE]
    nesterov: Annotated[bool, "Nesterov's form of SGD"]
    weight_decay: Annotated[float, "weight decay of every parameter", Range(0)]
    eval_every: Annotated[int, "epochs between tests on the way; 0 tests the last epoch only", Range(0)]
    method: Annotated[str, "name of the method"] = "ecl"
    seed: Annotated[int, "seed of weights, order and augmentation; never of the split", Range(0)] = 0
    precision: Annotated[
        Literal["fp32", "tf32", "bf16"], "bf16: inside the encoders, all else in fp32; tf32: everywhere, on a GPU"
    ] = "fp32"
    optimizer: Annotated[Literal["sgd", "adamw"], "optimizer"] = "sgd"
    schedule: Annotated[Literal["cosine", "steps"], "the learning rate falls along a cosine to 0, or in steps"] = (
        "cosine"
    )
    milestones: Annotated[tuple[float, ...], "steps: a tenth from these shares of the epochs on"] = (0.8, 0.9)
    warmup: Annotated[float, "share of the epochs in which the learning rate rises from 0", SHARE] = 0.0
    weights: Annotated[
        str | None,
        "initial weights of every encoder: auto, timm, hf:owner/name[@rev][/file], a folder of the hub or a file; "
        "none: random",
    ] = None
    val: Annotated[str | None, "list, table or folder of validation images (or hf:owner/name), where DATA has none"] = (
        None
    )
    test: Annotated[str | None, "list, table or folder of test images (or hf:owner/name), where DATA has none"] = None
    val_share: Annotated[float, "share of every class of the training images held out to validate on", SHARE] = 0.0
    test_share: Annotated[float, "share of every class held out to test on, where DATA has no test split", SHARE] = 0.0
    group: Annotated[
        str | None, "regex over paths that names tracks or sites, which no split divides; column; none"
    ] = None
    fit: Annotated[
        Literal["cut", "pad", "squeeze"], "photographs as squares: the center cut out, padded, or both sides resized"
    ] = "cut"
    skip_bad: Annotated[bool, "leave unreadable images out, rather than stop before training"] = False
    select: Annotated[str | None, "also keep the epoch best in this metric on the validation images"] = None
    accumulate: Annotated[
        int,
        "micro-batches in which a batch is computed, to save memory; batch norm and moving means see one at a time",
        Range(1),
    ] = 1
    frozen: Annotated[
        bool, "train on features that the encoder with its --weights computes once; the encoder is never trained"
    ] = False
    frozen_views: Annotated[
        int, "looks at a training image: 1 plain, 2 with its mirror image, more with random crops", Range(1, 64)
    ] = 2
    neck: Annotated[int, "width of each network's trainable layer on frozen features; 0: none", Range(0, 16384)] = 0
    tune: Annotated[
        Literal["heads", "norm", "bias", "adaptformer", "lora", "all"] | None,
        "what trains beside the heads of a pretrained network of timm: nothing, its norm layers, its biases, small layers "
        "of AdaptFormer or LoRA in each block, or all of it",
    ] = None
    encoder_lr: Annotated[
        float, "factor of the learning rate for encoders; heads have the rate itself", Range(0, open_low=True)
    ] = 1.0
    class_means: Annotated[bool, "begin cosine heads with the mean features of the classes"] = False
    five_crop: Annotated[bool, "also test the mean logits of five crops of every image (TTE)"] = False
    options: Annotated[dict, "of the method; those not given are filled in"] = field(default_factory=dict)

    def __post_init__(self):
        if isinstance(self.milestones, list):  # as JSON has it
            object.__setattr__(self, "milestones", tuple(self.milestones))
        if isinstance(self.views, str) and self.views.startswith("own-"):  # as version 0.1 named them
            object.__setattr__(self, "views", self.views.replace("own-", "custom-", 1))
        for name in ("weights", "group"):
            if getattr(self, name) == "none":
                object.__setattr__(self, name, None)
        check_fields({entry.name: getattr(self, entry.name) for entry in fields(self)})
        if self.data not in SOURCES and not is_hub_name(self.data) and not os.path.isabs(self.data):
            raise unknown_name("data", self.data, SOURCES)
        options = get_options(self.method)
        check_options(self.method, options, self.options)
        resolved = {name: option.default for name, option in options.items()} | self.options
        object.__setattr__(self, "options", resolved)  # so that a default that changes later changes no run
        check_conflicts(self)
        self._check_network()

    def _check_network(self) -> None:
        """Raise LongtailError for an unknown network or transform set, or a size or tuning that the network does not take."""
        from longtail.augment import get_transform_set
        from longtail.nets import Net

        Net(self.net, size=get_transform_set(self.views).size, tune=self.tune)

    def change(self, **changes: Any) -> "Recipe":
        """Return a checked copy with some fields changed; names that are no fields are options of the method."""
        own, method = describe_fields().keys(), changes.get("method", self.method)
        check_names(method, changes)
        flat = {name: value for name, value in changes.items() if name in own and name != "options"}
        options = {name: value for name, value in changes.items() if name not in own} | changes.get("options", {})
        kept = self.options if method == self.method else {}
        return replace(self, **flat, options={**kept, **options})

    @property
    def imbalance_text(self) -> str:
        """Return the imbalance in words."""
        return "as the data are" if self.imbalance is None else f"imbalance {self.imbalance:g}"

    @property
    def transform_set(self) -> "TransformSet":
        """Return the transform set, with the mean and deviation of the images that pretrained weights expect.

        Raises LongtailError if the folder of the weights is no longer there; a finished run has `FinishedRun.transform_set`.
        """
        from longtail.augment import get_transform_set
        from longtail.nets import find_input_config

        found, config = replace(get_transform_set(self.views), fit=self.fit), find_input_config(self.net, self.weights)
        return replace(found, mean=config["mean"], std=config["std"]) if config else found

    def find_weights(self) -> "PretrainedWeights | None":
        """Find the pretrained weights, cached in the process; None without. Raises LongtailError if they cannot be had."""
        from longtail.nets import find_weights

        return find_weights(self.net, self.weights) if self.weights else None

    def load_split(
        self, root: str | None = None, workers: int | None = None, verify: bool = True, commits: dict | None = None
    ) -> "Split":
        """Load the data set, in files decoded by `workers` processes where it stays in files.

        Images of a frozen run stay in files, and so do those of a set in memory that a tuned network takes at another
        size. Raises LongtailError for whatever is wrong with the data. Without `verify`, no image of files is read: the
        caller checks them. `commits` are those of data sets of the hub, by their name, where a run has read them before.
        """
        from longtail.augment import get_transform_set
        from longtail.data import ReadOptions, count_workers, leave_in_files, load_split
        from longtail.data.holdout import DEFAULT_TEST_SHARE

        count_workers(workers)
        found = get_transform_set(self.views)
        is_resized = self.frozen or (self.tune is not None and self.data in CUT_SETS and self.views not in CUT_VIEWS)
        # views that are cut from whole photographs need the files
        size = None if found.eval_transform or is_resized else found.size
        held = self.val, self.test, self.val_share, self.test_share
        options = ReadOptions(size, *held, self.skip_bad, workers, verify, self.group, self.fit, DEFAULT_TEST_SHARE)
        options = replace(options, commits=commits or {})
        split = load_split(self.data, self.imbalance, root, options)
        split = leave_in_files(split, workers) if is_resized else split
        if len(split.classes) < 2:
            raise LongtailError(
                f"{self.data} has one class only, '{split.classes.names[0]}'; name the folder that holds the class folders"
            )
        return split

    def fit_batch_size(self, split: "Split") -> "Recipe":
        """Return the recipe with a batch of at most a quarter of custom training images, so that tiny sets have steps."""
        most = largest_batch_size(len(split.train))
        if self.data in SOURCES or self.batch_size <= most:
            return self
        split.notes.append(f"the batch of {self.batch_size} is cut to {most}, at most a quarter of the training images")
        return self.change(batch_size=most)

    def build_method(self, counts: Sequence[int], weights: str | None = None) -> "Method":
        """Build the method, initialized from torch's generator, for classes with `counts` training images.

        `weights` replace those of the recipe: "none" for a method that is loaded anyway.
        """
        build: Callable[..., Method] = get_method_class(self.method)  # every method takes counts, net and its options
        return build(counts, self.build_net(len(counts), weights), **self.options)

    def build_net(self, classes: int = 2, weights: str | None = None) -> "Net":
        """Return the recipe of an expert's network for a number of classes: a whole encoder, or a neck on a frozen one."""
        from longtail.augment import get_transform_set
        from longtail.nets import FrozenNet, Net

        values = self.net, self.precision == "bf16", get_transform_set(self.views).size, weights or self.weights
        return FrozenNet(*values, neck=self.neck) if self.frozen else Net(*values, self.tune, classes)

    def asdict(self) -> dict:
        """Return the fields as plain values, ready for JSON."""
        return asdict(self) | {"milestones": list(self.milestones)}


def describe_fields() -> dict[str, tuple]:
    """Return type, help and, for numbers, range of each field of a recipe, by its name."""
    return {entry.name: get_args(entry.type) for entry in fields(Recipe)}


def check_fields(values: dict[str, Any]) -> None:
    """Raise LongtailError for a field of a wrong type or out of range; fields that are left out are not checked."""
    for name, (kind, _, *limits) in describe_fields().items():
        if name in values:
            check_value(name, values[name], kind, *limits)
    if values.get("group"):
        check_pattern("group", values["group"])
    if values.get("select") not in (None, *METRICS):
        raise unknown_name("metric to select by", values["select"], METRICS)


def is_weights_path(weights: str) -> bool:
    """Return whether the weights of a recipe are a path, and no word or name of the hub."""
    return weights not in WEIGHTS_WORDS and not is_hub_name(weights)


def check_names(method: str, values: dict[str, Any]) -> None:
    """Raise LongtailError for a name that is neither a field of the recipe nor an option of the method."""
    known = describe_fields().keys() | get_options(method).keys()
    for name in values.keys() - known:
        raise unknown_name(f"field of the recipe or option of {method}", name, known - {"options"})


def largest_batch_size(images: int) -> int:
    """Return the largest power of two, which processes divide equally, within a quarter of `images`; at least 2."""
    return 2 ** (max(images // 4, 2).bit_length() - 1)
