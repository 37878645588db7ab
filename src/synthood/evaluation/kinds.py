"""The kinds of detector that look at features and logits: their keys in `detectors`; a list of values is a grid."""

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.settings import PERCENT, Count, Fraction, Positive
from synthood.evaluation.hyperparameters import GRID, Hyperparameters, Scalar, Values, combinations

Percentile = Annotated[float, Field(gt=0, le=100), PERCENT]
Pruned = Annotated[float, Field(ge=0, lt=100), PERCENT]
Logits = Literal["msp", "mls", "energy", "temperature", "entropy", "gen", "klm", "openmax"]


class Msp(Hyperparameters):
    """Maximum softmax probability (arXiv 1610.02136)."""

    kind: Literal["msp"]


class Mls(Hyperparameters):
    """Maximum logit (arXiv 1911.11132)."""

    kind: Literal["mls"]


class Energy(Hyperparameters):
    """T logsumexp(logits / T) (arXiv 2010.03759)."""

    kind: Literal["energy"]
    temperature: Annotated[Positive, GRID] = 1.0


class Temperature(Hyperparameters):
    """Log odds of the likeliest class, at the temperature that calibrates ID validation data (arXiv 1706.04599)."""

    kind: Literal["temperature"]


class Entropy(Hyperparameters):
    """Minus the entropy of the softmax (arXiv 2012.06575)."""

    kind: Literal["entropy"]


class Gen(Hyperparameters):
    """Minus the generalised entropy of the largest probabilities (Liu, Lochman, Zach, CVPR 2023)."""

    kind: Literal["gen"]
    gamma: Annotated[Positive, GRID] = 0.1
    top: Annotated[Count | None, GRID, Field(description="classes that count, at most C; null: all")] = None


class Klm(Hyperparameters):
    """Minus the divergence from the nearest mean of ID validation probabilities (arXiv 1911.11132)."""

    kind: Literal["klm"]


class OpenMax(Hyperparameters):
    """Minus the probability of an unknown class, from extreme distances to class means (arXiv 1511.06233)."""

    kind: Literal["openmax"]
    alpha: Annotated[Count, GRID, Field(description="classes whose logits are revised, at most C")] = 3
    tail: Annotated[Count, GRID, Field(description="largest distances per class that are fitted")] = 20


class GradNorm(Hyperparameters):
    """L1 norm of the head's gradient of the loss to the uniform distribution (arXiv 2110.00218)."""

    kind: Literal["gradnorm"]
    temperature: Annotated[Positive, GRID] = 1.0


class Rectifier(Hyperparameters):
    """Changes the features, then scores the new logits; `score` is any logit detector with its defaults."""

    score: Annotated[Logits, GRID] = "energy"


class React(Rectifier):
    """Energy after features are clipped at a percentile of ID validation activations (arXiv 2111.12797)."""

    kind: Literal["react"]
    percentile: Annotated[Percentile, GRID] = 90.0


class Vra(Rectifier):
    """Energy after features are clipped at two percentiles of ID validation activations (arXiv 2302.11716)."""

    kind: Literal["vra"]
    low: Annotated[Pruned, GRID] = 10.0
    high: Annotated[Percentile, GRID] = 90.0


class Ash(Rectifier):
    """Energy of the largest features: as they are (p), evened (b) or scaled (s) (arXiv 2209.09858)."""

    kind: Literal["ash"]
    variant: Annotated[Literal["b", "p", "s"], GRID] = "b"
    percentile: Annotated[Pruned, GRID, Field(description="of a sample's features that are set to zero")] = 90.0


class Scale(Rectifier):
    """Energy of features scaled by how much of their sum the largest hold (arXiv 2310.00227)."""

    kind: Literal["scale"]
    percentile: Annotated[Pruned, GRID] = 85.0


class Lts(Rectifier):
    """Energy of logits scaled by how much of the features' sum the largest hold (arXiv 2409.01175)."""

    kind: Literal["lts"]
    share: Annotated[Fraction, GRID, Field(description="of the features that are large")] = 0.05


class Dice(Rectifier):
    """Energy with the head's largest mean contributions alone (arXiv 2111.09805)."""

    kind: Literal["dice"]
    percentile: Annotated[Pruned, GRID] = 90.0


class She(Hyperparameters):
    """Inner product with the mean feature of the predicted class (Zhang et al., ICLR 2023)."""

    kind: Literal["she"]


class Nci(Hyperparameters):
    """Cosine of the centred feature and the predicted class's weights, plus an L1 norm (arXiv 2311.01479)."""

    kind: Literal["nci"]
    alpha: Annotated[float, Field(ge=0), GRID] = 1e-4


class Fdbd(Hyperparameters):
    """Mean distance to the decision boundaries over the distance to the mean feature (arXiv 2312.11536)."""

    kind: Literal["fdbd"]
    centred: Annotated[bool, GRID, Field(description="false: over the feature's norm")] = True


