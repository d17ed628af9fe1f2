"""Predict with an exported model, without longtail and without torch: onnxruntime, numpy and Pillow only.

Run:      longtail train digits-lt bc --out runs/digits && longtail export runs/digits
          python examples/onnx_inference.py runs/digits/export.onnx IMAGE...
Time:     less than 1 s for two images; training 19 s of CPU time (one thread of a shared AMD EPYC Zen 4, torch 2.15, 2026-11-26)
Expected: a test image of a zero gives `0 0.999, 8 0.001, 9 0.000`
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def make_square(image: Image.Image, transform: dict) -> Image.Image:
    """Return the square that the model was tested on: cut from the center, padded or squeezed."""
    size, resize = transform["size"][0], transform["resize"]
    if transform["fit"] == "squeeze":
        return image.resize((size, size), Image.Resampling.BILINEAR)
    if transform["fit"] == "pad":
        width, height = (max(round(side * size / max(image.size)), 1) for side in image.size)
        square = Image.new("RGB", (size, size), tuple(transform["fill"]))
        resized = image.resize((width, height), Image.Resampling.BILINEAR)
        square.paste(resized, ((size - width) // 2, (size - height) // 2))
        return square
    if resize == size:
        return ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    width, height = (int(resize * side / min(image.size)) for side in image.size)
    left, top = (round((side - size) / 2) for side in (width, height))
    return image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + size, top + size))


def main(model: str, paths: list[str]) -> None:
    """Print the three most probable classes of each image."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    classes, transform = (json.loads(metadata[f"longtail.{name}"]) for name in ("classes", "transform"))
    # the class prior where the model is used; this one keeps the probabilities as they were trained
    log_prior = np.array(json.loads(metadata["longtail.log_prior_as_trained"]), np.float32)

    squares = [make_square(ImageOps.exif_transpose(Image.open(path)).convert("RGB"), transform) for path in paths]
    images = np.stack([np.asarray(square) for square in squares]).transpose(0, 3, 1, 2)  # (N, 3, H, W) uint8
    (probabilities,) = session.run(["probabilities"], {"images": images, "log_prior": log_prior})
    for path, row in zip(paths, probabilities, strict=True):
        best = row.argsort()[::-1][:3]
        print(f"{path}: " + ", ".join(f"{classes[c]} {row[c]:.3f}" for c in best))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python examples/onnx_inference.py MODEL.onnx IMAGE...")
    main(sys.argv[1], sys.argv[2:])
