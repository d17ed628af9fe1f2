"""Augmentation of whole batches, every image with its own parameters, equal bit for bit to PIL image by image."""

from longtail.augment.affine import RandomRotation
from longtail.augment.autoaugment import AutoAugment
from longtail.augment.blur import GaussianBlur
from longtail.augment.crop import Cutout, HorizontalFlip, RandomCrop, hflip
from longtail.augment.foreground import find_foreground, move_foreground
from longtail.augment.jitter import ColorJitter, Grayscale
from longtail.augment.mix import blend_images, cutmix, mixup, paste_patches, sample_beta
from longtail.augment.photo import PhotoTransform
from longtail.augment.resize import RandomResizedCrop
from longtail.augment.transform import Compose, Transform
from longtail.augment.transform_set import (
    TRANSFORM_SETS,
    Normalize,
    TransformSet,
    change_size,
    get_transform_set,
    is_resizable,
)

__all__ = [
    "TRANSFORM_SETS",
    "AutoAugment",
    "ColorJitter",
    "Compose",
    "Cutout",
    "GaussianBlur",
    "Grayscale",
    "HorizontalFlip",
    "Normalize",
    "PhotoTransform",
    "RandomCrop",
    "RandomResizedCrop",
    "RandomRotation",
    "Transform",
    "TransformSet",
    "blend_images",
    "change_size",
    "cutmix",
    "find_foreground",
    "get_transform_set",
    "hflip",
    "is_resizable",
    "mixup",
    "move_foreground",
    "paste_patches",
    "sample_beta",
]
