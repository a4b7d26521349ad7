"""Scenes made from small photos are readied for close views by one edit that can be undone."""

import dataclasses

import pytest
import torch
from fakes import Scripted, patch_of, random_scene, result_of, same_bits
from veiled import VEIL, ball

from gaussian_lens_app import formats
from gaussian_lens_app.raster.cpu import CpuRasterizer
from gaussian_lens_app.scene import Box, Gaussians
from gaussian_lens_app.session import Session
from gaussian_lens_app.session.close_views import CLOSE_VIEWS_NAME
from gaussian_lens_app.session.project import new_project, open_project
from tests.scenes import board

RASTERIZER = CpuRasterizer()


@pytest.fixture(scope="module")
def made():
    """A board and its photos."""
    return board(RASTERIZER)


@pytest.fixture(scope="module")
def thin(made):
    """The board made of needles, which its photos contradict."""
    narrower = torch.tensor([1.0, 0.02, 1.0]).log()
    return dataclasses.replace(made.scene, log_scales=made.scene.log_scales + narrower)


@pytest.fixture
def session_on():
    """Sessions on a scene, closed when the test is over."""
    sessions = []

    def make(scene, capture, **how):
        sessions.append(Session(scene, rasterizer=RASTERIZER, capture=capture, **how))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


@pytest.fixture
def needles(made, thin, session_on):
    return session_on(thin, made.capture)


def test_undo_takes_the_widening_back_bit_for_bit(needles, thin):
    edit = needles.ready_close_views().result(60)
    assert edit is not None
    assert len(needles.scene) == len(thin)
    assert (needles.scene.log_scales >= thin.log_scales).all()
    assert (needles.scene.log_scales > thin.log_scales).any()
    assert needles.sources.tolist() == list(range(len(thin)))
    needles.undo()
    assert same_bits(needles.scene, thin)


def test_veils_before_the_cameras_go_and_undo_brings_them_back(made, thin, session_on):
    veiled = Gaussians.concat([ball(VEIL, 0.3), thin])
    session = session_on(veiled, made.capture)
    edit = session.ready_close_views().result(60)
    assert edit is not None
    assert edit.patch.provenance["veils"] == 1
    assert torch.equal(session.scene.means, thin.means)
    assert session.sources.tolist() == list(range(1, len(veiled)))
    session.undo()
    assert same_bits(session.scene, veiled)


def test_a_scene_as_sharp_as_its_photos_is_left_alone(made, session_on):
    session = session_on(made.truth, made.capture)
    assert session.ready_close_views().result(60) is None
    assert session.scene is made.truth


def test_without_photos_nothing_happens(made, session_on):
    session = session_on(made.scene, None)
    assert session.ready_close_views().result(60) is None
    assert session.history == ()


@pytest.fixture
def readied(made, thin, session_on, tmp_path):
    """(session, project folder) of the board of needles, readied, and one upgrade on top."""
    path = tmp_path / "scene.ply"
    formats.save(path, thin)
    file = formats.load(path)
    added = random_scene(2, thin.sh_degree)
    upgrade = Scripted(lambda request: result_of(request.scene, patch_of([0, 1], added, [0, -1])))
    session = session_on(file.gaussians, made.capture, file=file, upgrade=upgrade)
    folder = new_project(tmp_path / "work", path, None, session).folder
    session.ready_close_views().result(60)
    session.upgrade(Box(made.capture.photos[0].camera, (0, 0, 8, 8))).result(10)
    return session, folder


def reopened(folder):
    session, _ = open_project(folder, "cpu")
    session.close()
    return session


def test_a_reopened_project_has_the_widened_splats_and_still_knows_the_opened_ones(readied, thin):
    session, folder = readied
    again = reopened(folder)
    assert [edit.name for edit in again.history] == [edit.name for edit in session.history]
    assert again.history[0].name == CLOSE_VIEWS_NAME
    assert same_bits(again.scene, session.scene)
    assert same_bits(again.baseline.scene, session.baseline.scene)
    assert torch.equal(again.sources, session.sources)
    again.undo()
    again.undo()
    assert same_bits(again.scene, reopened(folder).original.scene)
    assert torch.allclose(again.scene.log_scales, thin.log_scales)


def test_a_hidden_upgrade_on_widened_splats_can_be_shown_after_reopening(readied):
    session, folder = readied
    full = session.scene
    session.hide_region(1)
    again = reopened(folder)
    again.show_region(1)
    assert same_bits(again.scene, full)


def test_a_project_whose_widening_was_taken_back_opens_without_it(readied):
    session, folder = readied
    session.undo()
    session.undo()
    again = reopened(folder)
    assert again.history == ()
    assert again.regions == ()
    assert same_bits(again.scene, again.original.scene)
