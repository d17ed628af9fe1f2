"""Networks of timm by name, pooled and without their heads; timm is imported when the first is asked for."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import lru_cache

import torch
from torch import nn

from longtail.errors import LongtailError
from longtail.nets.pretrained import load_pretrained, load_weights_file

TIMM = "timm"  # where weights come from if not from a file


@lru_cache
def pretrained_config(name: str) -> dict | None:
    """What timm says of a network (input_size, mean, std, classifier, ...); None if it knows no such network."""
    import timm

    try:
        found = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    except RuntimeError:  # a tag, as in resnet50.a1_in1k, that is not there
        return None
    return found and found.to_dict()


def unknown_net_error(name: str, ours: list[str]) -> LongtailError:
    """The error for a name that neither we nor timm know: the nearest of both."""
    import timm

    near = get_close_matches(name, ours, n=1, cutoff=0.5) + get_close_matches(name, timm.list_models(), n=2, cutoff=0.5)
    quoted = " or ".join(f"'{found}'" for found in near)
    hint = f"; did you mean {quoted}?" if near else "."
    return LongtailError(f"unknown net '{name}'{hint} Known: {', '.join(ours)}, and the networks of timm.list_models()")


def build_backbone(name: str, size: int | None, weights: str | None = None) -> nn.Module:
    """A network for (N, 3, size, size), freshly initialized, or with timm's weights or those of a file.

    Raises LongtailError for weights that are not there or do not fit.
    """
    import timm

    config = pretrained_config(name)
    shape = {"img_size": size} if size and config["fixed_input_size"] else {}
    if weights != TIMM:
        body = timm.create_model(name, num_classes=0, **shape)
        if weights:
            load_pretrained(body, load_weights_file(weights), weights, name)
        return body
    try:
        with quiet_hub():
            return timm.create_model(name, pretrained=True, num_classes=0, **shape)
    except (
        Exception
    ) as error:  # no network, no such file there, no weights of this name: each has an exception of its own
        why = " ".join(f"{error}".split())[:160]
        raise LongtailError(
            f"timm could not give weights of {name} ({type(error).__name__}: {why}); --weights FILE takes a file"
        ) from error


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Without the warnings of the hub's client, which tells of each of its dozen attempts to reach it."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@lru_cache
def compute_feature_dim(name: str, size: int | None) -> int:
    """Features d, by a trial without memory; raises LongtailError for a size that the network does not take."""
    own = pretrained_config(name)["input_size"][-1]
    size = size or own
    try:
        with torch.device("meta"), torch.no_grad(), torch.random.fork_rng(devices=[]):
            return build_backbone(name, size).eval()(torch.empty(2, 3, size, size)).shape[1]
    except Exception as error:  # each network says it in its own way
        why = " ".join(f"{error}".split())[:120]
        raise LongtailError(
            f"net {name} does not take images of {size} x {size} ({why}); its own --size is {own}"
        ) from error
