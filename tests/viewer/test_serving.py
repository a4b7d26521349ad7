"""What `gsr-view` does with its arguments: which project it opens or makes, and when it readies the scene."""

import errno
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gaussian_lens_app import formats
from gaussian_lens_app.errors import FileError
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.formats.atomic import export_error
from gaussian_lens_app.scene import Box, Camera, Gaussians, Patch, Region
from gaussian_lens_app.session import Session
from gaussian_lens_app.session.close_views import CLOSE_VIEWS_NAME
from gaussian_lens_app.session.looks import Pose
from gaussian_lens_app.session.project import new_project, open_project
from gaussian_lens_app.upgrade import UpgradeResult
from gaussian_lens_app.viewer import serving

BOX = Box(Camera(torch.eye(4), torch.eye(3), 8, 8), (0, 0, 8, 8))
HOME = Pose(np.ones(3), np.zeros(3), np.array([0.0, -1, 0]), 0.8, "Home")


def gaussians(count: int, seed: int = 0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(count, 3), (count, 4), (count, 3), (count,), (count, 1, 3), (count, 0, 3)]
    return Gaussians(*(torch.randn(shape, generator=generator) for shape in shapes))


def replaced(request, report):
    """An upgrade that takes out the first row and puts in two."""
    mask = torch.zeros(len(request.scene), dtype=torch.bool)
    mask[0] = True
    verdict = Verdict(True, True, 1.0, 0.1, "photo", "Better.")
    patch = Patch(torch.tensor([0]), gaussians(2, 1), torch.tensor([0, -1]))
    return UpgradeResult(patch, Region(mask, mask.float()), verdict, {"select": 0.0, "method": 0.0, "judge": 0.0})


def widened(edited, capture, rasterizer, report):
    """The patch of a scene made from smaller photos."""
    rows = torch.arange(len(edited.scene))
    return Patch(rows, edited.scene, rows, rows, kinds=edited.rows.kinds)


@pytest.fixture
def scene(tmp_path):
    formats.save(tmp_path / "scene.ply", gaussians(10))
    return tmp_path / "scene.ply"


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """`view`, with what its user does instead of a server: serve(do, scene, ...) calls do(session, viewer)."""
    doing = []

    def shown(session, host, port, project=None, exports=None, first_photo=0):
        desk = SimpleNamespace(project=project, exports=tmp_path, home=HOME, bookmarks=())
        desk.set_bookmarks = lambda bookmarks: None
        desk.refresh = lambda: None
        desk.tell = lambda client, title, body, bad=False: pytest.fail(body)
        viewer = SimpleNamespace(desk=desk, session=session, port=port, url="http://nowhere", stop=lambda: None)

        def do():
            session.in_background("nothing", lambda report: None).result(10)
            session._worker.submit("nothing", lambda report: None).result(10)  # what was queued is done
            session._upgrade = replaced
            session._picker._select = everything
            doing[0](session, viewer)

        viewer.serve = do
        return viewer

    monkeypatch.setattr(serving, "View", shown)
    monkeypatch.setattr("gaussian_lens_app.session.steps.close_views_patch", widened)

    def run(do, scene, capture=None, **how):
        doing[:] = [do]
        serving.view(scene, capture, device="cpu", open_browser=False, **how)

    return run


def everything(scene, box, capture, rasterizer, *, mode, through=False) -> Region:
    return Region(torch.ones(len(scene), dtype=torch.bool), torch.ones(len(scene)))


def names(session):
    return [edit.name for edit in session.history]


def test_a_new_project_is_readied_for_close_views_and_a_reopened_one_is_left_as_it_was(serve, scene, tmp_path):
    folder, seen = tmp_path / "work", []

    def upgrade_then_undo_all(session, viewer):
        seen.append(names(session))
        session.upgrade(BOX).result(10)
        session.hide_region(1)

    serve(upgrade_then_undo_all, scene, project=folder)
    assert seen == [[CLOSE_VIEWS_NAME]]

    def look(session, viewer):
        seen.append(names(session))

    serve(lambda session, viewer: session.undo(), folder)
    serve(look, folder)
    serve(look, scene, project=folder)
    assert seen[1:] == [[], []]


def test_a_hidden_region_can_be_shown_in_a_reopened_project(serve, scene, tmp_path):
    folder = tmp_path / "work"

    def upgrade_and_hide(session, viewer):
        session.upgrade(BOX).result(10)
        session.hide_region(1)

    serve(upgrade_and_hide, scene, project=folder, close_views=False)
    assert names(open_and_close(folder)) == []
    serve(lambda session, viewer: session.show_region(1), folder)
    assert len(open_and_close(folder).history) == 1


def open_and_close(folder: Path):
    session, _ = open_project(folder, "cpu")
    session.close()
    return session


