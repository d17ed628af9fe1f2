"""Networks of timm by name, pooled and without their heads; timm is imported at the first call that needs it."""

from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from longtail.errors import LongtailError

TIMM = "timm"  # value of `weights` for timm's pretrained weights, instead of a file


@lru_cache
def pretrained_config(name: str) -> dict[str, Any] | None:
    """Return timm's configuration of a network (input_size, mean, std, classifier, ...), or None for an unknown name."""
    import timm

    try:
        config = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    except RuntimeError:  # an unknown tag, as in resnet50.a1_in1k
        return None
    return config.to_dict() if config else None


def unknown_net_error(name: str, ours: list[str]) -> LongtailError:
    """Return the error for a name that neither longtail nor timm knows; it offers the nearest names of both."""
    import timm

    near = get_close_matches(name, ours, n=1, cutoff=0.5) + get_close_matches(name, timm.list_models(), n=2, cutoff=0.5)
    quoted = " or ".join(f"'{match}'" for match in near)
    hint = f"; did you mean {quoted}?" if near else "."
    return LongtailError(f"unknown net '{name}'{hint} Known: {', '.join(ours)}, and the networks of timm.list_models()")


def compute_input_config(name: str) -> dict[str, Any]:
    """Compute `size`, `mean` and `std` of the images a network of timm was trained on; {} for others."""
    config = pretrained_config(name)
    if not config:
        return {}
    return {"size": config["input_size"][-1]} | {key: config[key] for key in ("mean", "std")}


def build_backbone(name: str, size: int | None) -> nn.Module:
    """Build a network for (N, 3, size, size), freshly initialized."""
    import timm

    # only networks with a fixed size, such as a ViT, take img_size
    is_fixed = (pretrained_config(name) or {})["fixed_input_size"]
    shape: dict[str, Any] = {"img_size": size} if size and is_fixed else {}
    return timm.create_model(name, num_classes=0, **shape)


@lru_cache
def compute_feature_dim(name: str, size: int | None) -> int:
    """Compute the number of features d of a network of timm; raises LongtailError for a size that it does not take.

    The trial runs on the meta device, without memory, and draws no random numbers.
    """
    default = (pretrained_config(name) or {})["input_size"][-1]
    size = size or default
    try:
        with torch.device("meta"), torch.no_grad(), torch.random.fork_rng(devices=[]):
            return build_backbone(name, size).eval()(torch.empty(2, 3, size, size)).shape[1]
    except Exception as error:  # each network raises another type
        why = " ".join(f"{error}".split())[:120]
        raise LongtailError(
            f"net {name} does not take images of {size} x {size} ({why}); its default --size is {default}"
        ) from error
