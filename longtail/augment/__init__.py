"""Augmentation of whole batches, every image with its own parameters, equal bit for bit to PIL image by image."""

from longtail.augment.affine import RandomRotation
from longtail.augment.autoaugment import AutoAugment
from longtail.augment.blur import GaussianBlur
from longtail.augment.crop import Cutout, HorizontalFlip, RandomCrop, mirror
from longtail.augment.family import FAMILIES, Family, Normalise, family, resized, sized
from longtail.augment.jitter import ColorJitter, Grayscale
from longtail.augment.mix import beta, cut_and_paste, mix, mixup
from longtail.augment.photo import PhotoView
from longtail.augment.resize import RandomResizedCrop
from longtail.augment.transform import Transform, View

__all__ = [
    "FAMILIES",
    "AutoAugment",
    "ColorJitter",
    "Cutout",
    "Family",
    "GaussianBlur",
    "Grayscale",
    "HorizontalFlip",
    "Normalise",
    "PhotoView",
    "RandomCrop",
    "RandomResizedCrop",
    "RandomRotation",
    "Transform",
    "View",
    "beta",
    "cut_and_paste",
    "family",
    "mirror",
    "mix",
    "mixup",
    "resized",
    "sized",
]
