"""Custom data, our recipe: a pretrained CNN of which the norm layers train; --tune heads, bias or all trains less or more.

EfficientNet-lite0 comes with the package; --net and --weights take any network of timm. Rates and heads are LIFT's (recipe
`lift`), and images stay in memory. docs/custom-data.md compares it with frozen features; nothing was chosen by a measurement.
"""

from longtail.recipes import lift

RECIPE = lift.RECIPE | {
    "net": "tf_efficientnet_lite0",
    "tune": "norm",
    "views": "custom-224",  # --size changes it; by default the size of --net
    "five_crop": False,
}
OPTIONS = lift.OPTIONS
