"""The contract of a method as one check for any method, built in or not: `check_method(MyMethod)`.

The first broken clause raises `ContractError`. The package runs the same check over every method it has.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.utils._python_dispatch import TorchDispatchMode

from longtail.data import Batch, ClassTable, Split, TensorImages
from longtail.methods import Method, Stage, check_options, get_method_class, get_options, name_method
from longtail.nets import Neck, Net, VectorNet
from longtail.recipe import Recipe

COUNTS = (40, 20, 10, 5)  # training images of four classes
BATCH, SIDE, FEATURES, STEPS = 16, 8, 12, 40
TRAIN_FLAGS = {
    "recipe",
    "root",
    "size",
    "out",
    "seeds",
    "resume",
    "device",
    "threads",
    "workers",
    "report",
    "verbose",
    "cache",
    "slim",
    "minutes",
}


class ContractError(AssertionError):
    """A method breaks a clause of its contract."""


def check_method(method: type[Method] | str, **options: Any) -> None:
    """Check the contract of a method, a class or a name, with the given options; takes seconds on a CPU.

    Raises ContractError that names the first broken clause: options that can be flags; tensors that are parameters or
    buffers; finite loss terms, and a gradient
    for every trained parameter; shapes of logits and features; `begin_epoch` without random numbers; static steps;
    learning; equal losses for equal seeds; state that makes a round trip; an inference state that is all that logits
    need; finite values for a class without training images. All of it on images and, unless the method declares
    `trains_on_features = False`, on features of a frozen encoder.
    """
    name = name_method(method)
    check_option_flags(name)
    nets: list[Net] = [Net("conv4")]
    if get_method_class(name).trains_on_features:
        nets.append(VectorNet("", neck=16, inputs=FEATURES))
    for net in nets:
        for counts in (COUNTS, (40, 0, 10, 5)):
            built = build_method(name, counts=counts, net=net, **options)
            check_tensors(built)
            check_stages(built)
        check_shapes(build_method(name, net=net, **options))
        check_learning(name, options | {"net": net})
        check_state(name, options | {"net": net})


def build_method(
    name: str, seed: int = 0, counts: Sequence[int] = COUNTS, net: Net | None = None, **options: Any
) -> Method:
    """Build a method on a tiny network, initialized from a seed; a `VectorNet` takes features instead of images."""
    torch.manual_seed(seed)
    build: Callable[..., Method] = get_method_class(name)
    return build(counts, net or Net("conv4"), **options)


def get_input_shape(method: Method) -> tuple[int, ...]:
    """Return the shape of an image that a method takes, or of its features."""
    takes_features = any(isinstance(module, Neck) for module in method.modules())
    return (FEATURES,) if takes_features else (3, SIDE, SIDE)


def make_batch(method: Method, seed: int = 0) -> Batch:
    """Make sixteen images whose class shows in their brightness, or features, with the views that a method asks for."""
    g, shape = torch.Generator().manual_seed(seed), get_input_shape(method)
    y = torch.arange(BATCH) % len(COUNTS)
    signal = y.view(-1, 1, 1, 1) - 1.5 if len(shape) == 3 else 2.0 * one_hot(y, FEATURES)
    views = [torch.randn(BATCH, *shape, generator=g) * 0.3 + signal for _ in method.views]
    return Batch(views, y, torch.arange(BATCH), torch.tensor(0.5))


def make_batches(method: Method, stage: Stage, seed: int = 0) -> list[Batch]:
    """Make the batches of a step, one for each sampler of the stage."""
    return [make_batch(method, seed + 1000 * place) for place in range(len(stage.samplers))]


def make_split(counts: Sequence[int] = COUNTS) -> Split:
    """Make a split with `counts[c]` random uint8 images of 8 x 8 in class c."""
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    subset = TensorImages(torch.randint(0, 256, (len(y), 3, SIDE, SIDE), dtype=torch.uint8), y)
    return Split("made up", ClassTable(tuple("abcd"[: len(counts)]), tuple(counts)), subset, subset)


def enter_stage(method: Method, stage: Stage) -> list[nn.Parameter]:
    """Begin a stage as the trainer does; returns the trained parameters, [] after a post-hoc stage."""
    method.begin_stage(stage, make_split(method.counts))
    batches = (make_batch(method, seed) for seed in range(3))
    with torch.no_grad():
        if not stage.share:
            method.eval().post_hoc(stage, batches)
            return []
        method.eval().begin_epoch(batches)
    return method.enter(stage)


def train_steps(method: Method, n: int) -> list[float]:
    """Train n steps of SGD in each stage and return their total losses; random numbers are seeded by stage and step."""
    losses = []
    for number, stage in enumerate(method.stages()):
        torch.manual_seed(number)
        if not (parameters := enter_stage(method, stage)):
            continue
        groups: Any = method.parameter_groups(stage) or [{"params": parameters}]
        own = [{"params": list(g["params"]), "lr": 0.05 * g.get("lr_scale", 1.0)} for g in groups]
        optimizer = torch.optim.SGD(own, 0.05, 0.9)
        for step in range(n):
            torch.manual_seed(step)
            total = sum_terms(method(*make_batches(method, stage, step)))
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            method.after_step()
            losses.append(total.item())
    return losses


def sum_terms(terms: dict[str, Tensor]) -> Tensor:
    """Return the sum of loss terms, ()."""
    return torch.stack(list(terms.values())).sum()


def require(holds: object, clause: str) -> None:
    """Raise ContractError with a clause that does not hold."""
    if not holds:
        raise ContractError(clause)


def check_option_flags(name: str) -> None:
    """Check that options are annotated, valid by default, and do not hide a field of the recipe or a flag of `train`."""
    options = get_options(name)
    check_options(name, options, {option.name: option.default for option in options.values()})
    taken = ({field.name for field in fields(Recipe)} | TRAIN_FLAGS) & options.keys()
    require(not taken, f"options {', '.join(sorted(taken))} are fields of the recipe or flags of longtail train")
    views = set(get_method_class(name).views)
    require(views <= {"strong", "moco"}, f"views {sorted(views)} are not all among strong and moco")


def check_tensors(method: Method) -> None:
    """Check that every tensor is a parameter or a buffer, which alone move to the GPU with the method."""
    for name, module in method.named_modules():
        for attribute, value in vars(module).items():
            place = f"{name}.{attribute}" if name else attribute
            require(not isinstance(value, Tensor), f"{place} is a tensor but no buffer; set it by register_buffer")


def check_stages(method: Method) -> None:
    """Check every stage: finite terms, a gradient for every trained parameter, and steps that could be captured."""
    for stage in method.stages():
        state = torch.get_rng_state()
        with torch.no_grad():
            method.eval().begin_epoch(make_batch(method, seed) for seed in range(3))
        require(torch.equal(state, torch.get_rng_state()), "begin_epoch draws random numbers")
        if not (parameters := enter_stage(method, stage)):
            continue
        batches = make_batches(method, stage)
        with StaticOnly():
            terms = method(*batches)
            require(terms, f"stage {stage.name} has no loss terms")
            for name, term in terms.items():
                require(term.shape == (), f"loss term {name} of stage {stage.name} is no scalar: {tuple(term.shape)}")
            method.zero_grad()
            sum_terms(terms).backward()
            method.after_step()
        for name, term in terms.items():
            seen = (
                "" if all(method.counts) else f" where a class has no training images (counts {tuple(method.counts)})"
            )
            require(term.isfinite(), f"loss term {name} of stage {stage.name} is not finite{seen}")
        names = {parameter: name for name, parameter in method.named_parameters()}
        for parameter in parameters:
            trained = parameter.grad is not None and parameter.grad.isfinite().all()
            require(trained, f"stage {stage.name} gives {names[parameter]} no finite gradient")
    require(method.eval().logits(make_batch(method).views[0]).isfinite().all(), "logits are not finite")


@torch.no_grad()
def check_shapes(method: Method) -> None:
    """Check that logits and features have the expert axis in front."""
    x = torch.randn(6, *get_input_shape(method))
    z, v = method.eval().logits(x), method.features(x)
    require(z.dim() in (2, 3) and z.shape[-2:] == (6, len(COUNTS)), f"logits of 6 images are {tuple(z.shape)}")
    require(v.shape[:-1] == z.shape[:-1], f"features of 6 images are {tuple(v.shape)}, logits {tuple(z.shape)}")


def check_learning(name: str, options: dict) -> None:
    """Check that equal seeds give equal losses in every stage, and that a method learns an easy task."""
    first, again, other = (train_steps(build_method(name, seed, **options), 4) for seed in (0, 0, 1))
    require(first == again, "equal seeds give other losses")
    require(first != other, "the weights do not depend on torch's seed")
    method = build_method(name, **options)
    test = make_batch(method, 999)
    train_steps(method, STEPS)
    with torch.no_grad():
        z = method.eval().logits(test.views[0])
    z = z.mean(0) if z.dim() == 3 else z
    require((z.argmax(-1) == test.y).float().mean() > 0.6, "it does not learn an easy task of four classes")
    require(cross_entropy(z, test.y) < 1.38, "after an easy task its logits say less than chance")


def check_state(name: str, options: dict) -> None:
    """Check that training goes on equally from a saved state, and that logits need the inference state only."""
    first, second = (build_method(name, seed, **options) for seed in (0, 5))
    train_steps(first, 2)
    second.load_state_dict(first.state_dict())
    require(train_steps(first, 2) == train_steps(second, 2), "from a saved state training goes on otherwise")
    fresh, kept = build_method(name, 6, **options), first.inference_state()
    require(
        kept and not fresh.load_state_dict(kept, strict=False).unexpected_keys,
        "the inference state is not of the state",
    )
    x = torch.randn(6, *get_input_shape(first))
    with torch.no_grad():
        require(
            torch.equal(first.eval().logits(x), fresh.eval().logits(x)), "logits need more than the inference state"
        )


class StaticOnly(TorchDispatchMode):
    """Forbids operations that a CUDA graph cannot capture: reading a value back, and shapes that depend on values."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        masks = args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ()
        dynamic = name in ("_local_scalar_dense", "nonzero", "masked_select", "_unique2") or any(
            isinstance(mask, Tensor) and mask.dtype == torch.bool for mask in masks
        )
        require(not dynamic, f"a step reads values back or has shapes that depend on values ({name})")
        return func(*args, **(kwargs or {}))
