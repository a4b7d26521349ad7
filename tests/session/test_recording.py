"""Pictures and films: the right pixels, the right size, whole or not at all."""

import io

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from gaussian_lens_app.errors import ExportError, JobCancelled
from gaussian_lens_app.session import Session
from gaussian_lens_app.session.looks import Looks, Pose
from gaussian_lens_app.session.painting import Painter
from gaussian_lens_app.session.recording import along, as_bytes, camera_at, png, turntable, video_suffixes, write_video

FRONT = Pose(np.array([0.0, 0, -3.5]), np.zeros(3), np.array([0.0, -1, 0]), 0.8)
SIDE = Pose(np.array([2.0, 0, -3.0]), np.zeros(3), np.array([0.0, -1, 0]), 0.8)


@pytest.fixture
def painter(textured_board, fast_rasterizer):
    session = Session(textured_board.scene, rasterizer=fast_rasterizer, capture=textured_board.capture)
    yield Painter(session)
    session.close()


def test_the_camera_of_a_view_looks_where_the_view_says():
    camera = camera_at(SIDE, 300, 200)
    assert np.allclose(camera.position, SIDE.position, atol=1e-5)
    pixels, depths = camera.project(camera.position.new_tensor([[0.0, 0, 0], [0.0, -0.5, 0]]))
    assert np.allclose(pixels[0], [150, 100], atol=1e-3)
    assert pixels[1, 1] < 100  # up is up in the picture
    assert bool((depths > 0).all())


@pytest.mark.parametrize("size", [(300, 200), (200, 400), (1501, 307)])
def test_a_screenshot_has_any_size_and_the_pixels_of_the_rasterizer(painter, size):
    camera = camera_at(FRONT, *size)
    shot = iio.imread(io.BytesIO(png(painter.paint, camera, Looks())), extension=".png")
    assert shot.shape == (size[1], size[0], 3)
    drawn = painter.session.rasterizer.render(painter.session.scene, camera).rgb
    assert np.array_equal(shot, as_bytes(drawn))


def test_a_screenshot_of_no_size_or_too_large_a_one_is_a_sentence(painter):
    with pytest.raises(ExportError, match="1 to 8192"):
        png(painter.paint, camera_at(FRONT, 9000, 10), Looks())


def test_a_turntable_stays_at_its_distance_and_closes():
    poses = turntable(SIDE, 36)
    far = [np.linalg.norm(pose.position) for pose in poses]
    assert np.allclose(far, far[0])
    assert all(abs(pose.position[1]) < 1e-9 for pose in poses)
    steps = [np.linalg.norm(a.position - b.position) for a, b in zip(poses, [*poses[1:], poses[0]], strict=True)]
    assert np.allclose(steps, steps[0])


def test_a_path_goes_through_its_bookmarks():
    middle = Pose(np.array([1.0, -1, -3.0]), np.array([0.1, 0, 0]), np.array([0.0, -1, 0]), 0.6)
    poses = along([FRONT, middle, SIDE], 21)
    for index, stop in ((0, FRONT), (10, middle), (20, SIDE)):
        assert np.allclose(poses[index].position, stop.position)
        assert poses[index].fov == pytest.approx(stop.fov)
    with pytest.raises(ExportError, match="two bookmarks"):
        along([FRONT], 10)


@pytest.mark.parametrize("suffix", video_suffixes())
def test_a_film_has_its_pictures_in_order(painter, tmp_path, suffix):
    poses = along([FRONT, SIDE], 5)
    path = write_video(tmp_path / f"film{suffix}", painter.paint, poses, (161, 120), Looks())
    frames = (
        np.stack([frame[..., :3] for frame in iio.imread(path, index=None)])
        if suffix == ".mp4"
        else iio.imread(path, plugin="pillow", index=...)[..., :3]
    )
    assert frames.shape == (5, 120, 160, 3)  # the asked frames, at the asked size less an odd column
    for frame, pose in zip(frames, poses, strict=True):
        drawn = as_bytes(painter.paint(camera_at(pose, 160, 120), Looks())).astype(float)
        assert np.abs(frame - drawn).mean() < 12


def test_a_cancelled_film_leaves_nothing(painter, tmp_path):
    def cancel(stage, fraction):
        if fraction > 0.4:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        write_video(tmp_path / "film.webp", painter.paint, along([FRONT, SIDE], 6), (64, 64), Looks(), cancel)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_of_film_is_a_sentence(painter, tmp_path):
    with pytest.raises(ExportError, match=r"\.webp, \.gif"):
        write_video(tmp_path / "film.avi", painter.paint, [FRONT], (64, 64), Looks())


def test_where_mp4_cannot_be_written_it_is_said_what_to_install(painter, tmp_path, monkeypatch):
    monkeypatch.setattr("gaussian_lens_app.session.recording.find_spec", lambda name: None)
    assert video_suffixes() == (".webp", ".gif")
    with pytest.raises(ExportError, match=r'for \.mp4: pip install "gaussian_lens_app\[video\]"'):
        write_video(tmp_path / "film.mp4", painter.paint, [FRONT], (64, 64), Looks())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_a_film_that_would_fill_the_memory_is_refused_before_it_is_drawn(tmp_path, monkeypatch, suffix):
    def drawn(*_):
        raise AssertionError("A picture was drawn.")

    poses, size = turntable(FRONT, 720), (1920, 1080)
    with pytest.raises(ExportError, match=r"4.5 GB of memory.*choose \.mp4.*shorter or smaller"):
        write_video(tmp_path / f"film{suffix}", drawn, poses, size, Looks())
    monkeypatch.setattr("gaussian_lens_app.session.recording.find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r'pip install "gaussian_lens_app\[video\]"'):
        write_video(tmp_path / f"film{suffix}", drawn, poses, size, Looks())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", video_suffixes())
def test_a_film_that_has_no_place_to_go_is_refused_before_it_is_drawn(tmp_path, suffix):
    def drawn(*_):
        raise AssertionError("A picture was drawn.")

    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="a folder is needed"):
        write_video(tmp_path / "file" / f"film{suffix}", drawn, [FRONT], (64, 64), Looks())


def test_the_folder_of_a_film_is_made(painter, tmp_path):
    assert write_video(tmp_path / "new" / "folder" / "film.gif", painter.paint, [FRONT], (8, 8), Looks()).is_file()


@pytest.mark.skipif(".mp4" not in video_suffixes(), reason="the extra `video` is not installed")
def test_a_film_written_picture_by_picture_may_be_of_any_length(painter, tmp_path, monkeypatch):
    monkeypatch.setattr("gaussian_lens_app.session.recording.MOST_KEPT", 1000)
    assert write_video(tmp_path / "film.mp4", painter.paint, turntable(FRONT, 4), (64, 48), Looks()).is_file()


@pytest.mark.parametrize("suffix", video_suffixes())
def test_a_turntable_film_has_the_asked_frames_and_lasts_as_long(painter, tmp_path, suffix):
    path = write_video(tmp_path / f"around{suffix}", painter.paint, turntable(FRONT, 12), (96, 64), Looks(), fps=6)
    if suffix == ".mp4":
        facts = iio.immeta(path, plugin="FFMPEG")
        assert facts["fps"] == 6
        assert facts["duration"] == pytest.approx(2, abs=0.1)
        assert len(list(iio.imiter(path, plugin="FFMPEG"))) == 12
    else:
        assert len(iio.imread(path, plugin="pillow", index=...)) == 12
        with Image.open(path) as film:
            film.seek(1)
            film.load()
            assert film.info["duration"] == pytest.approx(1000 / 6, abs=10)
