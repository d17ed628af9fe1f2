"""A hierarchy of classes: its files, their faults, and back-off against a loop."""

import json
from pathlib import Path

import pytest
import torch

from longtail import LongtailError
from longtail.inference.hierarchy import TOP, Hierarchy

CLASSES = ["ant", "bee", "cat", "dog"]
PARENTS = {"ant": "insect", "bee": "insect", "cat": "pet", "dog": "pet", "pet": "mammal"}


def write(folder: Path, parents: dict, kind: str = "csv") -> Path:
    path = folder / f"h.{kind}"
    rows = "".join(f"{child},{parent or ''}\n" for child, parent in parents.items())
    path.write_text(json.dumps(parents) if kind == "json" else "Class,Parent\n" + rows)
    return path


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_file_gives_each_superclass_its_classes(tmp_path, kind):
    found = Hierarchy.read(write(tmp_path, PARENTS, kind), CLASSES)
    below = {node: set() for node in found.nodes}
    for node, c in zip(found.node_rows.tolist(), found.class_rows.tolist(), strict=True):
        below[found.nodes[node]].add(CLASSES[c])
    expected = {name: {name} for name in CLASSES} | {"insect": {"ant", "bee"}, TOP: set(CLASSES)}
    assert below == expected | {"pet": {"cat", "dog"}, "mammal": {"cat", "dog"}}


@pytest.mark.parametrize("sure", [0.2, 0.5, 0.7, 0.95, 1.0])
def test_the_answer_is_the_smallest_node_that_is_probable_enough(tmp_path, sure):
    found = Hierarchy.read(write(tmp_path, PARENTS), CLASSES)
    p = (3 * torch.randn(50, 4, generator=torch.Generator().manual_seed(1))).softmax(-1).double()
    members = {name: [name] for name in CLASSES} | {"insect": ["ant", "bee"], "pet": ["cat", "dog"], TOP: CLASSES}
    for row, (node, probability) in zip(p, found.back_off(p, sure), strict=True):
        values = {name: sum(row[CLASSES.index(c)].item() for c in below) for name, below in members.items()}
        values[TOP] = 1.0
        enough = [name for name in members if values[name] >= sure]
        best = min(enough, key=lambda name: (len(members[name]), -values[name]))
        assert node == best and probability == pytest.approx(values[best])


def test_of_very_many_classes_the_most_probable_is_the_answer(tmp_path):
    classes = [f"kind{i}" for i in range(2000)]
    p = torch.zeros(1, 2000, dtype=torch.float64)
    p[0, 0], p[0, -1] = 0.4999995, 0.5000005
    found = Hierarchy.read(write(tmp_path, dict.fromkeys(classes, "all")), classes)
    assert found.back_off(p, 0.4)[0][0] == "kind1999"


def test_images_that_fit_nothing_get_the_top(tmp_path):
    found = Hierarchy.read(write(tmp_path, PARENTS), CLASSES)
    assert found.back_off(torch.full((1, 4), 0.25), 0.9) == [(TOP, 1.0)]
    assert found.back_off(torch.zeros(0, 4), 0.9) == []


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        ({"ant": "insect", "bee": "insect", "cat": "pet"}, "no parent for 1 classes: dog"),
        (PARENTS | {"eel": "fish"}, "unknown class in .* 'eel'"),
        (PARENTS | {"mammal": "pet"}, "is above itself"),
        (PARENTS | {"cat": "dog"}, "dog is a class and a parent"),
        (PARENTS | {"pet": TOP}, "is the name of the top"),
    ],
)
def test_a_file_that_is_no_hierarchy_of_the_classes_is_refused(tmp_path, parents, message):
    with pytest.raises(LongtailError, match=message):
        Hierarchy.read(write(tmp_path, parents), CLASSES)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "class,parent\nant,insect\nant,pet\n", "gives ant more than one parent"),
        ("a.csv", "name,above\nant,insect\n", "must have columns class and parent; it has name, above"),
        ("a.csv", "", "must have columns"),
        ("a.json", "[1]", "it holds a list"),
        ("a.json", '{"ant": 3}', "the parent of ant is no text"),
        ("a.json", '{"ant": ', "is not a hierarchy"),
    ],
)
def test_other_files_are_refused_with_their_fault(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(LongtailError, match=message):
        Hierarchy.read(tmp_path / name, CLASSES)
    with pytest.raises(LongtailError, match="is not there"):
        Hierarchy.read(tmp_path / "gone.csv", CLASSES)


def test_a_class_without_a_parent_is_below_the_top_alone(tmp_path):
    found = Hierarchy.read(write(tmp_path, PARENTS | {"ant": "", "bee": ""}), CLASSES)
    assert found.back_off(torch.tensor([[0.5, 0.4, 0.05, 0.05]]), 0.8) == [(TOP, 1.0)]
