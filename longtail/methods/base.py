"""The base class of methods: a batch becomes loss terms, an image becomes logits."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, cast

import torch
from torch import Tensor, nn

from longtail.data import Batch, Split
from longtail.data.samplers import Sampler
from longtail.losses import one_hot
from longtail.nets import Encoder, Experts, Heads, Net
from longtail.nets.branched import Branched, Unshared


@dataclass(frozen=True)
class Stage:
    """A stage of training: its share of the epochs, a sampler for each batch of a step, trained submodules, and rates.

    `trains` names submodules (None: all). All others are frozen and in evaluation mode, except that batch norm of the
    submodules in `updates_batch_norm` goes on following the batches. A sampler is a key of `data.samplers.SAMPLERS` or a
    callable. `lr` and `weight_decay` replace the recipe's; `lr_scale` multiplies the learning rate. A stage with share 0
    is a post-hoc step without epochs.
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
    """Parameters that share a learning rate and a weight decay; a missing key takes the stage's value."""

    params: Iterable[nn.Parameter]  # required
    lr_scale: float  # multiplies the learning rate
    weight_decay: float  # replaces the weight decay


class Method(nn.Module):
    """The base of all methods; it knows nothing of devices, processes, checkpoints or loggers.

    Options are keyword arguments of `__init__`, each annotated as `Annotated[type, "help (source)", Range(...)]`.
    Under torchrun every process calls the method with the whole batch and the same random numbers. `nets.Encoder`
    divides the work, so images must reach a network through an `Encoder` only. A gradient with respect to images is then
    right for a process's own rows, and `nets.complete_rows` puts images made with it together. A network that teaches a
    later stage is kept in a `nets.Teacher`, which takes the trained modules in `begin_stage`.
    """

    assumes: Literal["train", "uniform"] | None = None  # class prior under which the logits are log posteriors
    views: tuple[str, ...] = ("strong",)  # names of the views of a batch, keys of `TransformSet.transforms`
    trains_on_features: bool = True  # whether views may be features (N, d) of a frozen encoder instead of images
    test_time_views: tuple[str, ...] = ()  # names of the views of unlabeled test images that `adapt` asks for
    inference: tuple[str, ...] = ("encoders", "cls")  # submodules that logits need; a finished run keeps only these
    begins_anew: bool = False  # whether a later stage trains new networks and heads, the ones that are tested
    teacher_run: str | None = (
        None  # path of the finished run whose ensemble `take_teacher` is given; None: there is none
    )

    log_prior: Tensor

    def __init__(self, counts: Sequence[int]):
        super().__init__()
        self.counts, self.classes = tuple(counts), len(counts)
        # a class without training images counts as one image, so that its log prior is finite
        prior = torch.tensor(counts, dtype=torch.float64).clamp_min(1)
        self.register_buffer("log_prior", (prior / prior.sum()).log().float(), persistent=False)
        self.notes: list[str] = []  # printed when training begins
        self.stage = ""  # name of the current stage
        self.trunk: nn.Module | None = None  # the frozen encoder of a method that was trained on features
        self._trainable: dict[str, nn.Parameter] | None = None

    def take_teacher(self, network: nn.Module) -> None:
        """Keep the ensemble of `teacher_run`, balanced logits of images or features (N, ...) -> (N, C).

        Called once, before the first stage. A method that asks for a teacher keeps it in a `nets.Teacher`.
        """
        raise NotImplementedError

    def stages(self) -> list[Stage]:
        """Return the stages of training, in order."""
        return [Stage("train")]

    def begin_stage(self, stage: Stage, split: Split) -> None:
        """Prepare a stage; called before its first step, and before `post_hoc` of a stage of share 0.

        A resumed run calls it again *before* it loads the checkpoint. Whatever later steps need must therefore be
        parameters or buffers.
        """
        self.stage = stage.name

    def begin_epoch(self, batches: Iterator[Batch]) -> None:
        """Prepare an epoch; called before its first step, in evaluation mode and without gradients.

        `batches` yields all training images once, one view each without augmentation; they are computed only when
        read. The method may read values back (`.item()`). It must draw no random numbers, and must keep what it
        changes in parameters or buffers.
        """

    def forward(self, *batches: Any, **named: Any) -> dict[str, Tensor]:
        """Return the weighted loss terms, each (); training minimizes their sum.

        The arguments are `Batch`es, one for each sampler of the stage; a method names as many as it takes. A step may be
        captured as a CUDA graph, so `forward` reads no values back and has no branch on values of tensors.
        """
        raise NotImplementedError

    def after_step(self) -> None:
        """Finish an optimizer step; momentum copies and queues are updated here."""

    def post_hoc(self, stage: Stage, batches: Iterator[Batch]) -> None:
        """Carry out a stage of share 0, in evaluation mode and without gradients; `batches` is as in `begin_epoch`."""

    def parameter_groups(self, stage: Stage) -> list[ParameterGroup] | None:
        """Return the stage's parameters in groups with separate rates, or None for one group of all of them."""
        return None

    def adapt(self, images: Callable[[int], Iterator[list[Tensor]]]) -> dict:
        """Learn from the unlabeled test images, or measure on them; called once if `test_time_views` is not empty.

        The call comes after training and before the last epoch's model is tested, in evaluation mode; the selected epoch
        is tested without it. `images(epoch)` yields all test images in shuffled batches of 128, each a list of the views
        (N, 3, H, W) that `test_time_views` names, "plain" being no augmentation; `epoch` seeds order and views. What the
        method learns must be part of the inference state. `results.json` keeps the returned plain values as "test_time".
        """
        return {}

    def embed(self, x: Tensor) -> Tensor:
        """Return the input of `features` and `logits`: images pass the frozen trunk, if there is one; features stay."""
        return x if self.trunk is None or x.dim() == 2 else self.trunk(x)

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
        # remembered before the first stage freezes anything, so that a later stage never trains a momentum copy
        if self._trainable is None:
            self._trainable = {name: p for name, p in self.named_parameters() if p.requires_grad}
        prefixes = None if stage.trains is None else tuple(f"{name}." for name in stage.trains)
        for name, parameter in self._trainable.items():
            parameter.requires_grad_(prefixes is None or name.startswith(prefixes))
        self.set_train_mode(stage)
        return [parameter for parameter in self._trainable.values() if parameter.requires_grad]

    def set_train_mode(self, stage: Stage) -> None:
        """Set training mode for submodules that a stage trains or whose batch norm it updates, evaluation mode for others."""
        self.train(stage.trains is None)
        for name in (stage.trains or ()) + stage.updates_batch_norm:
            self.get_submodule(name).train()

    def clip_queue_length(self, length: int) -> int:
        """Return the length of a queue, cut to the number of training images so that no image is in it twice."""
        images = sum(self.counts)
        if length > images:
            self.notes.append(f"the queue of {length} keys is cut to the {images} training images")
        return min(length, images)

    def inference_state(self) -> dict[str, Tensor]:
        """Return the state of the submodules in `inference`, which logits need."""
        prefixes = tuple(f"{name}." for name in self.inference)
        return {name: value for name, value in self.state_dict().items() if name.startswith(prefixes)}


