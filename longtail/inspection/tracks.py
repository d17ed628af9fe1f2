"""File names that look like frames of tracks: the same stem with running numbers, such as trk012_0007.jpg."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from longtail.data import LazyImages, TensorImages
from longtail.data.groups import build_matcher, list_paths

LAST_NUMBER = re.compile(r"([0-9]{1,15})[^0-9/]*\.[^./]+$")
STEM = r"([^/]*[^0-9/])[0-9]+[^0-9/]*\.[^./]+$"  # what a file name has before its last number
FOLDER = r"(.+)/[^/]*$"
MAX_GAP = 10  # between neighbors of a track, as the median: one frame in ten
MIN_TRACKS, MIN_SHARE, MAX_SHARE = 5, 0.2, 0.5  # of all images: in all tracks at least, and in one track at most


@dataclass(frozen=True)
class Tracks:
    """The images whose names look like frames of tracks, and the regular expression that names the tracks.

    `shared` has the tracks of each further subset that are also in train, where there are any.
    """

    pattern: str
    images: int
    share: float
    tracks: int
    example: str
    shared: dict[str, int]


def find_tracks(subsets: Mapping[str, LazyImages | TensorImages]) -> Tracks | None:
    """Find names that look like frames of tracks; None if there are few, or if tracks would be whole classes."""
    listed = {name: list_paths(images.index) for name, images in subsets.items() if isinstance(images, LazyImages)}
    paths = [path for part in listed.values() for path in part or ()]
    if not paths or not all(listed.values()):
        return None
    labels = np.concatenate([images.labels.numpy() for images in subsets.values()])
    for pattern in (STEM, FOLDER):
        names, codes, is_frame = match_frames(pattern, paths, labels)
        counts = np.bincount(codes[is_frame])
        tracks = np.flatnonzero(counts)
        if len(tracks) < MIN_TRACKS or is_frame.mean() < MIN_SHARE or counts.max() > MAX_SHARE * len(paths):
            continue
        if pattern == STEM:
            pattern = shorten_pattern(paths, labels, names[tracks[0]], is_frame)
        member = np.repeat(list(subsets), [len(images) for images in subsets.values()])
        by_subset = {name: np.unique(codes[is_frame & (member == name)]) for name in subsets}
        shared = {name: len(np.intersect1d(found, by_subset["train"])) for name, found in by_subset.items()}
        shared = {name: n for name, n in shared.items() if n and name != "train"}
        images, example = int(is_frame.sum()), paths[int(is_frame.argmax())]
        return Tracks(pattern, images, float(is_frame.mean()), len(tracks), example, shared)
    return None


def match_frames(pattern: str, paths: list[str], labels: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return names of tracks, the track of each path (N,), and which paths are frames (N,).

    Frames share a track and have running numbers. A track that is all of a class is none: names may repeat the class.
    """
    get_group = build_matcher(pattern)
    words = [get_group(path) for path in paths]
    code_by_name = {name: code for code, name in enumerate(dict.fromkeys(words))}
    codes = np.array([code_by_name[word] for word in words])
    numbers = np.array([int(match[1]) if (match := LAST_NUMBER.search(path)) else -1 for path in paths])
    is_frame, class_sizes = np.zeros(len(paths), dtype=bool), np.bincount(labels)
    order = np.lexsort((numbers, codes))
    for rows in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        gaps = np.diff(np.unique(numbers[rows]))
        if not words[rows[0]] or numbers[rows[0]] < 0 or not len(gaps) or np.median(gaps) > MAX_GAP:
            continue
        found, sizes = np.unique(labels[rows], return_counts=True)
        is_frame[rows] = (sizes < class_sizes[found]).all()
    return list(code_by_name), codes, is_frame


def shorten_pattern(paths: list[str], labels: np.ndarray, stem: str, is_frame: np.ndarray) -> str:
    """Return an expression that is easier to read and finds the same frames, by the letters between track and number."""
    ending = re.sub(r".*[0-9]", "", stem)
    for letters in (ending, ending[-1]):
        short = f"([^/]+){re.escape(letters)}[0-9]+[^/]*$"
        if np.array_equal(match_frames(short, paths, labels)[2], is_frame):
            return short
    return STEM
