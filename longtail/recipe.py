"""A recipe: everything that decides what a run computes, flat, checked and saved with the run."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import pairwise
from types import UnionType
from typing import Annotated, Literal, get_args, get_origin

from longtail.augment import Family, family
from longtail.data import SOURCES, Reading, Split, load_split, worker_count
from longtail.errors import LongtailError, unknown
from longtail.methods import Method, check_options, method_class, options_of
from longtail.metrics import METRICS
from longtail.nets import Net, trained_as


@dataclass(frozen=True)
class Recipe:
    """One run. Epochs and batches are the whole run's and the whole step's; learning rates follow the schedule in every stage."""

    data: Annotated[str, "name of the data set"]
    imbalance: Annotated[float | None, "images of the largest class over those of the smallest; none: as the data are"]
    net: Annotated[str, "name of the encoder, ours or timm's"]
    views: Annotated[str, "family of augmentations"]
    epochs: Annotated[int, "passes over the training images"]
    batch_size: Annotated[int, "images a step"]
    lr: Annotated[float, "learning rate at the start"]
    momentum: Annotated[float, "momentum of SGD"]
    nesterov: Annotated[bool, "Nesterov's form of it"]
    weight_decay: Annotated[float, "on every parameter"]
    eval_every: Annotated[int, "epochs between tests on the way; 0 tests the last epoch only"]
    method: Annotated[str, "name of the method"] = "ecl"
    seed: Annotated[int, "of weights, order and augmentation; never of the split"] = 0
    precision: Annotated[
        Literal["fp32", "tf32", "bf16"], "bf16: inside the encoders, all else in fp32; tf32: everywhere, on a GPU"
    ] = "fp32"
    schedule: Annotated[Literal["cosine", "steps"], "the learning rate falls along a cosine to 0, or in steps"] = (
        "cosine"
    )
    milestones: Annotated[tuple[float, ...], "steps: a tenth from these shares of the epochs on"] = (0.8, 0.9)
    warmup: Annotated[float, "share of the epochs in which the learning rate rises from 0"] = 0.0
    weights: Annotated[
        str | None, "what every encoder begins with: a file of weights, or timm for timm's own; none: random"
    ] = None
    val: Annotated[str | None, "list, table or folder of validation images, where DATA has none"] = None
    test: Annotated[str | None, "list, table or folder of test images, where DATA has none"] = None
    val_share: Annotated[float, "share of every class of the training images held out to validate on"] = 0.0
    test_share: Annotated[float, "share of every class held out to test on, where DATA has no test part"] = 0.0
    skip_bad: Annotated[bool, "leave unreadable images out, rather than stop before training"] = False
    select: Annotated[str | None, "also keep the epoch best in this number on the validation images"] = None
    accumulate: Annotated[int, "parts in which a batch is computed, to save memory; batch norm sees a part"] = 1
    options: Annotated[dict, "of the method; those not given are filled in"] = field(default_factory=dict)

    def __post_init__(self):
        if isinstance(self.milestones, list):  # as JSON has it
            object.__setattr__(self, "milestones", tuple(self.milestones))
        for entry in fields(self):
            _check_type(entry.name, getattr(self, entry.name), get_args(entry.type)[0])
        for name, (lowest, strict) in RANGES.items():
            value = getattr(self, name)
            if value is None:
                continue
            if value == float("inf"):
                raise LongtailError(f"{name} is inf; it must be finite")
            if value < lowest or (strict and value == lowest):
                bound = f"above {lowest}" if strict else f"at least {lowest}"
                raise LongtailError(f"{name} is {value}; it must be {bound}")
        if self.data not in SOURCES and not os.path.isabs(self.data):
            raise unknown("data", self.data, SOURCES)
        if self.select not in (None, *METRICS):
            raise unknown("metric to select by", self.select, METRICS)
        for name in ("val_share", "test_share"):
            if getattr(self, name) >= 1:
                raise LongtailError(f"{name} is {getattr(self, name)}; it must be below 1")
        method = method_class(self.method)
        check_options(self.method, method, self.options)
        resolved = {name: option.default for name, option in options_of(method).items()} | self.options
        object.__setattr__(self, "options", resolved)  # a default that changes later changes no run
        Net(self.net, size=family(self.views).size)
        if self.momentum >= 1:
            raise LongtailError(f"momentum is {self.momentum}; it must be below 1")
        if self.warmup >= 1:
            raise LongtailError(f"warmup is {self.warmup}; it is a share of the epochs, below 1")
        if not all(0 < a < b for a, b in pairwise((*self.milestones, 1))):
            raise LongtailError(
                f"milestones are {self.milestones}; they are rising shares of the epochs between 0 and 1"
            )
        if self.nesterov and self.momentum == 0:
            raise LongtailError("nesterov needs a momentum above 0")

    def change(self, **changes: object) -> "Recipe":
        """A copy with some fields changed, other names being options of the method; checked like any other."""
        own = {entry.name for entry in fields(self)}
        method = changes.get("method", self.method)
        known = own | options_of(method_class(method)).keys() if isinstance(method, str) else own
        for name in changes.keys() - known:
            raise unknown(f"field of the recipe or option of {method}", name, known - {"options"})
        flat = {name: value for name, value in changes.items() if name in own and name != "options"}
        options = {name: value for name, value in changes.items() if name not in own} | changes.get("options", {})
        kept = self.options if method == self.method else {}
        return replace(self, **flat, options={**kept, **options})

    @property
    def tail(self) -> str:
        """Its imbalance in words."""
        return "as the data are" if self.imbalance is None else f"imbalance {self.imbalance:g}"

    @property
    def family(self) -> Family:
        """Its views; pretrained weights bring the mean and deviation they were trained with (timm's configuration)."""
        found, known = family(self.views), trained_as(self.net)
        return replace(found, mean=known["mean"], std=known["std"]) if self.weights and known else found

    def load(self, root: str | None = None, workers: int | None = None) -> Split:
        """Its data set, decoded by so many processes if it stays in files; raises LongtailError for what is wrong with it."""
        worker_count(workers)
        views = family(self.views)
        size = None if views.test else views.size  # views of whole photographs need the files
        reading = Reading(size, self.val, self.test, self.val_share, self.test_share, self.skip_bad, workers)
        split = load_split(self.data, self.imbalance, root, reading)
        if len(split.classes) < 2:
            raise LongtailError(
                f"{self.data} has one class only, '{split.classes.names[0]}'; name the folder that holds the class folders"
            )
        return split

    def fitted(self, split: Split) -> "Recipe":
        """With a batch of a power of two, at most a quarter of a person's own training images, so that tiny sets have steps."""
        most = largest_batch(len(split.train))
        if self.data in SOURCES or self.batch_size <= most:
            return self
        split.notes.append(f"the batch of {self.batch_size} is cut to {most}, at most a quarter of the training images")
        return self.change(batch_size=most)

    def build(self, counts: Sequence[int]) -> Method:
        """The method, freshly initialised from torch's generator, for C classes with so many training images."""
        net = Net(self.net, self.precision == "bf16", family(self.views).size, self.weights)
        return method_class(self.method)(counts, net, **self.options)

    def asdict(self) -> dict:
        """As plain values, ready for JSON."""
        return asdict(self) | {"milestones": list(self.milestones)}


def largest_batch(images: int) -> int:
    """The largest power of two, which parts and processes share equally, within a quarter of so many images; at least 2."""
    return 2 ** (max(images // 4, 2).bit_length() - 1)


# lowest value, and whether it is itself excluded
RANGES = {
    "imbalance": (1, False),
    "epochs": (1, False),
    "batch_size": (2, False),  # batch norm needs two
    "lr": (0, True),
    "momentum": (0, False),
    "weight_decay": (0, False),
    "seed": (0, False),
    "accumulate": (1, False),
    "eval_every": (0, False),
    "warmup": (0, False),
    "val_share": (0, False),
    "test_share": (0, False),
}


def _check_type(name: str, value: object, kind: type) -> None:
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise unknown(name, str(value), get_args(kind))
        return
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            raise LongtailError(f"{name} is {value!r}; it takes several numbers")
        for one in value:
            _check_type(name, one, get_args(kind)[0])
        return
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    allowed = (*kinds, int) if float in kinds else kinds
    wrong = not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed) or value != value
    if wrong:
        raise LongtailError(f"{name} is {value!r}; it takes {'a number' if float in kinds else kinds[0].__name__}")
