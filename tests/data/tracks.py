"""Made-up tracks: drawn images, each track's frames nearly equal, with a class signal too weak to be learned."""

from pathlib import Path

import numpy as np
from PIL import Image

# names of fish and plankton surveys: long, with underscores
FISH = ("Gadus_morhua_juvenile_dorsal_view", "Pollachius_virens_side_view", "Myoxocephalus_scorpius")
NAMES = ("trk{track:03d}_{frame:04d}.jpg", "IMG_clip{track}_frame_{frame:05d}.png")


def draw_track(generator: np.random.Generator, side: int = 24) -> np.ndarray:
    """Draw the picture of a track: patches of color that tell the track and nothing of its class."""
    patches = generator.integers(30, 220, (4, 4, 3))
    return patches.repeat(side // 4, 0).repeat(side // 4, 1)


def write_tracks(folder: Path, tracks: dict[str, int], frames: int = 6, name: str = NAMES[0], first: int = 0) -> Path:
    """Write a folder of class folders with some tracks of each class, all numbered from `first`, and their frames."""
    generator = np.random.default_rng(first)
    for label, (fish, number) in enumerate(tracks.items()):
        (folder / fish).mkdir(parents=True, exist_ok=True)
        for track in range(first, first := first + number):
            picture = draw_track(generator) + 3 * label
            for frame in range(frames):
                pixels = np.clip(picture + generator.integers(-4, 5, picture.shape), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / fish / name.format(track=track, frame=frame + 1), quality=95)
    return folder
