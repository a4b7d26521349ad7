"""What the browser's buttons write: never over what is there, and not without saying what is lost."""

from pathlib import Path

import pytest
from fakes_files import write_board
from fakes_visitor import Visitor

from gaussian_lens_app import formats
from gaussian_lens_app.errors import ExportError
from gaussian_lens_app.session.project import new_project, open_project
from gaussian_lens_app.viewer import View, downloads
from gaussian_lens_app.viewer.downloads import free_file, scene_name


def export(viewer: View, name: str, how: str = "Export") -> Visitor:
    visitor, section = Visitor(), viewer.panel.export
    section._name.value = name
    (section.write if how == "Export" else section.send)(visitor)
    return visitor


def test_the_opened_scene_is_never_written_over(viewer, tmp_path):
    before = (tmp_path / "board.ply").read_bytes()
    ((title, body),) = export(viewer, "board.ply").told
    assert title == "Not exported"
    assert "board.ply is the scene that was opened" in body
    assert (tmp_path / "board.ply").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["board.ply"]


def test_another_name_for_the_opened_scene_is_refused_too(tmp_path):
    own = write_board(tmp_path / "board.ply")
    (tmp_path / "other.ply").symlink_to(own)
    with pytest.raises(ExportError, match="was opened"):
        free_file(tmp_path, "other.ply", own)
    own.unlink()
    with pytest.raises(ExportError, match="was opened"):
        free_file(tmp_path, "board.ply", own)


def test_a_second_export_under_a_name_gets_a_number(viewer, tmp_path):
    export(viewer, "out.ply")
    first = (tmp_path / "out.ply").read_bytes()
    (tmp_path / "out.ply").write_bytes(first + b"mine")
    said = export(viewer, "out.ply").told
    assert "out_2.ply" in said[-1][1]
    assert (tmp_path / "out.ply").read_bytes() == first + b"mine"
    assert (tmp_path / "out_2.ply").read_bytes() == first


def test_a_number_goes_before_the_whole_ending(tmp_path):
    for name in ("a.compressed.ply", "a_2.compressed.ply"):
        assert free_file(tmp_path, "a.compressed.ply").name == name
        (tmp_path / name).touch()


@pytest.mark.parametrize("how", ["Export", "Download"])
def test_a_name_that_scatters_pictures_is_refused(viewer, tmp_path, how):
    visitor = export(viewer, "meta.json", how)
    assert "ends in .sog" in visitor.told[-1][1]
    assert not visitor.files
    assert [path.name for path in tmp_path.iterdir()] == ["board.ply"]


def test_every_name_of_a_sog_in_several_files_is_refused():
    with pytest.raises(ExportError, match="several files"):
        scene_name("../scene_Meta.JSON", "out.ply")


@pytest.mark.parametrize("how", ["Export", "Download"])
def test_what_is_lost_is_said_before_the_file_is_there(viewer, how):
    lossless, rounded = export(viewer, "out.ply", how), export(viewer, "out.spz", how)
    assert "This format keeps less" not in dict(lossless.told)
    title, body = rounded.told[0]
    assert title == "This format keeps less"
    assert "rounded" in body


def test_a_scene_too_large_for_a_browser_is_written_on_the_server_only(viewer, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "LARGEST_DOWNLOAD", 10)
    sent, written = export(viewer, "out.ply", "Download"), export(viewer, "out.ply")
    assert not sent.files
    assert "too much for a browser" in sent.told[-1][1]
    assert "out.ply" in written.told[-1][1]
    assert len(formats.load(tmp_path / "out.ply").gaussians) == 1


def test_turning_the_up_axis_is_saved_and_not_written_into_the_file(viewer, tmp_path):
    viewer.desk.project = new_project(tmp_path / "work", tmp_path / "board.ply", None, viewer.session)
    visitor = Visitor()
    viewer.panel.looking.turn(visitor)
    export(viewer, "out.ply")
    again, project = open_project(tmp_path / "work", "cpu")
    again.close()
    assert project.up is not None
    assert project.up != visitor.camera.up_direction
    assert (tmp_path / "out.ply").read_bytes() == (tmp_path / "board.ply").read_bytes()


def test_points_instead_of_splats_are_said(viewer):
    assert "point" in dict(export(viewer, "out.glb").told)["This format keeps less"]


def test_the_folder_for_exports_is_made_when_it_is_needed(viewer, tmp_path):
    viewer.desk.exports = tmp_path / "not" / "there"
    assert "Exported" in dict(export(viewer, "out.ply").told)
    assert (tmp_path / "not" / "there" / "out.ply").is_file()


def test_a_second_film_leaves_the_first(viewer, tmp_path):
    records = viewer.panel.records
    records._size.value, records._seconds.value, records._kind.value = (8, 8), 1, ".gif"
    (tmp_path / "board.gif").write_bytes(b"the first")
    visitor = Visitor()
    records.make_film(visitor)
    assert "board_2.gif" in visitor.told[-1][1], visitor.told
    assert Path(tmp_path / "board.gif").read_bytes() == b"the first"
