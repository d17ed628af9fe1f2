"""Faster evaluation: batch norm folded into the convolution before it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

from longtail.nets.encoder import Encoder


@contextmanager
def fused_conv_bn(*modules: nn.Module) -> Iterator[None]:
    """Run the encoders inside these modules with batch norm folded away, within the context; they must be in evaluation mode.

    A convolution is linear, and batch norm with fixed statistics is a scale and a shift. Their product is one convolution
    with other weights, which saves a pass over every activation. Training goes on with the unfolded bodies.
    """
    encoders = [m for module in modules for m in module.modules() if isinstance(m, Encoder)]
    bodies = [encoder.body for encoder in encoders]
    for encoder in encoders:
        encoder.body = fuse_conv_bn(encoder.body)
    try:
        yield
    finally:
        for encoder, body in zip(encoders, bodies, strict=True):
            encoder.body = body


def fuse_conv_bn(body: nn.Module) -> nn.Module:
    """Return a folded copy of a network, or the network itself if its code cannot be traced or has no batch norm."""
    if not any(isinstance(module, nn.BatchNorm2d) for module in body.modules()):
        return body
    try:
        return fuse(body).to(memory_format=torch.channels_last)
    except Exception:  # code that branches on a tensor cannot be traced, and raises anything
        return body
