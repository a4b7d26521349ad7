"""Photos without cameras of their own, beside a scene whose file states them, are a capture."""

import numpy as np
import pytest
import torch
from plyfile import PlyElement
from scenes import camera_at, write_capture
from splats import table_of, vertex_of, write_ply

from gaussian_lens_app.cli import main
from gaussian_lens_app.errors import CaptureError
from gaussian_lens_app.formats import load, load_capture
from gaussian_lens_app.session import open_session


def column(name: str, values, code: str) -> PlyElement:
    return PlyElement.describe(np.array([(v,) for v in np.asarray(values).ravel()], [(name, code)]), name)


@pytest.fixture
def stated(textured_board, tmp_path):
    """(scene.ply that states the board's cameras, folder with the photos alone)."""
    write_capture(textured_board.capture, tmp_path / "capture")
    (tmp_path / "capture" / "transforms.json").unlink()
    cameras = [photo.camera for photo in textured_board.capture.photos]
    elements = [
        column("extrinsic", torch.stack([camera.viewmat for camera in cameras]).numpy(), "f4"),
        column("intrinsic", cameras[0].K.numpy(), "f4"),
        column("image_size", [cameras[0].width, cameras[0].height], "u4"),
    ]
    path = write_ply(tmp_path / "scene.ply", vertex_of(table_of(textured_board.scene)), *elements)
    return path, tmp_path / "capture"


def test_a_session_on_them_has_the_photos_with_their_cameras(stated, textured_board):
    scene, photos = stated
    session = open_session(scene, photos, "cpu")
    for ours, theirs in zip(session.capture.photos, textured_board.capture.photos, strict=True):
        assert ours.name == theirs.name
        torch.testing.assert_close(ours.camera.viewmat, theirs.camera.viewmat, atol=1e-5, rtol=0)
        torch.testing.assert_close(ours.camera.K, theirs.camera.K)
    assert any("taken from the scene's file" in note for note in session.notes)
    session.close()


def test_an_upgrade_without_a_screen_uses_them(stated, tmp_path):
    scene, photos = stated
    box = ["--photo", "photo_02", "--box", "90", "60", "150", "110"]
    how = ["--method", "fit-only", "--budget-seconds", "0.5", "--force"]
    assert main(["upgrade", str(scene), "--capture", str(photos), *box, *how, "-o", str(tmp_path / "b.ply")]) == 0


def test_one_photo_is_enough_for_one_camera(stated):
    scene, photos = stated
    first = load(scene).cameras[:1]
    capture = load_capture(photos / "images" / "photo_00.png", stated=first)
    assert [photo.name for photo in capture.photos] == ["photo_00.png"]


def test_another_number_of_photos_is_refused_with_what_to_do(stated):
    scene, photos = stated
    (photos / "images" / "photo_03.png").unlink()
    with pytest.raises(CaptureError, match="states 6 cameras, but there are 5 photos"):
        load_capture(photos, stated=load(scene).cameras)


def test_photos_of_another_shape_are_refused(stated):
    from PIL import Image

    scene, photos = stated
    Image.new("RGB", (100, 100)).save(photos / "images" / "photo_03.png")
    with pytest.raises(CaptureError, match="use the photos the cameras were made from"):
        load_capture(photos, stated=load(scene).cameras)


def test_cameras_of_the_photos_own_come_first(stated, textured_board):
    scene, photos = stated
    moved = tuple((name, camera_at(1.0)) for name, _ in load(scene).cameras)
    write_capture(textured_board.capture, photos / "whole")
    capture = load_capture(photos / "whole", stated=moved)
    torch.testing.assert_close(
        capture.photos[0].camera.viewmat, textured_board.capture.photos[0].camera.viewmat, atol=1e-5, rtol=0
    )
