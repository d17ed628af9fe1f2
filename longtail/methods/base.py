"""What a method is: how a batch becomes loss terms, and an image becomes logits."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import torch
from torch import Tensor, nn

from longtail.data import Batch, Split
from longtail.data.samplers import Sampler
from longtail.nets import Experts, Heads, Net


@dataclass(frozen=True)
class Stage:
    """A stage of training: its share of the epochs, a sampler for each batch of a step, what it trains, and its rates.

    `trains` names submodules (None: all). All others are frozen and in evaluation mode, but batch norm of those that
    `updates_batch_norm` names goes on following its batches. A sampler is a name of `data.samplers.SAMPLERS` or a
    callable. `lr` and `weight_decay` replace the recipe's, `lr_scale` multiplies the learning rate. A share of 0 is a
    post-hoc step only.
    """

    name: str
    share: float = 1.0
    samplers: tuple[str | Sampler, ...] = ("instance",)
    trains: tuple[str, ...] | None = None
    lr: float | None = None
    weight_decay: float | None = None
    updates_batch_norm: tuple[str, ...] = ()
    lr_scale: float = 1.0


class ParameterGroup(TypedDict, total=False):
    """A group of parameters with a learning rate and a weight decay of its own; what is left out is the stage's."""

    params: Iterable[nn.Parameter]  # required
    lr_scale: float  # multiplies the learning rate
    weight_decay: float  # replaces the weight decay


class Method(nn.Module):
    """The base of all methods; it knows nothing of devices, processes, checkpoints or loggers.

    Options are keyword arguments of `__init__`, each annotated as `Annotated[type, "help (source)", Range(...)]`.
    Under torchrun every process calls the method with the whole batch and the same random numbers, and `nets.Encoder`
    divides the work: images must reach a network through an `Encoder` only.
    """

    assumes: Literal["train", "uniform"] | None = None  # class prior under which the logits are log posteriors
    views: tuple[str, ...] = ("strong",)  # names of a batch's views
    test_time_views: tuple[str, ...] = ()  # names of the views of unlabelled test images that `adapt` asks for
    inference: tuple[str, ...] = ("encoders", "cls")  # submodules that logits need; a finished run keeps only these

    log_prior: Tensor

    def __init__(self, counts: Sequence[int]):
        super().__init__()
        self.counts, self.classes = tuple(counts), len(counts)
        prior = torch.tensor(counts, dtype=torch.float64).clamp_min(1)  # an unseen class keeps a finite prior
        self.register_buffer("log_prior", (prior / prior.sum()).log().float(), persistent=False)
        self.notes: list[str] = []  # printed when training begins
        self.stage = ""  # name of the current stage
        self._trainable: dict[str, nn.Parameter] | None = None

    def stages(self) -> list[Stage]:
        """Return the stages of training, in order."""
        return [Stage("train")]

    def begin_stage(self, stage: Stage, split: Split) -> None:
        """Prepare a stage; called before its first step, and before `post_hoc` of a stage of share 0.

        After a restart it is called again *before* the checkpoint is loaded, so that whatever later steps need of it
        must be part of the state.
        """
        self.stage = stage.name

    def begin_epoch(self, batches: Iterator[Batch]) -> None:
        """Prepare an epoch; called before its first step, in evaluation mode and without gradients.

        `batches` are all training images once, one view each without augmentation; they cost nothing unless read. The
        method may read values back, but must draw no random numbers, and must keep what it changes in its state.
        """

    def forward(self, *batches: Batch) -> dict[str, Tensor]:
        """Return the weighted loss terms, each (); training minimizes their sum. One batch for each sampler of the stage."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Finish an optimizer step; momentum copies and queues are updated here."""

    def post_hoc(self, stage: Stage, batches: Iterator[Batch]) -> None:
        """Carry out a stage of share 0, in evaluation mode and without gradients; `batches` are those of `begin_epoch`."""

    def parameter_groups(self, stage: Stage) -> list[ParameterGroup] | None:
        """Return groups of the stage's parameters with rates of their own, or None for one group of all of them."""
        return None

    def adapt(self, images: Callable[[int], Iterator[list[Tensor]]]) -> dict:
        """Learn from the unlabelled test images, or measure on them; called once if `test_time_views` is not empty.

        `images(epoch)` yields batches of all test images, each a list of the views (N, 3, H, W) that `test_time_views`
        names, "plain" being no augmentation. The method is in evaluation mode. What it learns must be part of the
        inference state; `results.json` keeps the returned plain values under "test_time".
        """
        return {}

    def features(self, x: Tensor) -> Tensor:
        """Compute features: (N, 3, H, W) -> (N, d) or (K, N, d)."""
        raise NotImplementedError

    def logits(self, x: Tensor) -> Tensor:
        """Compute logits: (N, 3, H, W) -> (N, C) or (K, N, C); the ensemble is the mean over experts."""
        raise NotImplementedError

    def assumed_log_prior(self) -> Tensor | None:
        """Return the log prior (C,) that the logits assume, up to a constant; None where the loss leaves it open."""
        if self.assumes is None:
            return None
        return self.log_prior if self.assumes == "train" else torch.zeros_like(self.log_prior)

    def enter(self, stage: Stage) -> list[nn.Parameter]:
        """Freeze what a stage does not train, set the modes, and return the trained parameters."""
        if self._trainable is None:  # a momentum copy never is, in any stage
            self._trainable = {name: p for name, p in self.named_parameters() if p.requires_grad}
        prefixes = None if stage.trains is None else tuple(f"{name}." for name in stage.trains)
        for name, parameter in self._trainable.items():
            parameter.requires_grad_(prefixes is None or name.startswith(prefixes))
        self.set_train_mode(stage)
        return [parameter for parameter in self._trainable.values() if parameter.requires_grad]

    def set_train_mode(self, stage: Stage) -> None:
        """Put into training mode what a stage trains, or whose batch norm it updates; the rest computes as when tested."""
        self.train(stage.trains is None)
        for name in (stage.trains or ()) + stage.updates_batch_norm:
            self.get_submodule(name).train()

    def clip_queue_length(self, length: int) -> int:
        """Return the length of a queue, at most the number of training images so that none is in it twice."""
        images = sum(self.counts)
        if length > images:
            self.notes.append(f"the queue of {length} keys is cut to the {images} training images")
        return min(length, images)

    def inference_state(self) -> dict[str, Tensor]:
        """Return the part of the state that logits need."""
        prefixes = tuple(f"{name}." for name in self.inference)
        return {name: value for name, value in self.state_dict().items() if name.startswith(prefixes)}


class Classifier(Method):
    """K separate networks, each with a head (linear by default): (N, 3, H, W) -> (K, N, C)."""

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: int = 1,
        heads: Callable[[int, int, int], nn.Module] = Heads,
    ):
        super().__init__(counts)
        self.encoders = Experts(net.encoder, experts)
        self.cls = heads(experts, net.feature_dim, self.classes)

    def features(self, x: Tensor) -> Tensor:
        return self.encoders(x)

    def logits(self, x: Tensor) -> Tensor:
        return self.cls(self.encoders(x))


class BranchedClassifier(Classifier):
    """K networks that share all but their last two stages, or their last block, each with a head: -> (K, N, C)."""

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: int,
        unshared: Literal["two stages", "last block"],
        slim: bool = False,
        heads: Callable[[int, int, int], nn.Module] = Heads,
    ):
        Method.__init__(self, counts)
        self.encoders = net.branched(experts, unshared, slim)
        self.cls = heads(experts, self.encoders.body.feature_dim, self.classes)