class Mds(Hyperparameters):
    """Minus the Mahalanobis distance to the nearest class mean, tied covariance (arXiv 1807.03888)."""

    kind: Literal["mds"]


class Rmds(Hyperparameters):
    """Mahalanobis distance to all of the ID data minus the one to the nearest class (arXiv 2106.09022)."""

    kind: Literal["rmds"]


class Gmm(Hyperparameters):
    """Log density of a Gaussian per class on the principal components (arXiv 2204.05306)."""

    kind: Literal["gmm"]
    dimension: Annotated[Count | None, GRID, Field(description="components; null: 50, or all if fewer")] = None
    ridge: Annotated[Positive, GRID, Field(description="added to each variance, in units of their mean")] = 1e-3


class Residual(Hyperparameters):
    """Minus the norm of the feature's part outside the principal space (arXiv 2203.10807)."""

    kind: Literal["residual"]
    dimension: Annotated[Count, GRID, Field(description="of the principal space; below the features'")] = 256


class Vim(Hyperparameters):
    """Energy minus the scaled norm of the feature's part outside the principal space (arXiv 2203.10807)."""

    kind: Literal["vim"]
    dimension: Annotated[Count, GRID, Field(description="of the principal space; below the features' dimension")] = 256


class Pnml(Hyperparameters):
    """Minus the regret of the predictive normalised maximum likelihood learner (arXiv 2110.09246)."""

    kind: Literal["pnml"]


class Knn(Hyperparameters):
    """Minus the squared distance to the k-th nearest training feature, normalised (arXiv 2204.06507)."""

    kind: Literal["knn"]
    k: Annotated[Count, GRID] = 50


class NnGuide(Hyperparameters):
    """Energy times the mean of the k largest similarities, each times its training energy (arXiv 2309.14888)."""

    kind: Literal["nnguide"]
    k: Annotated[Count, GRID] = 10
    share: Annotated[Fraction, GRID, Field(gt=0, description="of the training features that are the bank")] = 1.0


class Relation(Hyperparameters):
    """Sum of the similarities, in features and predictions, to training data (arXiv 2301.12321)."""

    kind: Literal["relation"]
    power: Annotated[Positive, GRID] = 1.0
    threshold: Annotated[float, Field(ge=0), GRID, Field(description="similarities at or below it are left out")] = 0.03


class Cfood(Hyperparameters):
    """Minus the neighbourhood, as a share of the bank, at which enough training data take the sample in."""

    kind: Literal["cfood"]
    share: Annotated[Fraction, GRID, Field(gt=0, description="of the training features that are the bank")] = 0.1
    fraction: Annotated[Fraction, GRID, Field(gt=0, description="of the bank that must take the sample in")] = 0.01


class WeiPer(Hyperparameters):
    """Divergences of the histograms of features and of randomly perturbed logits (arXiv 2405.17164)."""

    kind: Literal["weiper"]
    distance: Annotated[Positive, GRID, Field(description="length of a perturbation over its weights'")] = 2.1
    repeats: Annotated[Count, GRID] = 100
    bins: Annotated[Count, GRID] = 100
    smoothing: Annotated[Count, GRID, Field(description="bins that a histogram is averaged over")] = 20
    logits: Annotated[float, Field(ge=0), GRID, Field(description="weight of the logits' divergence")] = 1.0
    msp: Annotated[float, Field(ge=0), GRID, Field(description="weight of the mean probability")] = 1.0


class Nac(Hyperparameters):
    """Mean coverage of the units' states by training data (arXiv 2306.02879)."""

    kind: Literal["nac"]
    bins: Annotated[Count, GRID] = 50
    steepness: Annotated[Positive, GRID, Field(description="of the sigmoid over the states")] = 100.0
    enough: Annotated[Positive, GRID, Field(description="training samples at which a bin is covered")] = 50.0


class Custom(Hyperparameters):
    """A function of yours: `fit(reference, **values)` gives a score of features, larger for ID."""

    kind: Literal["custom"]
    file: Annotated[str, Field(pattern=r"\.py$", description="a Python file, relative to where snakemake runs")]
    function: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")] = "fit"
    values: Annotated[
        dict[str, Scalar | Annotated[list[Scalar], Field(min_length=1)]],
        Field(description="the function's keyword arguments; a list is a grid"),
    ] = {}

    def candidates(self) -> list[Values]:
        return combinations(self.values)


OfFeatures = (
    Msp | Mls | Energy | Temperature | Entropy | Gen | Klm | OpenMax | GradNorm
    | React | Vra | Ash | Scale | Lts | Dice
    | She | Nci | Fdbd | Mds | Rmds | Gmm | Residual | Vim | Pnml
    | Knn | NnGuide | Relation | Cfood | WeiPer | Nac | Custom
)  # fmt: skip
