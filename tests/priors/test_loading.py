import json
import pickle

import pytest
import torch

from gaussian_lens_app.errors import NeedsMissing
from gaussian_lens_app.networks.sr_prior import PriorConfig, SRPrior
from gaussian_lens_app.networks.weights import RELEASED, save_network
from gaussian_lens_app.priors import PriorSource, is_diffusion, load_prior
from gaussian_lens_app.priors.upscalers import read_state

TINY = PriorConfig(width=8, blocks=2, coarse_width=12, coarse_blocks=1)


@pytest.fixture
def told() -> list[str]:
    return []


def own_file(path):
    save_network(path, SRPrior(TINY).state_dict(), TINY, {})
    return path


def test_the_embedded_prior_loads_and_says_so(told):
    prior = load_prior(PriorSource(), tell=told.append)
    assert is_diffusion(prior)
    assert (prior.name, prior.scale, prior.timesteps) == ("embedded", 4, (3, 2, 1, 0))
    assert "embedded" in told[0]
    assert "sr-prior" in RELEASED


def test_bicubic_is_an_upscaler(told):
    prior = load_prior(PriorSource("bicubic"), tell=told.append)
    assert not is_diffusion(prior)
    assert prior.upscale(torch.rand(3, 5, 3)).shape == (12, 20, 3)


def test_a_file_that_gsr_train_wrote_is_an_embedded_prior(tmp_path, told):
    prior = load_prior(PriorSource(str(own_file(tmp_path / "mine.safetensors"))), tell=told.append)
    assert is_diffusion(prior)
    assert prior.name == "mine"
    assert str(tmp_path) in told[0]


def test_a_file_in_the_home_folder_is_found(tmp_path, told, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    own_file(tmp_path / "mine.safetensors")
    assert load_prior(PriorSource("~/mine.safetensors"), tell=told.append).name == "mine"


def test_the_local_path_comes_first_and_the_name_where_it_is_not_there(tmp_path, told):
    mine = own_file(tmp_path / "mine.safetensors")
    assert load_prior(PriorSource("bicubic", local_path=mine), tell=told.append).name == "mine"
    assert load_prior(PriorSource("bicubic", local_path=tmp_path / "gone"), tell=told.append).name == "bicubic"


def test_an_unknown_name_is_answered_with_what_there_is():
    with pytest.raises(NeedsMissing, match=r"embedded or bicubic.*safetensors.*hub"):
        load_prior(PriorSource("nonsense"))


def test_a_pickled_file_that_holds_more_than_weights_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("this ran",))

    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"params": Evil()}))
    with pytest.raises(NeedsMissing, match="refused"):
        read_state(path)


def test_a_pickled_file_of_plain_weights_is_read(tmp_path):
    torch.save({"params": torch.ones(2)}, tmp_path / "plain.pth")
    assert torch.equal(read_state(tmp_path / "plain.pth")["params"], torch.ones(2))


def test_a_folder_without_a_pipeline_is_refused_with_what_to_give(tmp_path):
    with pytest.raises(NeedsMissing, match=r"model_index\.json"):
        load_prior(PriorSource(str(tmp_path)), tell=lambda text: None)


def test_a_hub_id_that_is_not_here_says_what_to_download_and_where_to_put_it(monkeypatch):
    pytest.importorskip("diffusers", reason="the extra `priors` is not installed", exc_type=Exception)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NeedsMissing, match=r"hf download nobody/nothing --local-dir PRIOR.*--prior PRIOR"):
        load_prior(PriorSource("nobody/nothing"))


def test_a_pipeline_of_another_kind_is_refused(tmp_path):
    pytest.importorskip("diffusers", reason="the extra `priors` is not installed", exc_type=Exception)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(NeedsMissing, match="cannot sharpen"):
        load_prior(PriorSource(str(tmp_path)), tell=lambda text: None)
