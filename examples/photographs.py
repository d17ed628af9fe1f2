"""Train on your photographs, read the results class by class, and predict new images.

Run:      python examples/photographs.py PHOTOS IMAGE...
Time:     51 s of CPU time for 663 + 431 images (one thread of a shared AMD EPYC Zen 4, torch 2.15, 2026-11-26)
Expected: top-1 91.4, and 85.6 on the classes with fewer than 20 training images; 20 animals of Caltech-101, cut to a tail
          from 133 to 5 training images

PHOTOS holds `train/` and `test/` with a folder for each class, or the class folders alone. IMAGE... are new photographs.
"""

import sys

import longtail

if len(sys.argv) < 2:
    sys.exit("usage: python examples/photographs.py PHOTOS IMAGE...")
photos, *images = sys.argv[1:]

# a pretrained network computes the features of every image once; a head then learns the classes from them
model = longtail.train(photos, out="runs/photographs", verbose=True)

# the result: accuracy over all test images, and over classes with many, medium and few training images
result = model.results["plain"]["ensemble"]
print({name: None if value is None else round(value, 1) for name, value in result.items()})

# the three classes with the fewest training images
for count, name in sorted(zip(model.train_counts, model.classes, strict=True))[:3]:
    print(f"{name} has {count} training images")

# new images: paths here; also PIL images, arrays and tensors
for path, prediction in zip(images, model.predict(images, top=2) if images else [], strict=True):
    choices = ", ".join(f"{c} {p:.2f}" for c, p in zip(prediction.classes, prediction.probabilities, strict=True))
    print(f"{path}: {choices}")

# the saved run: everything above again, later, with longtail.load; a report for people is in report.html
model = longtail.load("runs/photographs")
print(f"open {model.path / 'report.html'} in a browser")