def test_taking_back_the_readying_makes_no_project_and_an_upgrade_does(serve, scene, tmp_path):
    def undo_and_redo(session, viewer):
        session.undo()
        session.redo()
        session.undo()
        assert not (tmp_path / "scene_project").exists()
        session.upgrade(BOX).result(10)

    serve(undo_and_redo, scene)
    assert len(open_and_close(tmp_path / "scene_project").history) == 1


def project_of(scene: Path, folder: Path) -> Path:
    session, _ = open_scene(scene)
    new_project(folder, scene, None, session)
    session.close()
    return folder


def open_scene(scene: Path):
    return serving._open(scene, None, "cpu", None)


@pytest.mark.parametrize("problem", [FileError("No."), PermissionError(13, "Permission denied"), KeyboardInterrupt()])
def test_a_session_without_its_project_is_closed(monkeypatch, scene, tmp_path, problem):
    def fails(*_):
        raise problem

    closed = []
    monkeypatch.setattr(serving, "new_project", fails)
    monkeypatch.setattr(Session, "close", lambda session: closed.append(session))
    with pytest.raises(type(problem)):
        serving._open(scene, None, "cpu", tmp_path / "work")
    assert len(closed) == 1
    monkeypatch.undo()
    closed[0].close()


def test_another_scene_is_not_opened_as_the_projects_own(serve, scene, tmp_path):
    folder, other = project_of(scene, tmp_path / "work"), tmp_path / "other.ply"
    formats.save(other, gaussians(10, 7))
    with pytest.raises(FileError, match=r"scene\.ply, not from .*other\.ply"):
        serve(lambda *_: None, other, project=folder)


def test_photos_a_project_was_not_made_from_are_refused_rather_than_ignored(serve, scene, tmp_path):
    folder = project_of(scene, tmp_path / "work")
    for arguments in ((folder,), (folder / "project.json",)):
        with pytest.raises(FileError, match="made without photos, not from"):
            serve(lambda *_: None, *arguments, tmp_path)
    with pytest.raises(FileError, match="made without photos, not from"):
        serve(lambda *_: None, scene, tmp_path, project=folder)


def test_a_second_project_for_a_project_is_refused_rather_than_ignored(serve, scene, tmp_path):
    folder = project_of(scene, tmp_path / "work")
    with pytest.raises(FileError, match="is a project itself"):
        serve(lambda *_: None, folder, project=tmp_path / "other")
    serve(lambda *_: None, folder / "project.json", project=folder)


def test_work_that_could_not_be_saved_is_saved_by_the_next_step_that_can(serve, scene, tmp_path):
    told: list[str] = []

    def do(session, viewer):
        desk = viewer.desk
        desk.unsaved, desk.refresh = None, lambda: None
        desk.tell = lambda client, title, body, bad=False: told.append(title)
        (tmp_path / "a_file").write_text("")
        desk.exports = tmp_path / "a_file" / "folder"
        for _ in range(2):
            session.upgrade(BOX).result(5)
        assert desk.project is None
        assert "a_file" in desk.unsaved
        desk.exports = tmp_path
        session.upgrade(BOX).result(5)
        assert desk.project is not None
        assert desk.unsaved is None

    serve(do, scene)
    assert told == ["Your work is not saved"]


def test_work_that_no_room_was_left_for_gets_one_folder_with_the_plain_name(serve, scene, tmp_path, monkeypatch):
    def full(path, mode="wb"):
        raise export_error(path, OSError(errno.ENOSPC, "No space left on device"))

    def do(session, viewer):
        desk = viewer.desk
        desk.unsaved, desk.refresh = None, lambda: None
        desk.tell = lambda client, title, body, bad=False: None
        with monkeypatch.context() as patched:
            patched.setattr("gaussian_lens_app.session.project.write_atomically", full)
            for _ in range(3):
                session.upgrade(BOX).result(5)
            assert "disk is full" in desk.unsaved
            assert [path.name for path in tmp_path.iterdir()] == ["scene.ply"]
        session.upgrade(BOX).result(5)
        assert desk.project.folder.name == "scene_project"

    serve(do, scene)
    assert len(open_and_close(tmp_path / "scene_project").regions) == 4


def test_the_panel_says_at_once_that_the_last_change_was_not_saved_and_when_it_is(viewer, tmp_path, monkeypatch):
    def full(path, mode="wb"):
        raise export_error(path, OSError(errno.ENOSPC, "No space left on device"))

    session, facts = viewer.session, viewer.panel._facts
    session._upgrade = replaced
    serving._save_from_the_first_step_on(viewer, tmp_path / "board.ply", None)
    session.upgrade(None).result(10)
    assert "saved in *board\\_project*" in facts.content
    with monkeypatch.context() as patched:
        patched.setattr("gaussian_lens_app.session.project.write_atomically", full)
        session.rename_region(1, "Leaf")
        assert "disk is full" in facts.content
        session.undo()
        assert "Not saved in *board\\_project*" in facts.content
    session.redo()
    assert "⚠" not in facts.content
    session.undo()
    assert "saved in *board\\_project*" in facts.content
