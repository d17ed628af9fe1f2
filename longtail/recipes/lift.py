"""Light tuning of a pretrained ViT as in LIFT (Shi et al., ICML 2024, and its code), for any data; not trained here.

`longtail train PHOTOS --recipe lift` needs the hub for CLIP's ViT-B/16; --net and --weights take any other ViT of timm. Views
are ours: those of the papers for photographs, with color jitter and RandAugment beside LIFT's crop and flip.
"""

from typing import Any

RECIPE: dict[str, Any] = {
    "imbalance": None,  # as it is
    "net": "vit_base_patch16_clip_224.openai",
    "weights": "auto",
    "tune": "adaptformer",
    "views": "imagenet-224",  # --size changes it; by default the size of --net
    "epochs": 10,
    "batch_size": 128,  # at most a quarter of custom training images
    "lr": 0.01,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "eval_every": 2,  # ours
    "five_crop": True,  # reported beside the plain numbers
}
# the loss is that of `bc`; methods with another head keep theirs
HEAD: dict[str, Any] = {"head": "cosine", "scale": 25.0, "class_means": True}
OPTIONS = dict.fromkeys(("bc", "ce", "ecl", "ncl"), HEAD)
