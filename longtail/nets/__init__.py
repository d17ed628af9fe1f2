"""Networks: encoders by name, K experts, heads, the momentum copy and the queue."""

from longtail.nets.backbone import TIMM
from longtail.nets.encoder import NETS, Encoder, Net, trained_as
from longtail.nets.experts import CosineHeads, Experts, Heads, Projectors, Scales, perceptron
from longtail.nets.fold import folded
from longtail.nets.joint import gather, join_batch_norm, sharing
from longtail.nets.momentum import LabelledQueue, MomentumCopy, Queue

__all__ = [
    "NETS",
    "TIMM",
    "CosineHeads",
    "Encoder",
    "Experts",
    "Heads",
    "LabelledQueue",
    "MomentumCopy",
    "Net",
    "Projectors",
    "Queue",
    "Scales",
    "folded",
    "gather",
    "join_batch_norm",
    "perceptron",
    "sharing",
    "trained_as",
]
