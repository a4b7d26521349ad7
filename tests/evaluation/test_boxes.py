"""Where the benchmark puts its boxes."""

import torch

from gaussian_lens_app.evaluation.boxes import boxes_at, by_missing_energy, choose_boxes, missing_energy


def photo_with_detail_in(*cells: tuple[int, int, float], size: tuple[int, int] = (320, 640)) -> torch.Tensor:
    """A grey photo with pixel noise of the given strength in some cells (row, column) of the 4x4 grid."""
    height, width = size
    photo = torch.full((height, width, 3), 0.5)
    h, w = height // 4, width // 4
    for row, column, strength in cells:
        noise = torch.rand(h, w, 3, generator=torch.Generator().manual_seed(row * 4 + column)) - 0.5
        photo[row * h : (row + 1) * h, column * w : (column + 1) * w] += strength * noise
    return photo


def test_the_first_box_is_the_centre_and_a_quarter_of_each_side():
    assert choose_boxes(photo_with_detail_in((0, 0, 1.0)), 1) == [(240, 120, 400, 200)]


def test_then_come_the_cells_that_lack_most():
    photo = photo_with_detail_in((0, 3, 0.5), (3, 0, 1.0), (3, 3, 0.2))
    assert choose_boxes(photo, 3, 100)[1:] == [(0, 240, 160, 320), (480, 0, 640, 80)]


def test_boxes_do_not_overlap():
    photo = photo_with_detail_in((1, 1, 1.0), (2, 2, 1.0), (0, 0, 0.1))
    boxes = choose_boxes(photo, 20, 100)
    assert len(boxes) == 13
    covered = torch.zeros(320, 640)
    for x0, y0, x1, y1 in boxes:
        covered[y0:y1, x0:x1] += 1
    assert covered.max() == 1


def test_odd_sizes_stay_inside_the_photo():
    photo = torch.rand(267, 401, 3, generator=torch.Generator().manual_seed(0))
    for x0, y0, x1, y1 in choose_boxes(photo, 8, 100):
        assert 0 <= x0 < x1 <= 401
        assert 0 <= y0 < y1 <= 267
        assert (x1 - x0, y1 - y0) == (100, 66)


def test_the_same_photo_gives_the_same_boxes():
    photo = torch.rand(120, 160, 3, generator=torch.Generator().manual_seed(0))
    assert choose_boxes(photo, 5, 40) == choose_boxes(photo.clone(), 5, 40)


def test_a_smooth_photo_lacks_nothing_and_ties_go_in_reading_order():
    flat = torch.full((80, 80, 3), 0.3)
    assert missing_energy(flat, 20).max() < 1e-9
    assert by_missing_energy(flat, 100)[:2] == [(0, 0, 20, 20), (20, 0, 40, 20)]


def test_boxes_asked_for_lie_around_their_places_and_inside_the_photo():
    assert boxes_at(640, 320, [(0.5, 0.5), (0.0, 0.5), (1.0, 0.1)]) == [
        (240, 120, 400, 200), (0, 120, 160, 200), (480, 0, 640, 80),
    ]  # fmt: skip
