"""Light tuning learns: on classes that a pretrained ViT has not seen, AdaptFormer beats heads on frozen features."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from timm.models import VisionTransformer
from torch import Tensor, nn

from longtail.data import ClassTable, Split
from longtail.distributed import init_world
from longtail.evaluate import begin_with_class_means, evaluate_subset
from longtail.nets import Net
from longtail.nets.tune import prepare_tuning
from longtail.recipes import recipe_for
from longtail.stages import build_loader, plan_stages
from longtail.tracking import SilentReport
from longtail.trainer import Trainer

WIDTH, MANY = 64, 100  # images of a many-shot class are more


def build_vit() -> VisionTransformer:
    """A small ViT for 32 x 32 images in patches of 4."""
    return VisionTransformer(img_size=32, patch_size=4, embed_dim=WIDTH, depth=4, num_heads=2, num_classes=0)


@dataclass(frozen=True)
class SmallNet(Net):
    """The recipe of the small ViT, from the state of a pretrained one or random."""

    state: dict[str, Tensor] | None = None

    def __post_init__(self):
        """Check nothing: timm has no name for this network."""

    @property
    def feature_dim(self) -> int:
        return WIDTH

    def _build_body(self, slim: bool = False) -> nn.Module:
        body = build_vit()
        if self.state:
            body.load_state_dict(self.state)
            prepare_tuning(body, self.name, str(self.tune), self.classes)
        return body


def choose_classes(split: Split, chosen: list[int]) -> Split:
    """The training and test images of some classes, renumbered in their order."""
    place = torch.full((len(split.classes),), -1)
    place[chosen] = torch.arange(len(chosen))

    def take(images):
        rows = np.flatnonzero((place[images.labels] >= 0).numpy())
        return replace(images.take(rows), labels=place[images.labels[rows]])

    train, test = take(split.train), take(split.test)
    table = ClassTable.from_labels([split.classes.names[c] for c in chosen], train.labels)
    return Split(split.name, table, train, test)


def train(split: Split, net: SmallNet, **fields) -> tuple[dict[str, Tensor], float]:
    """Train by `bc`; returns the state of the body, and the balanced accuracy on the test images in percent."""
    world = init_world("cpu", 1)
    settings = {"optimizer": "adamw", "weight_decay": 5e-4, "batch_size": 64, "eval_every": 0, "head": "cosine"}
    recipe = recipe_for("cifar100-lt", method="bc", **settings, **fields)
    with world.session():
        torch.manual_seed(0)
        method = recipe.build_method(split.classes.counts)
        method = type(method)(split.classes.counts, net, **recipe.options)  # on the small ViT
        plans, loader = plan_stages(method.stages(), recipe.epochs), build_loader(recipe, method, split, world)
        begin_with_class_means(method, split.train, recipe.transform_set, world)
        Trainer(recipe, method, split, plans, loader, None, SilentReport(), world).train()
        result = evaluate_subset(method, split, recipe)["test_balanced"]
    return method.encoders.experts[0].body.state_dict(), result


@pytest.mark.slow
def test_adaptformer_beats_heads_on_the_classes_that_pretraining_has_not_seen(shared):
    split = recipe_for("cifar100-lt", method="bc", imbalance=100).load_split(shared / "cifar100")
    many = [c for c, n in enumerate(split.classes.counts) if n > MANY]
    rest = [c for c, n in enumerate(split.classes.counts) if n <= MANY]
    state, _ = train(choose_classes(split, many), SmallNet("vit"), epochs=5, lr=2e-3)
    target, found = choose_classes(split, rest), {}
    for kind in ("heads", "adaptformer"):
        net = SmallNet("vit", tune=kind, classes=len(rest), state=state)
        _, found[kind] = train(target, net, epochs=8, lr=5e-3)
    assert found["adaptformer"] > found["heads"], found
