"""The table of methods, one entry and one file each; this module loads no torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import lazy_loader

from longtail.methods.lookup import describe_origin, find_plugins, get_method_class, get_options, name_method
from longtail.methods.options import ExpertCount, HeadShare, Option, check_options, read_signature
from longtail.validation import Range

if TYPE_CHECKING:
    from longtail.methods.base import BranchedClassifier, Classifier, Method, ParameterGroup, Stage

__getattr__, _, _ = lazy_loader.attach(
    __name__, submod_attrs={"base": ["BranchedClassifier", "Classifier", "Method", "ParameterGroup", "Stage"]}
)


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
    "dive": Entry(
        "dive:DiVE", "He et al., Distilling Virtual Examples, ICCV", 2021, "distillation", "1 network, trained twice"
    ),
    "cbd": Entry(
        "cbd:CBD", "Iscen et al., Class-Balanced Distillation, BMVC", 2021, "distillation", "1 network, trained twice"
    ),
    "ssd": Entry(
        "ssd:SSD",
        "Li et al., Self Supervision to Distillation, ICCV",
        2021,
        "distillation",
        "1 network, trained twice, + 1 key network",
    ),
    "lfme": Entry(
        "lfme:LFME", "Xiang et al., Learning From Multiple Experts, ECCV", 2020, "distillation", "3 networks, then 1"
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
    "cmo_ride": Entry(
        "cmo_ride:CMORIDE",
        "Park et al., CMO, CVPR, on RIDE's experts",
        2022,
        "augmentation",
        "1 trunk, K slim branches, 2 batches",
    ),
    "cam": Entry(
        "cam:CAM",
        "Zhang et al., Bag of Tricks, CAM-based sampling, AAAI",
        2021,
        "augmentation",
        "1 network + 1 frozen copy",
    ),
    "m2m": Entry(
        "m2m:M2m", "Kim et al., Major-to-minor Translation, CVPR", 2020, "augmentation", "1 network + 1 guide"
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
    "ace": Entry(
        "ace:ACE",
        "Cai et al., Ally Complementary Experts, ICCV",
        2021,
        "multi-expert",
        "1 trunk, K last stages",
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

# methods that learn from a finished run: a command of their own trains them, and no table compares them with the others
TAUGHT = {
    "distill": Entry(
        "distill:Distill",
        "Hinton et al., Distilling the Knowledge in a Neural Network, NIPS workshop",
        2015,
        "distillation",
        "1 network + the networks of a finished run",
    )
}


__all__ = [
    "METHODS",
    "TAUGHT",
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
    "describe_origin",
    "find_plugins",
    "get_method_class",
    "get_options",
    "name_method",
    "read_signature",
]
