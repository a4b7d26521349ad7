import pytest
import torch

from gaussian_lens_app.evaluation.consistency import disagreement, pairs, plot_rounds, sighted
from gaussian_lens_app.raster import ANTIALIASED, for_device
from tests.scenes import board


@pytest.fixture(scope="module")
def seen():
    rasterizer = for_device("cpu")
    made = board(rasterizer, photos=4, width=240)
    cameras = [photo.camera for photo in made.capture.photos]
    sights = [sighted(made.truth, camera, camera.rect, rasterizer, ANTIALIASED) for camera in cameras]
    return [photo.crop(photo.camera.rect) for photo in made.capture.photos], sights


def noise(count: int, like) -> list:
    torch.manual_seed(0)
    return [0.1 * torch.randn_like(like) for _ in range(count)]


def test_photos_of_one_scene_disagree_far_less_than_noise_of_each_its_own(seen):
    photos, sights = seen
    flat = [torch.full_like(photo, 0.5) + one for photo, one in zip(photos, noise(4, photos[0]), strict=True)]
    same, own = disagreement(photos, sights, 4), disagreement(flat, sights, 4)
    assert same.detail < 0.7
    assert 1.1 < own.detail < 1.5
    assert own.detail > 1.6 * same.detail


def test_inventing_on_each_photo_alone_raises_the_disagreement(seen):
    photos, sights = seen
    invented = [photo + one for photo, one in zip(photos, noise(4, photos[0]), strict=True)]
    assert disagreement(invented, sights, 4).detail > disagreement(photos, sights, 4).detail + 0.1


def test_blur_does_not_make_pictures_agree_that_do_not(seen):
    photos, sights = seen
    flat = [torch.full_like(photo, 0.5) + one for photo, one in zip(photos, noise(4, photos[0]), strict=True)]
    faint = [0.5 + 0.1 * (picture - 0.5) for picture in flat]
    strong, weak = disagreement(flat, sights, 4), disagreement(faint, sights, 4)
    assert weak.detail == pytest.approx(strong.detail, rel=1e-3)
    assert weak.energy == pytest.approx(0.1 * strong.energy, rel=1e-3)


def test_windows_of_the_cameras_are_compared_where_they_overlap(seen):
    photos, sights = seen
    rasterizer = for_device("cpu")
    made = board(rasterizer, photos=4, width=240)
    rect = (80, 60, 160, 120)
    windows = [sighted(made.truth, sight.camera, rect, rasterizer, ANTIALIASED) for sight in sights]
    parts = [photo[60:120, 80:160] for photo in photos]
    assert disagreement(parts, windows, 4).detail < 0.7


def test_each_camera_is_paired_with_its_neighbour(seen):
    assert all(abs(i - j) == 1 for i, j in pairs([sight.camera for sight in seen[1]]))


def test_a_single_picture_disagrees_with_nothing(seen):
    assert disagreement(seen[0][:1], seen[1][:1], 4).detail == 0


def test_the_rounds_are_drawn_with_and_without_the_comparison(tmp_path):
    rounds = [{"round": i + 1, "together_detail": 1.0 - 0.1 * i, "alone_detail": 1.0} for i in range(4)]
    plot_rounds(rounds, tmp_path / "both.png")
    plot_rounds([{key: row[key] for key in ("round", "together_detail")} for row in rounds], tmp_path / "one.png")
    assert (tmp_path / "both.png").read_bytes() != (tmp_path / "one.png").read_bytes()
