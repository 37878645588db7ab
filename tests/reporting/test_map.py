"""Where the points of a map lie, and what the stage draws and refuses."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from odd_names import ODD, REVERSED
from synthood.common.tensors import write_tensors
from synthood.evaluation.feature_files import write_head, write_part
from synthood.evaluation.features import Features
from synthood.reporting import map as module
from synthood.reporting.map import SHOWN, Points, adapted, draw_map, flattened, projected
from synthood.reporting.settings import MapSettings, Plane
from synthood.training.methods.outliers import OutlierTerms, contrasts
from synthood.training.outlier_set import OutlierSet, Space
from synthood.training.terms.heads import LatentAdapter

CLASSES = ["cat", "dog", "owl"]
FEATURES, WORDS, CHANNELS = 6, 5, 4
SETTINGS = MapSettings(near=["close"], far=["away", "noise"])


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def learned(terms: str = '{"from":"o"}') -> dict[str, Tensor]:
    """What a recipe's contrasts leave in the file of heads."""
    labels = torch.arange(12) % 3
    token = Space(drawn(0, 12, WORDS), labels, drawn(1, 12, WORDS), labels)
    latent = Space(drawn(2, 12, CHANNELS, 8, 8), labels, drawn(3, 12, CHANNELS, 8, 8), labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = contrasts(OutlierTerms.parse(terms), OutlierSet(token, latent), len(CLASSES), FEATURES)
    return nn.ModuleDict({term.name: term for term in found}).state_dict()


def by_hand(heads: dict[str, Tensor], latents: Tensor) -> Tensor:
    """The adapter, layer by layer."""

    def layer(index: int) -> tuple[Tensor, Tensor]:
        return heads[f"latent.adapter.{index}.weight"], heads[f"latent.adapter.{index}.bias"]

    hidden = F.conv2d(latents, *layer(0), padding=1).relu()
    hidden = F.conv2d(hidden, *layer(2), stride=2, padding=1).relu()
    hidden = F.conv2d(hidden, *layer(4), padding=1).relu()
    half = hidden.shape[-1] // 2
    quarters = [hidden[:, :, rows, columns].mean((2, 3)) for rows in halves(half) for columns in halves(half)]
    return F.linear(torch.stack(quarters, 2).flatten(1), *layer(8))


def halves(middle: int) -> tuple[slice, slice]:
    return slice(None, middle), slice(middle, None)


def test_features_are_projected_to_unit_vectors() -> None:
    heads, features = learned(), drawn(5, 7, FEATURES)
    raw = features @ heads["boundary.projection.weight"].T + heads["boundary.projection.bias"]
    found = projected(heads, features)
    assert found == pytest.approx((raw / raw.norm(dim=1, keepdim=True)).numpy(), abs=1e-6)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(7), abs=1e-6)


@pytest.mark.parametrize(("channels", "features", "side"), [(4, 6, 8), (3, 10, 16)])
def test_latents_are_adapted_as_the_student_learned_it(channels: int, features: int, side: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        adapter = LatentAdapter(channels, features)
    heads = {f"latent.adapter.{key}": value for key, value in adapter.state_dict().items()}
    heads |= {"latent.prototypes": torch.zeros(3, features), "boundary.projection.weight": drawn(8, WORDS, features)}
    latents = drawn(4, 5, channels, side, side)
    found = adapted(heads, latents)
    assert found.shape == (5, features)
    assert not found.requires_grad
    torch.testing.assert_close(found, by_hand(heads, latents), atol=1e-5, rtol=1e-5)


def points(seed: int, count: int, lead: float = 0.0) -> np.ndarray:
    """Unit vectors that vary most along the first two coordinates."""
    spread = torch.tensor([3.0, 2.0, 0.3, 0.2, 0.1])
    return F.normalize(drawn(seed, count, WORDS) * spread + lead).numpy()


ID, LABELS = points(0, 60), np.arange(60) % 3
KINDS = {
    "outlier embeddings": points(1, 20, 0.5),
    "outlier latents": points(2, 9, -0.5),
    "close": points(3, 15, 1.0),
    "away": points(4, 11, -1.0),
}


@pytest.fixture
def left_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Figure]]:
    """Draws a map and gives its figure before it is closed."""

    def draw(kinds: Points, classes: list[str] = CLASSES, plane: Plane = "pca") -> Figure:
        with monkeypatch.context() as patched:
            patched.setattr(plt, "close", lambda figure: None)
            draw_map(tmp_path / "map.png", ID, LABELS, classes, kinds, plane)
        return plt.gcf()

    yield draw
    plt.close("all")


@pytest.fixture
def figure(left_open: Callable[..., Figure]) -> Figure:
    return left_open(KINDS)


