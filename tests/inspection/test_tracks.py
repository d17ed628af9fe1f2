"""Tracks: a split that divides them flatters, one that keeps them whole does not, and `inspect` warns by file names."""

import shlex

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from longtail.data.catalog import hide_folders
from longtail.inspection.advice import advise_on_tracks, give_advice
from longtail.inspection.page import render_page
from longtail.inspection.suggestions import suggest_commands
from longtail.inspection.tracks import FOLDER, STEM
from longtail.metrics import summarize
from tests.data.loading import load
from tests.data.pictures import picture
from tests.data.tracks import FISH, NAMES, write_tracks
from tests.inspection.test_inspect import collect

COUNTS = dict(zip(FISH, (8, 8, 8), strict=True))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same tracks under two ways of naming frames."""
    folder = tmp_path_factory.mktemp("surveys")
    return [write_tracks(folder / f"plankton_net_haul_{i}", COUNTS, name=name) for i, name in enumerate(NAMES)]


def score(split) -> float:
    """Return the balanced accuracy of the nearest training image, in percent."""
    train, test = (images.images.flatten(1).float() for images in (split.train, split.test))
    nearest = split.train.labels[torch.cdist(test, train).argmin(1)]
    return summarize(one_hot(nearest, 3).float(), split.test.labels, split.classes.counts)["balanced"]


def test_dividing_tracks_flatters_and_keeping_them_whole_does_not(folders):
    for folder, pattern in zip(folders, (r"(trk\d+)_", r"(clip\d+)_"), strict=True):
        assert score(load(folder, test_share=0.25)) == 100
        assert score(load(folder, test_share=0.25, group=pattern)) < 60  # of 3 classes without a signal


@pytest.mark.parametrize("i, pattern", [(0, "([^/]+)_[0-9]+[^/]*$"), (1, "([^/]+)_frame_[0-9]+[^/]*$")])
def test_frames_are_found_by_their_names_and_the_expression_groups_them(folders, i, pattern):
    facts = collect(folders[i])
    found = facts.tracks
    assert found.images == 144 and found.share == 1 and found.tracks == 24 and not found.shared
    assert found.pattern.replace("\\", "") == pattern
    (advice,) = advise_on_tracks(facts)
    assert advice.startswith("100% of the images have names like frames of 24 tracks, such as Gadus_morhua_juvenile")
    assert f"--group {shlex.quote(found.pattern)}" in advice
    grouped = collect(folders[i], group=found.pattern)
    assert grouped.tracks is None and not advise_on_tracks(grouped) and "24 groups of up to 6" in grouped.notes[0]


def test_the_suggested_commands_hold_out_whole_tracks(folders):
    facts = collect(folders[0])
    for suggestion in suggest_commands(facts, {}):
        words = shlex.split(suggestion.command)
        assert words[words.index("--group") + 1] == facts.tracks.pattern


def test_mixed_names_and_stills_are_told_apart(tmp_path):
    for name in NAMES:
        write_tracks(tmp_path, COUNTS, name=name, first=100 * NAMES.index(name))
    for i in range(72):
        picture(tmp_path / FISH[0] / f"{np.random.default_rng(i).bytes(8).hex()}.jpg", i)
    found = collect(tmp_path).tracks
    assert found.tracks == 48 and found.images == 288 and found.share == 0.8
    assert found.pattern.replace("\\", "") == "([^/]+)_[0-9]+[^/]*$"


def test_folders_of_numbered_frames_are_tracks(tmp_path):
    for fish in FISH[:2]:
        for track in range(4):
            for frame in range(5):
                picture(tmp_path / fish / f"dive_site_{fish[0]}{track}" / f"{frame:04d}.jpg", frame)
    found = collect(tmp_path).tracks
    assert found.tracks == 8 and found.pattern == "(.+)/[^/]*$"
    assert "8 groups of up to 5" in collect(tmp_path, group=found.pattern).notes[-1]


def test_tracks_in_train_and_in_a_test_part_are_counted(tmp_path):
    write_tracks(tmp_path / "train", {FISH[0]: 4, FISH[1]: 4})
    write_tracks(tmp_path / "test", {FISH[0]: 2, FISH[1]: 4}, first=2)
    facts = collect(tmp_path)
    assert (
        facts.tracks.shared == {"test": 6} and "; 6 tracks are in both test and train. " in advise_on_tracks(facts)[0]
    )


@pytest.mark.parametrize(
    "name",
    [
        "image_{i:04d}.jpg",  # one numbering for all classes, as of Caltech-101
        "{label}_{i:04d}.jpg",  # the class and a number
        "IMG_20210712_{time:06d}.jpg",  # times
        "{i:05d}.jpg",
        "{label}_{i:04d}_{time}.jpg",  # one image for each stem
    ],
)
def test_ordinary_names_are_no_tracks(tmp_path, name):
    for label in ("Acartia_tonsa_copepodite", "Calanus_finmarchicus_adult", *"abcdef"):
        for i in range(12):
            picture(tmp_path / label / name.format(label=label, i=i, time=90000 + 731 * i), i)
    assert collect(tmp_path).tracks is None


def test_the_page_warns(folders):
    for pattern in (STEM, FOLDER):
        assert hide_folders(f"`--group '{pattern}'` of /home/me/fish/a.jpg") == f"`--group '{pattern}'` of a.jpg"
    facts = collect(folders[0])
    page = render_page(facts, give_advice(facts)).replace("&#39;", "'").replace("<wbr>", "")
    assert "names like frames of 24 tracks" in page and "<code>--group '([^/]+)_[0-9]+[^/]*$'</code>" in page
