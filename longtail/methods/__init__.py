"""The table of methods, one entry and one file each; this module loads no torch."""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import lazy_loader

from longtail.errors import LongtailError, unknown_name
from longtail.methods.options import ExpertCount, HeadShare, Option, check_options, read_signature, read_source
from longtail.validation import Range

if TYPE_CHECKING:
    from longtail.methods.base import BranchedClassifier, Classifier, Method, ParameterGroup, Stage

__getattr__, _, _ = lazy_loader.attach(
    __name__, submod_attrs={"base": ["BranchedClassifier", "Classifier", "Method", "ParameterGroup", "Stage"]}
)
GROUP = "longtail.methods"  # entry points by which other packages declare methods


@dataclass(frozen=True)
class Entry:
    """A row of the table of methods: MODULE:CLASS in this package, paper, year, kind of method and cost of training."""

    path: str
    paper: str
    year: int | None
    family: str
    cost: str


METHODS = {
    "ce": Entry("ce:CrossEntropy", "the plain baseline", None, "loss", "1 network"),
    "bc": Entry("bc:BalancedClassifier", "Ren et al., Balanced Meta-Softmax, NeurIPS", 2020, "loss", "1 network"),
    "focal": Entry("focal:Focal", "Lin et al., Focal Loss, ICCV", 2017, "loss", "1 network"),
    "class_balanced": Entry(
        "class_balanced:ClassBalanced", "Cui et al., Effective Number, CVPR", 2019, "loss", "1 network"
    ),
    "ldam_drw": Entry("ldam_drw:LDAM", "Cao et al., LDAM-DRW, NeurIPS", 2019, "loss", "1 network"),
    "logit_adjustment": Entry("logit_adjustment:LogitAdjustment", "Menon et al., ICLR", 2021, "loss", "1 network"),
    "lade": Entry("lade:LADE", "Hong et al., LADE, CVPR", 2021, "loss", "1 network"),
    "gcl": Entry("gcl:GCL", "Li et al., Gaussian Clouded Logit Adjustment, CVPR", 2022, "loss", "1 network"),
    "ltr_wd": Entry("ltr_wd:WeightBalancing", "Alshammari et al., Weight Balancing, CVPR", 2022, "loss", "1 network"),
    "crt": Entry("crt:ClassifierRetraining", "Kang et al., Decoupling, ICLR", 2020, "decoupled", "1 network"),
    "lws": Entry("lws:LearnableWeightScaling", "Kang et al., Decoupling, ICLR", 2020, "decoupled", "1 network"),
    "tau_norm": Entry("tau_norm:TauNormalized", "Kang et al., Decoupling, ICLR", 2020, "decoupled", "1 network"),
    "ncm": Entry("ncm:NearestClassMean", "Kang et al., Decoupling, ICLR", 2020, "decoupled", "1 network"),
    "mislas": Entry("mislas:MiSLAS", "Zhong et al., MiSLAS, CVPR", 2021, "decoupled", "1 network"),
    "disalign": Entry(
        "disalign:DisAlign", "Zhang et al., Distribution Alignment, CVPR", 2021, "decoupled", "1 network"
    ),
    "mixup": Entry("mixup:Mixup", "Zhang et al., mixup, ICLR", 2018, "augmentation", "1 network"),
    "prior_lt": Entry(
        "prior_lt:PriorLT", "Xu et al., UniMix + Bayias, NeurIPS", 2021, "augmentation", "1 network, 2 batches"
    ),
    "cmo": Entry(
        "cmo:CMO",
        "Park et al., Context-rich Minority Over-sampling, CVPR",
        2022,
        "augmentation",
        "1 network, 2 batches",
    ),
    "causal_norm": Entry(
        "causal_norm:CausalNorm", "Tang et al., Causal Norm and TDE, NeurIPS", 2020, "causal", "1 network"
    ),
    "ecl": Entry(
        "ecl:ECL",
        "Xu et al., Effective Collaborative Learning, TMM",
        2023,
        "multi-expert",
        "K networks + K key networks",
    ),
    "ride": Entry(
        "ride:RIDE",
        "Wang et al., Routing Diverse Experts, ICLR",
        2021,
        "multi-expert",
        "1 trunk, K slim branches",
    ),
    "sade": Entry(
        "sade:SADE",
        "Zhang et al., Self-supervised Aggregation of Diverse Experts, NeurIPS",
        2022,
        "multi-expert",
        "1 trunk, 3 slim branches",
    ),
    "bbn": Entry(
        "bbn:BBN",
        "Zhou et al., Bilateral-Branch Network, CVPR",
        2020,
        "multi-expert",
        "1 trunk, 2 last blocks, 2 batches",
    ),
    "paco": Entry(
        "paco:PaCo",
        "Cui et al., Parametric Contrastive Learning, ICCV",
        2021,
        "contrastive",
        "1 network + 1 key network",
    ),
    "bcl": Entry(
        "bcl:BCL",
        "Zhu et al., Balanced Contrastive Learning, CVPR",
        2022,
        "contrastive",
        "1 network on 3 views",
    ),
    "ncl": Entry(
        "ncl:NCL",
        "Li et al., Nested Collaborative Learning, CVPR",
        2022,
        "multi-expert",
        "K networks + K key networks",
    ),
    "proco": Entry("proco:ProCo", "Du et al., ProCo, TPAMI", 2024, "contrastive", "1 network on 3 views"),
    "balpoe": Entry("balpoe:BalPoE", "Aimar et al., BalPoE, CVPR", 2023, "multi-expert", "1 trunk, K branches"),
    "tsc": Entry("tsc:TSC", "Li et al., Targeted Contrast, CVPR", 2022, "contrastive", "1 network + 1 key network"),
    "hybrid_sc": Entry(
        "hybrid_sc:HybridSC", "Wang et al., CVPR", 2021, "contrastive", "1 network on 3 views, 2 batches"
    ),
    "dro_lt": Entry("dro_lt:DROLT", "Samuel and Chechik, ICCV", 2021, "contrastive", "1 network + a pass an epoch"),
    "oltr": Entry("oltr:OLTR", "Liu et al., OLTR, CVPR", 2019, "decoupled", "1 network + memory"),
    "tde_idr": Entry("tde_idr:TDEIDR", "probably Yu et al., CVPR", 2022, "causal", "1 network + a pass an epoch"),
}