def principal(wanted: np.ndarray) -> np.ndarray:
    """Coordinates along the first two right singular vectors of the centred ID points."""
    _, _, axes = np.linalg.svd(ID - ID.mean(0), full_matrices=False)
    return (wanted - ID.mean(0)) @ axes[:2].T


def test_both_panels_show_id_points_in_the_plane_of_their_principal_components(figure: Figure) -> None:
    outliers, sets = figure.axes
    for axis in (outliers, sets):
        shown = np.asarray(axis.collections[0].get_offsets())
        assert np.abs(shown) == pytest.approx(np.abs(principal(ID)), abs=1e-5)
        assert np.asarray(axis.collections[0].get_array()).tolist() == LABELS.tolist()
        assert [text.get_text() for text in axis.texts] == CLASSES
        assert [text.xy for text in axis.texts] == [
            pytest.approx(shown[label == LABELS].mean(0), abs=1e-5) for label in range(3)
        ]


def test_outliers_have_one_panel_and_ood_sets_the_other(figure: Figure) -> None:
    named = [[text.get_text() for text in axis.get_legend().get_texts()] for axis in figure.axes]
    assert named == [["outlier embeddings", "outlier latents"], ["close", "away"]]
    signs = np.sign(np.asarray(figure.axes[0].collections[0].get_offsets())[0] * principal(ID)[0])
    for axis, names in zip(figure.axes, named, strict=True):
        assert len(axis.collections) == 3
        for drawing, name in zip(axis.collections[1:], names, strict=True):
            assert np.asarray(drawing.get_offsets()) == pytest.approx(signs * principal(KINDS[name]), abs=1e-5)


def test_no_mark_has_two_meanings(left_open: Callable[..., Figure]) -> None:
    many = KINDS | {f"set{i}": points(10 + i, 5) for i in range(6)}
    drawings = [drawing for axis in left_open(many).axes for drawing in axis.collections[1:]]
    marks = {(one.get_paths()[0].vertices.tobytes(), tuple(one.get_facecolor()[0])) for one in drawings}
    assert len(drawings) == len(marks) == len(many)


@pytest.mark.parametrize("plane", ["pca", "t-sne"])
def test_a_kind_without_points_is_named_all_the_same(left_open: Callable[..., Figure], plane: Plane) -> None:
    """As outliers of which none was accepted."""
    outliers, _ = left_open(KINDS | {"outlier latents": KINDS["away"][:0]}, plane=plane).axes
    assert [text.get_text() for text in outliers.get_legend().get_texts()] == ["outlier embeddings", "outlier latents"]
    assert len(np.asarray(outliers.collections[2].get_offsets())) == 0


def test_names_are_short_and_no_mathematics(left_open: Callable[..., Figure]) -> None:
    classes = [r"\frac$ ${x}$", f"{REVERSED}\udc80", ODD["long"]]
    figure = left_open(KINDS | {f"{'set-' * 20}{place}": points(place, 5) for place in (7, 8)}, classes)
    assert [text.get_text() for text in figure.axes[0].texts] == [
        r"\frac$ ${x}$",
        r"a\u202eb\u2066c\udc80",
        "very-very-very-…ry-very-",
    ]
    named = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert named == ["close", "away", "set-set-set-set…et-set-7", "set-set-set-set…et-set-8"]


def test_the_share_of_variance_stands_below(figure: Figure) -> None:
    variances = np.linalg.svd(ID - ID.mean(0), compute_uv=False) ** 2
    share = variances[:2].sum() / variances.sum()
    assert (
        figure.get_supxlabel() == f"first two principal components of ID test features ({share:.0%} of their variance)"
    )
    assert 0.7 < share < 0.99


