"""Networks: encoders by name, K experts, heads, the momentum copy and the queue."""

from longtail.nets.backbone import TIMM
from longtail.nets.encoder import NETS, Encoder, Net, trained_as
from longtail.nets.experts import CosineHeads, Experts, Heads, Projectors
from longtail.nets.fold import folded
from longtail.nets.momentum import MomentumCopy, Queue

__all__ = [
    "NETS",
    "TIMM",
    "CosineHeads",
    "Encoder",
    "Experts",
    "Heads",
    "MomentumCopy",
    "Net",
    "Projectors",
    "Queue",
    "folded",
    "trained_as",
]