_CLASSES: dict[str, type["Method"]] = {}  # classes that the caller passed to this process, by MODULE:CLASS


def name_method(method: "str | type[Method]") -> str:
    """Return the name of a method: a name as it is, or MODULE:CLASS for a class, which this process remembers.

    Raises LongtailError for anything else.
    """
    if isinstance(method, str):
        return method
    from longtail.methods.base import Method

    if not (isinstance(method, type) and issubclass(method, Method)):
        raise LongtailError(f"method is {method!r}; it takes a name of `longtail methods` or a subclass of Method")
    name = f"{method.__module__}:{method.__qualname__}"
    _CLASSES[name] = method
    return name


def get_method_class(name: str) -> type["Method"]:
    """Return the class of a method by its name: built-in, declared by another package, or MODULE:CLASS.

    Raises LongtailError for an unknown name, and for a package or module that does not load.
    """
    if name in METHODS:
        module, _, attribute = METHODS[name].path.partition(":")
        return getattr(import_module(f"longtail.methods.{module}"), attribute)
    if name in _CLASSES:
        return _CLASSES[name]
    if plugin := find_plugins().get(name):
        return _load_class(name, plugin.value, f" of package {plugin.dist.name if plugin.dist else 'unknown'}")
    if ":" in name:
        return _load_class(name, name)
    raise unknown_name("method", name, [*METHODS, *find_plugins()])


def get_options(name: str) -> dict[str, Option]:
    """Return the options of a method in the order of its signature; built-in methods load no torch.

    Raises LongtailError for an unknown method, and for a class whose arguments are not annotated as options.
    """
    if not isinstance(name, str):
        raise LongtailError(f"method is {name!r}; it takes str")
    return _read_built_in(name) if name in METHODS else read_signature(get_method_class(name))


@cache
def _read_built_in(name: str) -> dict[str, Option]:
    module, _, class_name = METHODS[name].path.partition(":")
    return read_source(Path(__file__).with_name(f"{module}.py"), class_name)


@cache
def find_plugins() -> dict[str, EntryPoint]:
    """Return the entry points of methods in other installed packages, by name; built-in names take precedence."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in METHODS}


def describe_package(name: str) -> dict:
    """Return the name and version of a plug-in method's package for `environment.json`, or {}."""
    plugin = None if name in METHODS or name in _CLASSES else find_plugins().get(name)
    if plugin is None or plugin.dist is None:
        return {}
    return {"method_package": {"name": plugin.dist.name, "version": plugin.dist.version}}


def _load_class(name: str, path: str, source: str = "") -> type["Method"]:
    from longtail.methods.base import Method

    module, _, qualified_name = path.partition(":")
    try:
        loaded: object = import_module(module)
        for attribute in qualified_name.split("."):
            loaded = getattr(loaded, attribute)
    except Exception as error:  # another package's code may raise anything
        why = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise LongtailError(
            f"method '{name}'{source} does not load ({why}); install its package, put its "
            "module on PYTHONPATH, or in Python pass its class as method="
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Method)):
        raise LongtailError(f"method '{name}'{source} is no subclass of longtail.methods.Method")
    return loaded


__all__ = [
    "METHODS",
    "BranchedClassifier",
    "Classifier",
    "Entry",
    "ExpertCount",
    "HeadShare",
    "Method",
    "Option",
    "ParameterGroup",
    "Range",
    "Stage",
    "check_options",
    "describe_package",
    "find_plugins",
    "get_method_class",
    "get_options",
    "name_method",
    "read_signature",
]
