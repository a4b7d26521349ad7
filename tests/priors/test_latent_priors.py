"""The three pipelines, tiny and randomly initialised, through files and the loader, as a user's would come."""

import json

import pytest
import torch

from gaussian_lens_app.priors import PriorSource, is_diffusion, load_prior
from gaussian_lens_app.priors.base import sampled

diffusers = pytest.importorskip("diffusers", reason="the extra `priors` is not installed", exc_type=Exception)
transformers = pytest.importorskip("transformers", reason="the extra `priors` is not installed", exc_type=Exception)

TEXT = 32


@pytest.fixture(scope="module")
def text_parts(tmp_path_factory):
    """A text encoder and a tokenizer that knows the letters a and b."""
    folder = tmp_path_factory.mktemp("tokenizer")
    words = ["<|startoftext|>", "<|endoftext|>", "a</w>", "b</w>", "a", "b"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=8, unk_token="<|endoftext|>"
    )
    config = transformers.CLIPTextConfig(
        vocab_size=6, hidden_size=TEXT, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=8, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    return {"text_encoder": transformers.CLIPTextModel(config).eval(), "tokenizer": tokenizer}


def autoencoder(levels: int, latents: int):
    return diffusers.AutoencoderKL(
        block_out_channels=(8,) * levels, in_channels=3, out_channels=3, latent_channels=latents, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
    )  # fmt: skip


def scheduler(kind: str):
    return diffusers.DDIMScheduler(beta_schedule="scaled_linear", beta_start=1e-4, beta_end=0.02, prediction_type=kind)


@pytest.fixture(scope="module")
def stable_diffusion(text_parts):
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=8, in_channels=7, out_channels=4, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4, cross_attention_dim=TEXT, num_class_embeds=400,
    )  # fmt: skip
    return diffusers.StableDiffusionUpscalePipeline(
        vae=autoencoder(3, 4), unet=unet, low_res_scheduler=diffusers.DDPMScheduler(),
        scheduler=scheduler("v_prediction"), max_noise_level=350, **text_parts,
    )  # fmt: skip


@pytest.fixture(scope="module")
def latent_diffusion():
    unet = diffusers.UNet2DModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=8, in_channels=6, out_channels=3, norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
    )  # fmt: skip
    vqvae = diffusers.VQModel(
        block_out_channels=(8, 8, 8), in_channels=3, out_channels=3, latent_channels=3, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3, layers_per_block=1,
        num_vq_embeddings=16,
    )  # fmt: skip
    return diffusers.LDMSuperResolutionPipeline(vqvae=vqvae, unet=unet, scheduler=scheduler("epsilon"))


@pytest.fixture(scope="module")
def latent_x2(text_parts):
    cross = ("KCrossAttnDownBlock2D",) * 3, ("KCrossAttnUpBlock2D",) * 3
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 32, 64, 64), sample_size=8, in_channels=8, out_channels=5, norm_num_groups=None,
        down_block_types=("KDownBlock2D", *cross[0]), up_block_types=(*cross[1], "KUpBlock2D"), mid_block_type=None,
        attention_head_dim=8, cross_attention_dim=TEXT, time_cond_proj_dim=128 + TEXT, act_fn="gelu", conv_in_kernel=1,
        conv_out_kernel=1, resnet_time_scale_shift="scale_shift", time_embedding_type="fourier",
        timestep_post_act="gelu", only_cross_attention=False,
    )  # fmt: skip
    return diffusers.StableDiffusionLatentUpscalePipeline(
        vae=autoencoder(4, 4), unet=unet, scheduler=diffusers.EulerDiscreteScheduler(prediction_type="sample"),
        **text_parts,
    )  # fmt: skip


@pytest.mark.parametrize(("pipeline", "scale"), [("stable_diffusion", 4), ("latent_diffusion", 4), ("latent_x2", 2)])
def test_a_pipeline_s_folder_is_a_prior_with_a_chain(request, tmp_path, pipeline, scale):
    request.getfixturevalue(pipeline).save_pretrained(tmp_path / "prior")
    told: list[str] = []
    prior = load_prior(PriorSource(str(tmp_path / "prior"), steps=3, tile=40, overlap=8), tell=told.append)
    assert is_diffusion(prior)
    assert prior.scale == scale
    assert len(prior.timesteps) == 3
    small = torch.rand(9, 45, 3)
    first, again = (sampled(prior, small, torch.Generator().manual_seed(0)) for _ in range(2))
    assert first.shape == (9 * scale, 45 * scale, 3)
    assert bool(first.isfinite().all())
    assert torch.equal(first, again)
    assert str(tmp_path) in told[0]


@pytest.mark.parametrize("pipeline", ["stable_diffusion", "latent_diffusion"])
def test_x0_of_a_step_is_what_the_scheduler_calls_it(request, pipeline):
    """An oracle: diffusers' own DDIM step returns its x0 as `pred_original_sample`."""
    from gaussian_lens_app.priors.latent import LatentDiffusionX4, StableDiffusionX4

    pipe = request.getfixturevalue(pipeline)
    prior = {"stable_diffusion": StableDiffusionX4, "latent_diffusion": LatentDiffusionX4}[pipeline](pipe, "p", "l")
    small = torch.rand(32, 32, 3)
    x_t = prior.init_latent(small, torch.Generator().manual_seed(0))
    t = prior.timesteps[1]
    outputs: list[torch.Tensor] = []
    handle = pipe.unet.register_forward_hook(lambda module, inputs, output: outputs.append(output.sample))
    x0 = prior.predict_x0(x_t, t, small)
    handle.remove()
    pipe.scheduler.set_timesteps(1000)
    pipe.scheduler.config.clip_sample = False
    expected = pipe.scheduler.step(outputs[0], t, x_t).pred_original_sample
    assert torch.allclose(x0, expected, atol=1e-3)
