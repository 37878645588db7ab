"""Every detector by its settings: how it is fitted, what it looks at, and the grid that OpenOOD searches."""

from synthood.evaluation import kinds, trained_kinds
from synthood.evaluation.detectors import (
    distances,
    heads,
    histograms,
    logits,
    neighbours,
    rectifiers,
    subspaces,
    trained,
)
from synthood.evaluation.detectors.base import Method
from synthood.evaluation.hyperparameters import Hyperparameters

LOGITS, FEATURES, HEAD, OUTPUTS = "logits", "features", "head", "outputs"
TRAIN, VAL = "train", "val"
PRUNED = [65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0]
CLIPPED = [85.0, 90.0, 95.0, 99.0]
NEAREST = [50, 100, 200, 500, 1000]

METHODS: dict[type[Hyperparameters], Method] = {
    kinds.Msp: Method(logits.msp, (LOGITS,), paper="arXiv 1610.02136"),
    kinds.Mls: Method(logits.mls, (LOGITS,), paper="arXiv 1911.11132"),
    kinds.Energy: Method(logits.energy, (LOGITS,), paper="arXiv 2010.03759"),
    kinds.Temperature: Method(logits.temperature, (LOGITS,), (VAL,), paper="arXiv 1706.04599", labelled=True),
    kinds.Entropy: Method(logits.entropy, (LOGITS,), paper="arXiv 2012.06575"),
    kinds.Gen: Method(
        logits.gen,
        (LOGITS,),
        grid={"gamma": [0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0], "top": [10, 50, 100, 200, 500, 1000]},
        paper="Liu, Lochman, Zach, CVPR 2023",
    ),
    kinds.Klm: Method(logits.klm, (LOGITS,), (VAL,), paper="arXiv 1911.11132"),
    kinds.OpenMax: Method(logits.openmax, (LOGITS,), (TRAIN,), paper="arXiv 1511.06233", labelled=True),
    kinds.GradNorm: Method(heads.gradnorm, (LOGITS, FEATURES), paper="arXiv 2110.00218"),
    kinds.React: Method(rectifiers.react, (FEATURES, HEAD), (VAL,), {"percentile": CLIPPED}, paper="arXiv 2111.12797"),
    kinds.Vra: Method(
        rectifiers.vra,
        (FEATURES, HEAD),
        (VAL,),
        {"low": [1.0, 5.0, 10.0, 15.0], "high": CLIPPED},
        paper="arXiv 2302.11716",
    ),
    kinds.Ash: Method(rectifiers.ash, (FEATURES, HEAD), grid={"percentile": PRUNED}, paper="arXiv 2209.09858"),
    kinds.Scale: Method(rectifiers.scale, (FEATURES, HEAD), grid={"percentile": PRUNED}, paper="arXiv 2310.00227"),
    kinds.Lts: Method(rectifiers.lts, (LOGITS, FEATURES), paper="arXiv 2409.01175"),
    kinds.Dice: Method(rectifiers.dice, (FEATURES, HEAD), (TRAIN,), paper="arXiv 2111.09805"),
    kinds.She: Method(heads.she, (LOGITS, FEATURES), (TRAIN,), paper="Zhang et al., ICLR 2023", labelled=True),
    kinds.Nci: Method(
        heads.nci, (LOGITS, FEATURES, HEAD), (TRAIN,), {"alpha": [1e-4, 1e-3, 1e-2, 1e-1]}, paper="arXiv 2311.01479"
    ),
    kinds.Fdbd: Method(
        heads.fdbd, (LOGITS, FEATURES, HEAD), (TRAIN,), {"centred": [True, False]}, paper="arXiv 2312.11536"
    ),
    kinds.Mds: Method(distances.mds, (FEATURES,), (TRAIN,), paper="arXiv 1807.03888", labelled=True),
    kinds.Rmds: Method(distances.rmds, (FEATURES,), (TRAIN,), paper="arXiv 2106.09022", labelled=True),
    kinds.Gmm: Method(distances.gmm, (FEATURES,), (TRAIN,), paper="arXiv 2204.05306", labelled=True),
    kinds.Residual: Method(subspaces.residual, (FEATURES, HEAD), (TRAIN,), paper="arXiv 2203.10807"),
    kinds.Vim: Method(
        subspaces.vim, (LOGITS, FEATURES, HEAD), (TRAIN,), {"dimension": [256, 1000]}, paper="arXiv 2203.10807"
    ),
    kinds.Pnml: Method(subspaces.pnml, (FEATURES, HEAD), (TRAIN,), paper="arXiv 2110.09246"),
    kinds.Knn: Method(neighbours.knn, (FEATURES,), (TRAIN,), {"k": NEAREST}, paper="arXiv 2204.06507"),
    kinds.NnGuide: Method(neighbours.nnguide, (LOGITS, FEATURES), (TRAIN,), paper="arXiv 2309.14888"),
    kinds.Relation: Method(
        neighbours.relation,
        (LOGITS, FEATURES),
        (TRAIN,),
        {"power": [1.0, 2.0, 4.0, 6.0, 8.0]},
        paper="arXiv 2301.12321",
    ),
    kinds.Cfood: Method(neighbours.cfood, (FEATURES,), (TRAIN,), paper="OpenOOD's CFOOD, 2025"),
    kinds.WeiPer: Method(histograms.weiper, (FEATURES, HEAD), (TRAIN,), paper="arXiv 2405.17164"),
    kinds.Nac: Method(histograms.nac, (LOGITS, FEATURES, HEAD), (TRAIN,), paper="arXiv 2306.02879"),
    trained_kinds.McDropout: Method(trained.mc_dropout, (FEATURES, HEAD), paper="Gal, Ghahramani, ICML 2016"),
    trained_kinds.RotPred: Method(trained.rotpred, (LOGITS, OUTPUTS), paper="arXiv 1906.12340"),
    trained_kinds.Vos: Method(trained.vos, (OUTPUTS,), paper="arXiv 2202.01197"),
    trained_kinds.Cider: Method(trained.cider, (OUTPUTS,), (TRAIN,), {"k": NEAREST}, paper="arXiv 2203.04450"),
    trained_kinds.Godin: Method(trained.godin, (OUTPUTS,), paper="arXiv 2002.11297"),
    trained_kinds.Mcd: Method(trained.mcd, (LOGITS, OUTPUTS), paper="arXiv 1908.04951"),
}
