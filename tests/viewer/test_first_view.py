"""The first look: from a photo, else at the bulk of the scene, at a speed that fits."""

import dataclasses

import numpy as np
import pytest
import torch
from fakes_scenes import cloud

from gaussian_lens_app.session.recording import camera_at
from gaussian_lens_app.viewer.first_view import first_view, unit_of, whole_view
from gaussian_lens_app.viewer.flight import close_up, pose_of_camera
from gaussian_lens_app.viewer.outline import Target


def test_far_outliers_do_not_move_the_first_view():
    scene = cloud(2000)
    means = scene.means.clone()
    means[:20] = 1e5
    plain, with_floaters = whole_view(scene), whole_view(dataclasses.replace(scene, means=means))
    assert np.allclose(plain.position, with_floaters.position, atol=0.3)
    assert np.linalg.norm(plain.look_at) < 0.3


def test_head_and_feet_of_a_standing_figure_are_in_the_first_view():
    scene = cloud(2000)
    figure = torch.zeros(2000, 3)
    figure[:, 1] = torch.linspace(-1, 1, 2000)
    camera = camera_at(whole_view(dataclasses.replace(scene, means=figure)), 640, 480)
    pixels, _ = camera.project(figure)
    assert pixels[:, 1].min() > 0
    assert pixels[:, 1].max() < 480


@pytest.mark.parametrize("up", [(0, -1, 0), (0, 0, 1), (0, 0, -1), (1, 0, 0)])
def test_the_whole_is_seen_with_any_axis_up(up):
    pose = whole_view(cloud(500), up)
    forward = pose.look_at - pose.position
    assert abs(forward @ np.array(up)) < 0.5 * np.linalg.norm(forward)


def test_with_photos_the_first_view_is_the_asked_photos(textured_board, fast_rasterizer):
    for index in (0, 3):
        pose = first_view(textured_board.scene, textured_board.capture, fast_rasterizer, index)
        camera = textured_board.capture.photos[index].camera
        assert np.allclose(pose.position, camera.position, atol=1e-5)
        forward = pose.look_at - pose.position
        assert np.allclose(forward / np.linalg.norm(forward), camera.forward, atol=1e-5)


@pytest.mark.parametrize("size", [0.01, 1.0, 1000.0])
def test_keys_cross_any_scene_in_the_same_time(size):
    """The browser flies two of its units a second."""
    scene = cloud(500)
    scene = dataclasses.replace(scene, means=scene.means * size)
    pose = whole_view(scene)
    seconds = np.linalg.norm(pose.look_at - pose.position) / unit_of(pose) / 2
    assert seconds == pytest.approx(1.0)


def test_a_box_fills_the_screen_after_the_flight_to_it():
    camera = pose_of_camera(_camera(), 4.0)
    corners = np.array([[-0.5, -0.2, 1], [0.5, -0.2, 1], [0.5, 0.2, 1], [-0.5, 0.2, 1]])
    goal = close_up(Target(corners, np.array([0, 0, 1.0])), camera, aspect=1.0)
    assert np.allclose(goal.look_at, [0, 0, 1])
    width = 1.0 / (2 * np.tan(goal.fov / 2) * np.linalg.norm(goal.position - goal.look_at))
    assert width == pytest.approx(0.6)


def _camera():
    from scenes import camera_at

    return camera_at(0.0)


def test_a_point_has_no_scale():
    scene = cloud(1)
    assert unit_of(whole_view(dataclasses.replace(scene, means=torch.zeros(1, 3)))) == 1.0
