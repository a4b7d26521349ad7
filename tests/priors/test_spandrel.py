import pytest
import torch

from gaussian_lens_app.errors import NeedsMissing
from gaussian_lens_app.priors import PriorSource, is_diffusion, load_prior

spandrel = pytest.importorskip("spandrel", reason="the extra `priors` is not installed", exc_type=Exception)


def tiny_esrgan() -> dict:
    from spandrel.architectures.ESRGAN import ESRGAN

    torch.manual_seed(0)
    return ESRGAN(in_nc=3, out_nc=3, num_filters=4, num_blocks=1, scale=4).state_dict()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_spandrel_knows_is_an_upscaler(tmp_path, suffix):
    path = tmp_path / f"esrgan{suffix}"
    if suffix == ".pth":
        torch.save(tiny_esrgan(), path)
    else:
        from safetensors.torch import save_file

        save_file(tiny_esrgan(), path)
    prior = load_prior(PriorSource(str(path), tile=16, overlap=4), tell=lambda text: None)
    assert not is_diffusion(prior)
    assert prior.scale == 4
    assert prior.upscale(torch.rand(12, 20, 3)).shape == (48, 80, 3)


def test_weights_of_no_known_model_are_refused(tmp_path):
    torch.save({"nothing": torch.ones(3)}, tmp_path / "odd.pth")
    with pytest.raises(NeedsMissing, match="no upscaler that spandrel knows"):
        load_prior(PriorSource(str(tmp_path / "odd.pth")), tell=lambda text: None)
