"""Networks: encoders by name, K experts, heads, the momentum copy and the queue."""

from longtail.nets.encoder import NETS, Encoder, Net, get_input_config
from longtail.nets.experts import ClassScales, CosineHeads, Experts, Heads, Projectors, build_mlp
from longtail.nets.fold import fused_conv_bn
from longtail.nets.frozen import FrozenEncoder, FrozenNet, Neck, VectorNet
from longtail.nets.momentum import LabeledQueue, MomentumCopy, Queue
from longtail.nets.sync import all_gather, complete_rows, convert_sync_batch_norm, shared_batch
from longtail.nets.teacher import Teacher
from longtail.nets.timm_backbone import TIMM
from longtail.nets.tune import merge_lora
from longtail.nets.weights import PretrainedWeights, find_input_config, find_weights

__all__ = [
    "NETS",
    "TIMM",
    "ClassScales",
    "CosineHeads",
    "Encoder",
    "Experts",
    "FrozenEncoder",
    "FrozenNet",
    "Heads",
    "LabeledQueue",
    "MomentumCopy",
    "Neck",
    "Net",
    "PretrainedWeights",
    "Projectors",
    "Queue",
    "Teacher",
    "VectorNet",
    "all_gather",
    "build_mlp",
    "complete_rows",
    "convert_sync_batch_norm",
    "find_input_config",
    "find_weights",
    "fused_conv_bn",
    "get_input_config",
    "merge_lora",
    "shared_batch",
]
