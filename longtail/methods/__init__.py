"""Table of contents: every method, one file and one line each."""

from dataclasses import dataclass
from importlib import import_module

from longtail.errors import unknown
from longtail.methods.method import Classifier, Method, Option, Stage, check_options, options_of


@dataclass(frozen=True)
class Entry:
    """Where a method is, and what a table of methods says of it."""

    path: str
    paper: str
    year: int | None
    family: str
    cost: str


METHODS = {
    "ce": Entry("ce:CrossEntropy", "the plain baseline", None, "loss", "1 network"),
    "bc": Entry("bc:BalancedClassifier", "Ren et al., Balanced Meta-Softmax, NeurIPS", 2020, "loss", "1 network"),
    "ecl": Entry(
        "ecl:ECL",
        "Xu et al., Effective Collaborative Learning, TMM",
        2023,
        "multi-expert",
        "K networks + K key networks",
    ),
    "ncl": Entry(
        "ncl:NCL",
        "Li et al., Nested Collaborative Learning, CVPR",
        2022,
        "multi-expert",
        "K networks + K key networks",
    ),
}


def method_class(name: str) -> type[Method]:
    """The class of a method; raises LongtailError for an unknown name."""
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    module, _, attribute = METHODS[name].path.partition(":")
    return getattr(import_module(f"longtail.methods.{module}"), attribute)


__all__ = ["METHODS", "Classifier", "Entry", "Method", "Option", "Stage", "check_options", "method_class", "options_of"]
