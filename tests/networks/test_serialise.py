import pytest
import torch

from gaussian_lens_app.networks.serialise import Patches, Pooling, curve_orders
from gaussian_lens_app.scene.morton import morton_codes


def test_morton_codes_interleave_the_bits_of_the_axes():
    cells = torch.tensor([[5, 3, 0], [0, 0, 65535], [40_000, 123, 7]])
    for cell, code in zip(cells.tolist(), morton_codes(cells).tolist(), strict=True):
        expected = sum(((value >> bit) & 1) << (3 * bit + axis) for axis, value in enumerate(cell) for bit in range(16))
        assert code == expected


def test_neighbours_on_the_curve_are_neighbours_in_space():
    points = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0))
    order, exchanged = curve_orders(points, 1 / 64)
    for one in (order, exchanged):
        assert torch.equal(one.sort().values, torch.arange(4000))
        steps = (points[one[1:]] - points[one[:-1]]).norm(dim=-1)
        assert steps.mean() < 0.2 * (points[1:] - points[:-1]).norm(dim=-1).mean()


@pytest.mark.parametrize(("count", "size"), [(1, 8), (7, 8), (8, 8), (9, 8), (16, 8), (1000, 64)])
def test_cutting_into_runs_and_putting_back_is_the_identity(count, size):
    order = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    patches = Patches.of(order, size)
    values = torch.arange(count) * 10
    runs = values[patches.gather]
    assert len(runs) % patches.size == 0
    assert torch.equal(runs[patches.scatter], values)
    assert len(patches.gather.view(-1, patches.size)[-1].unique()) == patches.size


def test_pooling_takes_maxima_and_mean_positions_of_cells():
    positions = torch.tensor([[0.1, 0, 0], [0.3, 0, 0], [1.5, 0, 0]])
    pooling = Pooling.of(positions, 1.0)
    pooled = pooling.pool(torch.tensor([[1.0, -5], [2, -7], [-3, 0]]))
    assert pooling.cluster.tolist() == [0, 0, 1]
    torch.testing.assert_close(pooled, torch.tensor([[2.0, -5], [-3, 0]]))
    torch.testing.assert_close(pooling.positions[:, 0], torch.tensor([0.2, 1.5]))
    torch.testing.assert_close(pooling.unpool(pooled)[1], pooled[0])
