"""Upgrades of a whole scene: no box, shown piece by piece, one step of undo."""

import dataclasses
import threading
import time

import pytest
import torch
from fakes import BAD, BOX, Gated, InTurn, Scripted, patch_of, random_scene, result_of, same_bits, session_of
from scenes import write_capture

from gaussian_lens_app import cli
from gaussian_lens_app.errors import JobCancelled, MethodError
from gaussian_lens_app.formats import load, save
from gaussian_lens_app.methods import METHODS, Budget
from gaussian_lens_app.methods.base import Needs, Scope
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.scene import Box, Patch
from gaussian_lens_app.select import whole_region
from gaussian_lens_app.session import Previewed, upgrading
from gaussian_lens_app.session.history import previewed
from gaussian_lens_app.session.looks import Looks
from gaussian_lens_app.session.painting import Painter
from gaussian_lens_app.session.stored import box_json, box_of
from gaussian_lens_app.upgrade import UpgradeRequest, upgrade


class Brighter:
    """A method that turns every Gaussian white, half of them first."""

    name, label, summary = "brighter", "Brighter", "Whitens."
    needs, scopes = Needs.NOTHING, (Scope.SCENE,)

    def __call__(self, task, report):
        count = len(task.scene)
        for end in (count // 2, count):
            rows = torch.arange(end)
            added = task.scene.take(rows)
            added.sh0[:] = 1.7
            patch = Patch(rows, added, rows, provenance={"method": self.name, "kind": "derived"})
            task.preview(patch)
        return patch


@pytest.fixture
def brighter(monkeypatch):
    monkeypatch.setitem(METHODS, "brighter", Brighter())


def request_for(scene, capture, rasterizer, method, **changes):
    values = {"box": None, "budget": Budget.for_scene(scene), "mode": ANTIALIASED, **changes}
    return UpgradeRequest(scene=scene, capture=capture, method=method, rasterizer=rasterizer, **values)


def test_the_whole_scene_is_every_gaussian_and_every_photo(textured_board):
    region = whole_region(textured_board.scene, textured_board.capture)
    assert bool(region.selected.all())
    assert [view.photo for view in region.views] == list(range(len(textured_board.capture)))
    for view in region.views:
        camera = textured_board.capture.photos[view.photo].camera
        assert view.rect == camera.rect
        assert view.mask.shape == (camera.height, camera.width)
        assert bool(view.mask.all())


def test_the_resolution_of_photos_of_very_many_gaussians_is_that_at_the_middle_depth_of_some(textured_board):
    scene, capture = random_scene(1_000_000), textured_board.capture
    scene = dataclasses.replace(scene, means=0.2 * scene.means)
    began = time.perf_counter()
    depths = [photo.camera.to_camera(scene.means)[:, 2] for photo in capture.photos]
    middle = [float(one[one > 0].median()) for one in depths]
    each, began = time.perf_counter() - began, time.perf_counter()
    views = whole_region(scene, capture).views
    assert time.perf_counter() - began < each / 2
    for view, depth, photo in zip(views, middle, capture.photos, strict=True):
        assert view.resolution == pytest.approx(float(photo.camera.K[0, 0]) / depth, rel=0.005)


def test_a_method_for_whole_scenes_refuses_boxes(textured_board, fast_rasterizer, brighter):
    scene, capture = textured_board.scene, textured_board.capture
    camera = capture.photos[0].camera
    with pytest.raises(MethodError, match="works on the whole scene, not on a box"):
        upgrade(request_for(scene, capture, fast_rasterizer, "brighter", box=Box(camera, (90, 60, 150, 120))))


def test_without_photos_nothing_is_judged_and_the_method_runs(textured_board, fast_rasterizer, brighter):
    pieces = []
    result = upgrade(request_for(textured_board.scene, None, fast_rasterizer, "brighter", preview=pieces.append))
    assert [len(piece.removed) for piece in pieces] == [len(textured_board.scene) // 2, len(textured_board.scene)]
    assert result.verdict.accepted
    assert not result.verdict.verified


def test_pieces_show_in_the_picture_before_the_scene_changes(textured_board):
    shown, seen = threading.Event(), threading.Event()

    def make(request):
        request.preview(patch_of(range(len(scene)), scene.take(torch.arange(0))))
        shown.set()
        assert seen.wait(5)
        return result_of(request.scene, patch_of([0], random_scene(2)))

    scene = random_scene(3)
    session, told = session_of(scene, Scripted(make)), []
    session.subscribe(told.append)
    painter = Painter(session)
    job = session.upgrade(None, "brighter", Budget.for_scene(scene))
    assert shown.wait(5)
    assert len(painter.scene_shown(Looks())) == 0
    assert same_bits(painter.scene_shown(Looks(), before=True), scene)
    assert same_bits(session.scene, scene)
    seen.set()
    job.result(5)
    assert session.preview is None
    assert len(painter.scene_shown(Looks())) == len(session.scene) == 4
    assert sum(isinstance(event, Previewed) for event in told) == 2
    assert session.regions[0].box is None
    assert session.work.name(1) == "Whole scene 1"
    session.undo()
    assert same_bits(session.scene, scene)
    session.close()


def test_another_version_of_a_region_shows_its_pieces_too():
    seen = []

    def make(request):
        request.preview(patch_of([0], random_scene(4)))
        seen.append(session.preview)
        return result_of(request.scene, patch_of([0], random_scene(4)))

    scene = random_scene(3)
    session = session_of(scene, Scripted(lambda r: result_of(r.scene, patch_of([1], random_scene(2))), make))
    session.upgrade(BOX).result(5)
    session.upgrade_again(1, "brighter").result(5)
    assert len(seen[0].scene) == 6
    assert same_bits(seen[0].scene.take(torch.arange(2)), scene.take(torch.tensor([1, 2])))
    assert session.preview is None
    session.close()


def test_a_piece_that_comes_after_the_scene_has_changed_is_not_shown(monkeypatch):
    def undone_meanwhile(base, patch):
        session.undo()
        return previewed(base, patch)

    def make(request):
        request.preview(patch_of([0], random_scene(4)))
        seen.append(session.preview)
        return result_of(request.scene, patch_of([0], random_scene(4)))

    seen = []
    session = session_of(random_scene(3), Scripted(lambda r: result_of(r.scene, patch_of([], random_scene(2))), make))
    session.upgrade(BOX).result(5)
    monkeypatch.setattr(upgrading, "previewed", undone_meanwhile)
    session.upgrade(BOX).result(5)
    assert seen == [None]
    session.close()


def test_a_piece_that_comes_after_its_job_was_given_up_is_not_shown(monkeypatch):
    session, begun, gate, ended = session_of(random_scene(3)), *(threading.Event() for _ in range(3))

    def slow(base, patch):
        begun.set()
        gate.wait(5)
        return previewed(base, patch)

    def upgrade(request, report):
        request.preview(patch_of([0], random_scene(4)))
        ended.set()

    monkeypatch.setattr(upgrading, "previewed", slow)
    session._upgrade, session._worker.patience = upgrade, 0.1
    job = session.upgrade(BOX)
    assert begun.wait(5)
    job.cancel()
    assert job.wait(5)
    gate.set()
    assert ended.wait(5)
    assert session.preview is None
    session.close()


def test_a_piece_that_comes_after_an_undo_was_made_again_is_shown():
    def make(request):
        session.undo()
        session.redo()
        request.preview(patch_of([0], random_scene(4)))
        seen.append(session.preview)
        return result_of(request.scene, patch_of([0], random_scene(4)))

    seen = []
    session = session_of(random_scene(3), Scripted(lambda r: result_of(r.scene, patch_of([1], random_scene(2))), make))
    session.upgrade(BOX).result(5)
    assert session.upgrade(None, "brighter").result(5).applied
    assert len(seen[0].scene) == 7
    session.close()


def test_an_upgrade_at_work_on_what_was_taken_back_is_known_by_name():
    first = Scripted(lambda r: result_of(r.scene, patch_of([1], random_scene(2))))
    work = Gated(lambda r: result_of(r.scene, patch_of([0, 3], random_scene(4)), selected=list(range(4))))
    session = session_of(random_scene(3), InTurn(first, work))
    session.upgrade(BOX).result(5)
    job = session.upgrade(None, "brighter")
    assert work.begun.wait(5)
    assert session.stranded is None
    session.undo()
    assert session.stranded == job.status.name
    session.redo()
    assert session.stranded is None
    session.hide_region(1)
    assert session.stranded == job.status.name
    session.show_region(1)
    assert session.stranded is None
    session.undo()
    work.gate.set()
    with pytest.raises(MethodError, match="have changed since"):
        job.result(5)
    assert session.stranded is None
    session.close()


def test_another_version_of_a_region_that_goes_meanwhile_is_stranded_and_one_of_a_hidden_region_is_not():
    first = Scripted(lambda r: result_of(r.scene, patch_of([1], random_scene(2))))
    work = Gated(lambda request: result_of(request.scene, patch_of([1], random_scene(4))))
    session = session_of(random_scene(3), InTurn(first, work))
    session.upgrade(BOX).result(5)
    job = session.upgrade_again(1, "brighter")
    assert work.begun.wait(5)
    session.hide_region(1)
    assert session.stranded is None
    session.remove_region(1)
    assert session.stranded == job.status.name
    session.undo()
    work.gate.set()
    assert job.result(5).applied
    session.close()


def test_a_failed_upgrade_leaves_nothing_of_its_pieces():
    def make(request):
        request.preview(patch_of([0], random_scene(4)))
        raise MethodError("It does not work.")

    session = session_of(random_scene(3), Scripted(make))
    with pytest.raises(MethodError):
        session.upgrade(None, "brighter").result(5)
    assert session.preview is None
    session.close()


def test_a_cancelled_upgrade_keeps_what_its_method_says_is_of_use():
    def make(request):
        time.sleep(0.05)
        stop = JobCancelled("Stopped.")
        stop.kept = patch_of([0], random_scene(4))
        raise stop

    session = session_of(random_scene(3), Scripted(make))
    outcome = session.upgrade(None, "brighter").result(5)
    assert outcome.applied
    assert not outcome.verdict.verified
    assert 0.05 <= outcome.seconds < 5
    assert len(session.scene) == 6
    session.undo()
    assert len(session.scene) == 3
    session.close()


def finished_without(gone: list[int], removed: list[int], *after, parents: list[int] | None = None):
    """(a session of 100 rows, the job of an upgrade of all of it during which some rows were taken out by hand);
    `after`: upgrades to come."""
    scene = random_scene(100)
    added, parents = scene.take(torch.tensor(removed)), removed if parents is None else parents
    work = Gated(lambda r: result_of(r.scene, patch_of(removed, added, parents), selected=list(range(100))))
    session = session_of(scene, InTurn(work, *after))
    job = session.upgrade(None, "brighter", Budget.for_scene(scene))
    assert work.begun.wait(5)
    session.delete_splats(lambda edited: torch.isin(torch.arange(100), torch.tensor(gone)), "A speck removed")
    work.gate.set()
    return session, job


def test_a_finished_whole_scene_whose_splats_are_gone_is_kept_until_they_are_back():
    session, job = finished_without([50], list(range(100)))
    with pytest.raises(MethodError, match=r"have changed since.* is kept") as told:
        job.result(5)
    assert "box" not in str(told.value)
    with pytest.raises(MethodError, match="have changed since"):
        session.force()
    session.undo()
    assert session.force().applied
    assert session.work.name(session.regions[0].number) == "Whole scene 1"
    assert session.refused is None
    session.undo()
    assert len(session.scene) == 100
    session.close()


def test_a_whole_scene_that_waits_for_its_splats_is_not_forgotten_over_another_upgrade():
    another = Scripted(lambda r: result_of(r.scene, patch_of([3], random_scene(2))))
    session, job = finished_without([50], list(range(100)), another)
    assert job.wait(5)
    session.upgrade(BOX).result(5)
    waiting = session.waiting
    assert waiting is not None
    session.undo()
    session.undo()
    assert session.force().applied
    assert session.waiting is None
    session.close()


def test_what_the_judge_refused_does_not_wait():
    session = session_of(random_scene(5), Scripted(lambda r: result_of(r.scene, patch_of([0], random_scene(1)), BAD)))
    session.upgrade(BOX).result(5)
    assert session.refused is not None
    assert session.waiting is None
    session.close()


def test_another_version_of_a_region_that_is_gone_is_kept_until_the_region_is_back():
    work = Gated(lambda r: result_of(r.scene, patch_of([0], random_scene(3))))
    session = session_of(random_scene(3), InTurn(Scripted(lambda r: result_of(r.scene, patch_of([0], r.scene))), work))
    session.upgrade(BOX).result(5)
    job = session.upgrade_again(1, "brighter")
    assert work.begun.wait(5)
    session.remove_region(1)
    work.gate.set()
    with pytest.raises(MethodError, match=r"no longer there\. .* is kept"):
        job.result(5)
    session.undo()
    assert session.force().applied
    assert len(session.regions[0].alternatives) == 2
    session.close()


@pytest.mark.parametrize(
    ("gone", "parents", "lands"),
    [([50], [1, 2, 3], True), ([2], [1, 2, 3], False), ([50], [1, 2, 50], False), ([50], [-1, -1, -1], True)],
    ids=["another row is gone", "one it takes out is gone", "one it builds on is gone", "all is new"],
)
def test_a_whole_scene_of_which_few_parts_changed_needs_only_the_rows_of_these(gone, parents, lands):
    session, job = finished_without(gone, [1, 2, 3], parents=parents)
    if lands:
        assert job.result(5).applied
        assert len(session.scene) == 99
    else:
        with pytest.raises(MethodError, match="have changed since"):
            job.result(5)
    session.close()


def test_no_box_survives_storing():
    assert box_of(box_json(None)) is None


def test_the_command_upgrades_whole_scenes_without_photos(textured_board, tmp_path, brighter, capsys):
    save(tmp_path / "scene.ply", textured_board.scene)
    out = tmp_path / "out.ply"
    arguments = ["upgrade", str(tmp_path / "scene.ply"), "--method", "brighter", "-o", str(out)]
    assert cli.main([*arguments, "--whole"]) == 0
    assert float(load(out).gaussians.sh0.min()) == pytest.approx(1.7)
    assert b"CONTAINS INVENTED DETAIL" in out.read_bytes()
    assert cli.main(arguments) == 1
    assert "--whole for the whole scene" in capsys.readouterr().err


def test_the_benchmark_takes_whole_scene_methods(textured_board, tmp_path, brighter, capsys):
    save(tmp_path / "scene.ply", textured_board.scene)
    write_capture(textured_board.capture, tmp_path / "photos")
    arguments = ["evaluate", tmp_path / "photos", "--scene", tmp_path / "scene.ply", "--holdout", "3:1"]
    options = ["--methods", "input", "brighter", "--whole", "--photo-long-side", "120"]
    assert cli.main([*map(str, arguments), *options]) == 0
    assert "brighter" in capsys.readouterr().out
