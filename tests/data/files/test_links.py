"""Named files that leave their folder through a link, by list and by table; folders' own links are followed."""

from pathlib import Path

import pytest
from PIL import Image

from synthood.data.part_settings import PartSettings
from synthood.data.prepare import prepare
from synthood.data.sources.torchvision import Torchvision
from synthood.errors import SynthoodError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """`set` with a folder and a file that lead out of it, and others that stay inside; `alias` is a link to it."""
    for folder in ("set/own", "secret", "set-two"):
        (tmp_path / folder).mkdir(parents=True)
        Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / folder / "a.png")
    (tmp_path / "set/linked").symlink_to(tmp_path / "secret")
    (tmp_path / "set/sibling").symlink_to(tmp_path / "set-two")
    (tmp_path / "set/own/out.png").symlink_to(tmp_path / "secret/a.png")
    (tmp_path / "set/own/in.png").symlink_to("a.png")
    (tmp_path / "set/inside").symlink_to("own")
    (tmp_path / "alias").symlink_to("set")
    return tmp_path


def source_of(kind: str, place: Path, entry: str, root: str, **more: object) -> dict[str, object]:
    if kind == "imglist":
        (place / "list.txt").write_text(f"own/a.png 0\n{entry} 0\n")
        return {"kind": kind, "path": str(place / root), "list": str(place / "list.txt"), **more}
    (place / "set/table.csv").write_text(f"path\nown/a.png\n{entry}\n")
    return {"kind": kind, "path": str(place / root / "table.csv"), **more}


def prepared(source: dict[str, object]) -> int:
    return len(prepare(PartSettings.model_validate({"part": "far", "ood": True, "source": source})))


@pytest.mark.parametrize("root", ["set", "alias"])
@pytest.mark.parametrize("kind", ["imglist", "manifest"])
@pytest.mark.parametrize("entry", ["linked/a.png", "sibling/a.png", "own/out.png", "inside/out.png"])
def test_a_file_that_a_link_takes_out_is_refused(place: Path, kind: str, entry: str, root: str) -> None:
    with pytest.raises(SynthoodError, match=rf"{entry}' leads out of the folder .* by a link; .*`follow_links: true`"):
        prepared(source_of(kind, place, entry, root))
    assert prepared(source_of(kind, place, entry, root, follow_links=True)) == 2


@pytest.mark.parametrize("kind", ["imglist", "manifest"])
@pytest.mark.parametrize("entry", ["own/in.png", "inside/a.png"])
def test_links_inside_the_folder_are_read(place: Path, kind: str, entry: str) -> None:
    assert prepared(source_of(kind, place, entry, "alias")) == 2


def test_the_links_of_a_folder_are_followed(place: Path) -> None:
    assert prepared({"kind": "folders", "path": str(place / "set")}) == 8


def test_the_lists_of_a_layout_do_not_leave_it(place: Path) -> None:
    for folder in ("labels", "images/own"):
        (place / "dtd/dtd" / folder).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(place / "dtd/dtd/images/own/a.png")
    settings = Torchvision(kind="dtd", path=str(place))
    listed = place / "dtd/dtd/labels/test1.txt"
    listed.write_text("own/a.png\n")
    assert len(settings.listing()) == 1
    listed.write_text("own/a.png\n../../../set/own/a.png\n")
    with pytest.raises(SynthoodError, match=r"\.\./set/own/a.png: not found, but named by .*test1.txt"):
        settings.listing()