class Classifier(Method):
    """K separate networks, each with a head (linear by default): (N, 3, H, W) -> (K, N, C)."""

    encoders: Experts | Encoder

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

    def compute_class_means(self, batches: Iterator[Batch]) -> Tensor:
        """Compute the mean feature of each class over the batches, (K, C, d); 0 for a class without images."""
        total = n = torch.zeros(())
        for batch in batches:
            own = one_hot(batch.y, self.classes).T.float()
            total, n = total + own @ self.features(batch.views[0]), n + own.sum(1, keepdim=True)
        return total / n.clamp_min(1)

    def features(self, x: Tensor) -> Tensor:
        return self.encoders(x)

    def logits(self, x: Tensor) -> Tensor:
        return self.cls(self.encoders(x))


class BranchedClassifier(Classifier):
    """K networks that share all but their last two stages, last stage or last block, each with a head: -> (K, N, C).

    With `leader`, the shared layers learn from the first network only.
    """

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: int,
        unshared: Unshared,
        slim: bool = False,
        heads: Callable[[int, int, int], nn.Module] = Heads,
        leader: bool = False,
    ):
        Method.__init__(self, counts)
        self.encoders = net.branched(experts, unshared, slim, leader)
        self.feature_dim = cast(Branched, self.encoders.body).feature_dim
        self.cls = heads(experts, self.feature_dim, self.classes)
