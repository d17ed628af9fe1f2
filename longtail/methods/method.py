"""What a method is: how a batch becomes loss terms, and an image becomes logits."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import torch
from torch import Tensor, nn

from longtail.data import Batch, Split
from longtail.errors import LongtailError, unknown
from longtail.nets import Experts, Heads, Net


@dataclass(frozen=True)
class Stage:
    """A part of training: its share of the epochs, a sampler for each batch of a step, what is trained, its own recipe.

    `trains` names submodules (None: everything); the others compute as they do when tested, but batch norm of those that
    `adapts` names goes on following its batches. `lr` and `weight_decay` replace the recipe's. A share of 0 is a post-hoc
    step only.
    """

    name: str
    share: float = 1.0
    samplers: tuple[str, ...] = ("instance",)
    trains: tuple[str, ...] | None = None
    lr: float | None = None
    weight_decay: float | None = None
    adapts: tuple[str, ...] = ()


class Method(nn.Module):
    """Base of all methods; it knows nothing of devices, processes, checkpoints or loggers.

    Of many processes each gives it the whole batch and the same draws of torch's generator, and its encoders share the work:
    let images reach the network through `nets.Encoder` alone.

    `assumes` is the class prior under which the logits are posteriors, None where the loss leaves that open.
    Options are typed keyword arguments of `__init__`, each annotated with one line of help and its source. `views` names the
    views of a batch, `sees` those of the unlabelled test images that `adapt` asks for, `inference` the submodules that logits
    need (all that a finished model keeps), `notes` what the run should tell its user; `stage` is the name of the stage under
    way, empty before the first.
    """

    assumes: Literal["train", "uniform"] | None = None
    views: tuple[str, ...] = ("strong",)
    sees: tuple[str, ...] = ()
    inference: tuple[str, ...] = ("encoders", "cls")

    def __init__(self, counts: Sequence[int]):
        super().__init__()
        self.counts, self.classes = tuple(counts), len(counts)
        prior = torch.tensor(counts, dtype=torch.float64).clamp_min(1)  # an unseen class keeps a finite prior
        self.register_buffer("log_prior", (prior / prior.sum()).log().float(), persistent=False)
        self.notes: list[str] = []
        self.stage = ""

    def stages(self) -> list[Stage]:
        """The parts of training, in order."""
        return [Stage("train")]

    def begin_stage(self, stage: Stage, split: Split) -> None:
        """Called before the first step of a stage, whose name it notes, and before `post_hoc` of a stage of share 0.

        After a checkpoint it is called again before the state is loaded: what later steps need of it belongs in the state.
        """
        self.stage = stage.name

    def post_hoc(self, stage: Stage, batches: Iterator[Batch]) -> None:
        """The whole of a stage of share 0, in evaluation mode and without gradients.

        The batches are all training images once, one view each, as a test image is seen; they cost nothing unless read.
        """

    def forward(self, *batches: Batch) -> dict[str, Tensor]:
        """Weighted loss terms, each (); training minimises their sum. One batch for each sampler of the stage."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Called after every optimiser step; momentum copies follow here."""

    def adapt(self, images: Callable[[int], Iterator[list[Tensor]]]) -> dict:
        """Called once before the results if `sees` names views: learn from the test images, or measure on them, label-free.

        `images(epoch)` goes through all of them in batches: a list of the views (N, 3, H, W) that `sees` names, "plain"
        being no augmentation. The method is in evaluation mode. What is learnt belongs in the inference state; what is
        returned, plain values, is kept in `results.json` under "test_time".
        """
        return {}

    def features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, d) or (K, N, d)."""
        raise NotImplementedError

    def logits(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, C) or (K, N, C); the ensemble is the mean over experts."""
        raise NotImplementedError

    def log_assumed(self) -> Tensor | None:
        """Log prior (C,) that the logits assume, up to a constant; None where that is open."""
        return {"train": self.log_prior, "uniform": torch.zeros_like(self.log_prior), None: None}[self.assumes]

    def queue_length(self, asked: int) -> int:
        """Keys that a queue holds: as many as asked, but no image twice; says so in `notes` where that cuts it."""
        images = sum(self.counts)
        if asked > images:
            self.notes.append(f"the queue of {asked} keys is cut to the {images} training images")
        return min(asked, images)

    def inference_state(self) -> dict[str, Tensor]:
        """The part of the state that logits need."""
        prefixes = tuple(f"{name}." for name in self.inference)
        return {name: value for name, value in self.state_dict().items() if name.startswith(prefixes)}


class Classifier(Method):
    """K separate networks with a head each, linear unless told; (K, N, C) logits."""

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: int = 1,
        heads: Callable[[int, int, int], nn.Module] = Heads,
    ):
        super().__init__(counts)
        self.encoders = Experts(net.encoder, experts)
        self.cls = heads(experts, net.width, self.classes)

    def features(self, x: Tensor) -> Tensor:
        return self.encoders(x)

    def logits(self, x: Tensor) -> Tensor:
        return self.cls(self.encoders(x))


class Branches(Classifier):
    """K networks that share all but their last two stages, or their last block, with a head each; (K, N, C) logits."""

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: int,
        own: Literal["two stages", "last block"],
        slim: bool = False,
        heads: Callable[[int, int, int], nn.Module] = Heads,
    ):
        Method.__init__(self, counts)
        self.encoders = net.branched(experts, own, slim)
        self.cls = heads(experts, self.encoders.body.width, self.classes)


@dataclass(frozen=True)
class Range:
    """Values that an option may take, both ends included; the third part of its annotation."""

    low: float
    high: float = float("inf")


ExpertCount = Annotated[int, "K, independent networks", Range(1)]
HeadShare = Annotated[float, "share of the epochs for the second stage", Range(0.01, 0.99)]


@dataclass(frozen=True)
class Option:
    """An option of a method: its name, type, default, one line of help with its source, and its range."""

    name: str
    type: type
    default: object
    help: str
    range: Range = Range(float("-inf"))


def options_of(method: type[Method]) -> dict[str, Option]:
    """The options in the order of the method's signature."""
    signature = inspect.signature(method.__init__, eval_str=True)
    found = [p for p in signature.parameters.values() if p.name not in ("self", "counts", "net")]
    return {p.name: _option(p) for p in found}


def _option(parameter: inspect.Parameter) -> Option:
    kind, help_line, *limits = get_args(parameter.annotation)
    return Option(parameter.name, kind, parameter.default, help_line, *limits)


def check_options(name: str, method: type[Method], options: dict) -> None:
    """Raise LongtailError for an option that the method has not, or a value of another type or out of range."""
    known = options_of(method)
    for option, value in options.items():
        if option not in known:
            raise unknown(f"option of {name}", option, known)
        kind, limits = known[option].type, known[option].range
        choices = get_args(kind)
        if not (value in choices if choices else _is_a(value, kind)):
            wanted = " or ".join(map(str, choices)) if choices else kind.__name__
            raise LongtailError(f"option {option} of {name} is {value!r}; it takes {wanted}")
        if not choices and not limits.low <= value <= limits.high:
            bound = f"at least {limits.low}" if value < limits.low else f"at most {limits.high}"
            raise LongtailError(f"option {option} of {name} is {value}; it must be {bound}")


def _is_a(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and value == value
    return type(value) is kind