@pytest.mark.parametrize("count", [1, SHOWN, SHOWN + 1, 2 * SHOWN - 1, 7 * SHOWN + 5])
def test_no_more_than_so_many_points_of_a_kind_are_drawn(left_open: Callable[..., Figure], count: int) -> None:
    drawings = left_open(KINDS | {"away": points(5, count)}).axes[1].collections
    shown = [len(np.asarray(drawing.get_offsets())) for drawing in drawings]
    assert shown[:2] == [60, 15]
    assert min(count, SHOWN // 2) <= shown[2] <= min(count, SHOWN)


def test_t_sne_keeps_neighbours_together_and_every_kind_in_its_place() -> None:
    """Two far clusters: each point's nearest in the plane is of its own cluster, whatever kind it is."""
    random = np.random.default_rng(0)
    centres = np.eye(8)[:2] * 20
    clusters = np.arange(24) % 2
    points = (centres[clusters] + random.normal(size=(24, 8))).astype(np.float32)
    kinds = {"outlier latents": points[12:18], "noise": points[18:]}
    own, others, told = flattened(points[:12], kinds, "t-sne")
    assert {name: flat.shape for name, flat in others.items()} == {"outlier latents": (6, 2), "noise": (6, 2)}
    flat = np.concatenate([own, *others.values()])
    distances = np.linalg.norm(flat[:, None] - flat[None], axis=2) + np.diag(np.full(24, np.inf))
    assert (clusters[distances.argmin(1)] == clusters).all()
    assert told.startswith("t-SNE")
    again, _, _ = flattened(points[:12], kinds, "t-sne")
    np.testing.assert_array_equal(own, again)


def test_a_map_is_a_picture_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    def made(name: str, labels: np.ndarray = LABELS, **more: np.ndarray) -> bytes:
        draw_map(tmp_path / name, ID, labels, CLASSES, KINDS | more)
        return (tmp_path / name).read_bytes()

    first = made("a.png")
    assert made("b.png") == first
    assert made("labels.png", labels=LABELS[::-1].copy()) != first
    assert made("points.png", away=points(6, 11)) != first
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
        assert picture.size == (1155, 528)
    assert plt.get_fignums() == []


class Files:
    """What the stages before `map` leave; the arrays stay here too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.features = {
            part: drawn(seed, 12, FEATURES) for seed, part in enumerate(("test", "close", "away", "noise"))
        }
        self.labels = torch.arange(12) % 3
        (folder / "features").mkdir()
        for part, features in self.features.items():
            write_part(folder / "features", part, Features(drawn(9, 12, 3), features, self.labels))
        write_head(folder / "features", drawn(10, 3, FEATURES), drawn(11, 3))
        self.embeddings, self.latents = F.normalize(drawn(12, 8, WORDS)), drawn(13, 10, CHANNELS, 8, 8)
        self.kept = np.array([7, 2, 4])
        header = {"classes": CLASSES}
        write_tensors(folder / "embeddings", {"embeddings": drawn(14, 5, WORDS).numpy()}, header)
        write_tensors(folder / "boundary", {"embeddings": self.embeddings.numpy(), "labels": np.arange(8)}, header)
        write_tensors(folder / "latents", {"latents": self.latents.numpy(), "labels": np.arange(10)}, header)
        write_tensors(folder / "gate", {"images": np.zeros(3, np.uint8), "kept": self.kept}, header)

    def map(self, heads: dict[str, Tensor]) -> None:
        arrays = {name: value.numpy() for name, value in heads.items()}
        write_tensors(self.folder / "heads.safetensors", arrays, {"terms": []})
        words = ["--settings", SETTINGS.canonical(), "--heads", self.folder / "heads.safetensors"]
        words += ["--features", self.folder / "features", "--output", self.folder / "map.png"]
        words += [word for name in ("boundary", "latents", "gate") for word in (f"--{name}", self.folder / name)]
        module.main(list(map(str, words)))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    return Files(tmp_path)


def test_the_stage_maps_test_images_outliers_that_the_gate_kept_and_ood_sets(files: Files) -> None:
    heads = learned()
    files.map(heads)
    kinds = {
        "outlier embeddings": files.embeddings.numpy(),
        "outlier latents": projected(heads, adapted(heads, files.latents[[7, 2, 4]])),
        **{part: projected(heads, files.features[part]) for part in ("close", "away", "noise")},
    }
    expected = files.folder / "expected.png"
    draw_map(expected, projected(heads, files.features["test"]), files.labels.numpy(), CLASSES, kinds)
    with Image.open(files.folder / "map.png") as drawn_by_stage, Image.open(expected) as drawn_here:
        assert drawn_by_stage.tobytes() == drawn_here.tobytes()


def test_no_outlier_that_the_gate_kept_is_no_mark(files: Files) -> None:
    write_tensors(files.folder / "gate", {"images": np.zeros(3, np.uint8), "kept": np.zeros(0, np.int64)}, {})
    files.map(learned())
    with Image.open(files.folder / "map.png") as picture:
        assert picture.size == (1155, 528)


def without(part: str) -> dict[str, Tensor]:
    return {name: value for name, value in learned().items() if not name.startswith(part)}


HEADLESS = {
    "no term": dict,
    "latents alone": lambda: without("boundary."),
    "boundary alone": lambda: without("latent."),
    "distillation alone": lambda: {"distillation.projection.weight": drawn(0, 2, 2)},
    "club": lambda: learned('{"from":"o","estimator":"club"}'),
}


@pytest.mark.parametrize("case", HEADLESS)
def test_a_model_without_heads_of_both_kinds_is_named(
    files: Files, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        files.map(HEADLESS[case]())
    assert caught.value.code == 1
    told = "no heads of both kinds of outliers; the map needs infonce on both"
    assert capsys.readouterr().err == f"error: {files.folder / 'heads.safetensors'}: {told}\n"
    assert not (files.folder / "map.png").exists()
