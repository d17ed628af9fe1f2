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
    "tau_norm": Entry("tau_norm:TauNormalised", "Kang et al., Decoupling, ICLR", 2020, "decoupled", "1 network"),
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
}


def method_class(name: str) -> type[Method]:
    """The class of a method; raises LongtailError for an unknown name."""
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    module, _, attribute = METHODS[name].path.partition(":")
    return getattr(import_module(f"longtail.methods.{module}"), attribute)


__all__ = ["METHODS", "Classifier", "Entry", "Method", "Option", "Stage", "check_options", "method_class", "options_of"]
