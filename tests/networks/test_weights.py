import pytest
import torch

from gaussian_lens_app.errors import NeedsMissing
from gaussian_lens_app.networks.gaussian_lens import CPU, GPU, GaussianLens
from gaussian_lens_app.networks.weights import (
    CHECKOUT,
    RELEASED,
    load_network,
    load_released,
    parameter_count,
    save_network,
)


def test_weights_come_back_in_half_precision(tmp_path):
    network = GaussianLens(CPU)
    digest = save_network(tmp_path / "w.safetensors", network.state_dict(), CPU, {"steps": "3"})
    loaded = load_network(tmp_path / "w.safetensors", "gaussian-lens", sha256=digest)
    assert loaded.config == CPU
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.half().float())


def test_missing_and_damaged_weights_say_how_to_mend_them(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(NeedsMissing, match=r"missing.*git checkout"):
        load_network(path, "gaussian-lens")
    digest = save_network(path, GaussianLens(CPU).state_dict(), CPU, {})
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(NeedsMissing, match=r"damaged.*pip install"):
        load_network(path, "gaussian-lens", sha256=digest)
    path.write_bytes(content[:100])
    with pytest.raises(NeedsMissing, match="cannot be read"):
        load_network(path, "gaussian-lens")


@pytest.mark.parametrize("name", RELEASED)
def test_released_weights_are_there_and_are_the_stated_ones(name):
    assert parameter_count(load_released(name)) < 7_000_000
    assert (CHECKOUT / RELEASED[name].file).stat().st_size < 16_000_000


def test_the_presets_keep_to_their_sizes():
    assert parameter_count(GaussianLens(CPU)) < 1_000_000
    assert parameter_count(GaussianLens(GPU)) < 7_000_000
