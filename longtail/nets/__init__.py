"""Networks: encoders by name, K experts, heads, the momentum copy and the queue."""

from longtail.nets.encoder import NETS, Encoder, Net
from longtail.nets.experts import CosineHeads, Experts, Heads, Projectors
from longtail.nets.fold import folded
from longtail.nets.momentum import MomentumCopy, Queue

__all__ = ["NETS", "CosineHeads", "Encoder", "Experts", "Heads", "MomentumCopy", "Net", "Projectors", "Queue", "folded"]
