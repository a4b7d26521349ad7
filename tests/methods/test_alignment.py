"""Photos whose cameras are a pixel off are put in place before anything is made from them."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from scenes import Board

from gaussian_lens_app.methods.alignment import EXPECTED, shift_between
from gaussian_lens_app.methods.targets import Target, in_place, make_target
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.scene import Box
from gaussian_lens_app.select import select_region


def smooth(height=120, width=160, seed=0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 8, width // 8, generator=generator)
    return F.interpolate(coarse, size=(height, width), mode="bicubic")[0].permute(1, 2, 0).clamp(0, 1)


def moved(picture: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """Shifted to the right and down, in the frequency domain, which is not how it is looked for."""
    height, width = picture.shape[:2]
    phase = torch.fft.fftfreq(height)[:, None] * y + torch.fft.fftfreq(width)[None] * x
    turn = torch.exp(-2j * torch.pi * phase)[..., None]
    return torch.fft.ifft2(torch.fft.fft2(picture, dim=(0, 1)) * turn, dim=(0, 1)).real


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.8, -0.5), (-1.7, 2.2), (3.0, -2.0)])
def test_a_shift_is_found_beside_detail_that_the_render_lacks_and_another_exposure(shift):
    rendered = smooth()
    detail = 0.2 * (torch.rand(rendered.shape, generator=torch.Generator().manual_seed(1)) - 0.5)
    found = shift_between(0.8 * (moved(rendered, *shift) + detail), rendered, torch.ones(120, 160))
    assert (found - torch.tensor(shift)).norm() < 0.15


def test_what_has_no_weight_says_nothing():
    rendered = smooth()
    photo = moved(rendered, 1.0, 0.0)
    photo[:, 80:] = moved(rendered, -2.0, 1.0)[:, 80:]
    weight = torch.ones(120, 160)
    weight[:, 76:] = 0
    assert (shift_between(photo, rendered, weight) - torch.tensor([1.0, 0.0])).norm() < 0.2


@pytest.mark.parametrize(
    ("photo", "rendered"),
    [
        (smooth(), torch.full((120, 160, 3), 0.5)),
        (smooth(seed=1), torch.zeros(120, 160, 3)),
        (torch.zeros(120, 160, 3), smooth()),
        (smooth()[:3], smooth()[:3]),
    ],
    ids=["an even wall", "a dark one", "a dark photo", "a strip"],
)
def test_where_no_shift_can_be_told_there_is_none(photo, rendered):
    assert shift_between(photo, rendered, torch.ones(photo.shape[:2])).norm() < 0.1


@pytest.mark.parametrize("weight", [0.0, float("nan")])
def test_where_the_scene_draws_nothing_there_is_no_shift(weight):
    assert shift_between(smooth(), smooth(), torch.full((120, 160), weight)).norm() == 0


def test_a_photo_of_something_else_hardly_moves():
    shifts = [shift_between(smooth(seed=seed), smooth(), torch.ones(120, 160)) for seed in range(1, 9)]
    assert max(float(shift.norm()) for shift in shifts) < 1


def test_little_to_see_moves_less_than_much():
    """A soft edge, and the same deep in noise."""
    edge = torch.sigmoid((torch.arange(160.0) - 80) / 6)[None, :, None].expand(120, -1, 3) * 0.05 + 0.4
    photo = torch.cat([edge[:, :1], edge[:, :-1]], 1)
    clear = shift_between(photo, edge, torch.ones(120, 160))
    assert abs(float(clear[0]) - 1.0) < 0.1
    hidden = []
    for seed in range(16):
        noise = 0.6 * (torch.rand(edge.shape, generator=torch.Generator().manual_seed(seed)) - 0.5)
        hidden.append(shift_between(photo + noise, edge, torch.ones(120, 160)))
    assert torch.stack(hidden).norm(dim=-1).mean() < EXPECTED


def window_of(board: Board, rasterizer, off: tuple[float, float]) -> Target:
    """A photo's window on the middle of the board, the camera off by so many pixels."""
    photos = list(board.capture.photos)
    photos[2] = dataclasses.replace(photos[2], camera=photos[2].camera.shifted(-torch.tensor(off)))
    capture = dataclasses.replace(board.capture, photos=tuple(photos))
    region = select_region(board.scene, Box(board.capture.photos[0].camera, (60, 50, 180, 130)), capture, rasterizer)
    view = next(view for view in region.views if view.photo == 2)
    return make_target(board.scene, capture, view, rasterizer, ANTIALIASED)


def test_a_window_is_put_where_its_camera_should_have_been(textured_board, fast_rasterizer):
    sharp = dataclasses.replace(textured_board, scene=textured_board.truth)
    right, window = sharp.capture.photos[2].camera.K, window_of(sharp, fast_rasterizer, (0.9, -0.6))
    placed = in_place(window, sharp.scene, fast_rasterizer, ANTIALIASED)
    assert (window.camera.K - right).norm() > 1
    assert (placed.camera.K - right).norm() < 0.1
    again = fast_rasterizer.render(sharp.scene, placed.camera, mode=ANTIALIASED, crop=placed.rect)
    assert torch.equal(placed.render.rgb, again.rgb)
    assert torch.equal(placed.photo, window.photo)


def test_a_scene_with_other_detail_than_its_photos_moves_none(textured_board, fast_rasterizer):
    """What is coarse there is no blurred version of what they show: no shift makes it agree everywhere."""
    window = window_of(textured_board, fast_rasterizer, (0.0, 0.0))
    placed = in_place(window, textured_board.scene, fast_rasterizer, ANTIALIASED)
    assert (placed.camera.K - window.camera.K).norm() < 0.3
