import pytest
import torch

from gaussian_lens_app.methods.gaussian_lens_tiles import tiles


@pytest.mark.parametrize("count", [1, 100, 101, 1000])
def test_every_point_is_in_the_core_of_one_tile(count):
    points = torch.rand(count, 3, generator=torch.Generator().manual_seed(0))
    cut = list(tiles(points, 100))
    cores = torch.cat([tile.rows[tile.core] for tile in cut])
    assert torch.equal(cores.sort().values, torch.arange(count))
    assert all(int(tile.core.sum()) <= 100 for tile in cut)


def test_a_small_region_is_one_tile_and_a_large_one_overlaps():
    points = torch.rand(1000, 3, generator=torch.Generator().manual_seed(0))
    (whole,) = tiles(points, 1000)
    assert torch.equal(whole.rows, torch.arange(1000))
    first, *_ = tiles(points, 300)
    assert int((~first.core).sum()) > 10
    low, high = points[first.rows[first.core]].amin(0), points[first.rows[first.core]].amax(0)
    outside = points[first.rows[~first.core]]
    assert bool(((outside > low - 0.06) & (outside < high + 0.06)).all())
