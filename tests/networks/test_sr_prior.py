import pytest
import torch

from gaussian_lens_app.networks.sr_prior import PRESETS, PriorConfig, Schedule, SRPrior, enlarge, folded, unfolded
from gaussian_lens_app.networks.weights import load_network, parameter_count, save_network

TINY = PriorConfig(width=8, blocks=2, coarse_width=12, coarse_blocks=1)


def test_the_published_constants_come_out_of_the_schedule():
    schedule = Schedule(PriorConfig(kappa=2.0, power=0.3, eta_last=0.99**2))
    assert [eta**0.5 for eta in schedule.etas] == pytest.approx([0.1, 0.5201, 0.7614, 0.99], abs=1e-4)
    one, zero = torch.ones(1), torch.zeros(1)
    found = [
        [
            float(schedule.previous(x_t, x0, normal, t))
            for x_t, x0, normal in ((one, zero, zero), (zero, one, zero), (zero, zero, one))
        ]
        for t in range(4)
    ]
    assert torch.tensor(found)[:, 0].tolist() == pytest.approx([0, 0.0370, 0.4666, 0.5915], abs=1e-4)
    assert torch.tensor(found)[:, 1].tolist() == pytest.approx([1, 0.9630, 0.5334, 0.4085], abs=1e-4)
    assert torch.tensor(found)[:, 2].tolist() == pytest.approx([0, 0.196, 0.760, 0.973], abs=1e-3)


def test_a_step_back_from_x_t_is_distributed_as_x_of_the_step_before():
    schedule, generator = Schedule(PriorConfig()), torch.Generator().manual_seed(0)
    x0, enlarged = torch.full((200_000,), 0.3), torch.full((200_000,), -0.2)
    draw = lambda: torch.randn(200_000, generator=generator)  # noqa: E731
    for t in (3, 2, 1):
        stepped = schedule.previous(schedule.shifted(x0, enlarged, draw(), t), x0, draw(), t)
        direct = schedule.shifted(x0, enlarged, draw(), t - 1)
        assert float(stepped.mean()) == pytest.approx(float(direct.mean()), abs=3e-3)
        assert float(stepped.std()) == pytest.approx(schedule.noise(t - 1), rel=0.02)


def test_the_last_step_gives_x0_itself():
    x0 = torch.rand(1, 3, 8, 8)
    assert torch.equal(Schedule(TINY).previous(torch.rand(1, 3, 8, 8), x0, torch.randn(1, 3, 8, 8), 0), x0)


def test_unfolding_undoes_folding():
    pictures = torch.rand(2, 3, 12, 20)
    assert torch.equal(unfolded(folded(pictures, 4), 4), pictures)


@pytest.mark.parametrize(("height", "width"), [(6, 8), (7, 9), (5, 6)])
def test_pictures_of_any_size_come_out_scale_times_as_large(height, width):
    small = torch.rand(2, 3, height, width) * 2 - 1
    x0 = SRPrior(TINY)(enlarge(small, 4), small, torch.tensor([3, 0]))
    assert x0.shape == (2, 3, 4 * height, 4 * width)


def test_at_the_first_step_the_noise_hardly_matters_and_at_the_last_x_t_does():
    torch.manual_seed(0)
    network, small = SRPrior(TINY), torch.rand(1, 3, 8, 8) * 2 - 1
    enlarged = enlarge(small, 4)
    noise = torch.randn_like(enlarged)

    @torch.no_grad()
    def change(t: int) -> float:
        at = torch.tensor([t])
        size = network.schedule.noise(t)
        return float((network(enlarged + size * noise, small, at) - network(enlarged, small, at)).std()) / size

    assert change(3) < 0.02
    assert change(0) > 0.5


def test_every_weight_learns_once_the_steps_differ():
    network, small = SRPrior(TINY), torch.rand(4, 3, 8, 8)
    with torch.no_grad():
        for block in network.modules():
            if hasattr(block, "modulation"):
                block.modulation.weight.normal_()
    network(torch.rand(4, 3, 32, 32), small, torch.arange(4)).square().mean().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in network.parameters())


def test_presets_have_the_sizes_they_are_meant_for():
    assert 1.5e6 < parameter_count(SRPrior(PRESETS["cpu"])) < 3e6
    assert 3e6 < parameter_count(SRPrior(PRESETS["gpu"])) <= 7e6


def test_a_file_of_weights_gives_the_same_network(tmp_path):
    network = SRPrior(TINY)
    network.load_state_dict({key: value.half().float() for key, value in network.state_dict().items()})
    sha256 = save_network(tmp_path / "w.safetensors", network.state_dict(), TINY, {})
    again = load_network(tmp_path / "w.safetensors", "sr-prior", sha256=sha256)
    small, x_t = torch.rand(1, 3, 6, 6), torch.rand(1, 3, 24, 24)
    t = torch.tensor([1])
    assert torch.allclose(again(x_t, small, t), network(x_t, small, t))
