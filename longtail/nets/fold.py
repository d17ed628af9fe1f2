"""Faster evaluation: batch norm folded into the convolution before it."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

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
        return fold(deepcopy(body)).to(memory_format=torch.channels_last)
    except Exception:  # code that branches on a tensor cannot be traced, and raises anything
        return body


class LayerTracer(fx.Tracer):
    """A tracer that records convolutions and batch norms of timm as one call each, as those of torch."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv2d | nn.BatchNorm2d) or super().is_leaf_module(m, module_qualified_name)


def fold(body: nn.Module) -> fx.GraphModule:
    """Fold every batch norm that alone reads a convolution into that convolution, in place.

    An activation inside the batch norm, as in timm's BatchNormAct2d, stays where it is. Layers that run twice stay as
    they are, and so do convolutions that change their weights, such as weight-standardized ones.
    """
    timm = sys.modules.get("timm.layers")  # not imported for networks of longtail
    convs = (nn.Conv2d, timm.Conv2dSame) if timm else (nn.Conv2d,)
    norms = (nn.BatchNorm2d, timm.BatchNormAct2d) if timm else (nn.BatchNorm2d,)
    graph = LayerTracer().trace(body)
    traced = fx.GraphModule(body, graph)
    modules = dict(traced.named_modules())
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    for node in list(graph.nodes):
        if node.op != "call_module" or type(modules[node.target]) not in norms:
            continue
        source, norm = node.args[0], modules[node.target]
        if not isinstance(source, fx.Node) or source.op != "call_module" or type(modules[source.target]) not in convs:
            continue
        if len(source.users) > 1 or calls[source.target] > 1 or calls[node.target] > 1 or norm.running_mean is None:
            continue
        modules[source.target] = fuse_conv_bn_eval(modules[source.target], norm)  # another norm may follow
        traced.set_submodule(str(source.target), modules[source.target])
        if type(norm) is nn.BatchNorm2d:
            node.replace_all_uses_with(source)
            graph.erase_node(node)
        else:
            traced.set_submodule(str(node.target), nn.Sequential(norm.drop, norm.act))
    traced.recompile()
    traced.delete_all_unused_submodules()
    return traced
