"""Latent diffusion priors from diffusers pipelines, taken apart: x4 of Stable Diffusion, x4 of LDM, x2 of latents."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.priors.base import Picture
from gaussian_lens_app.priors.chain import Chain, normal_like
from gaussian_lens_app.priors.resizing import enlarged, picture_of, planes

Latents = Float[Tensor, "1 C h w"]


class _LatentPrior:
    """What the three have in common: padding, the autoencoder, the chain. The pipeline's own loop is not used."""

    scale: int
    multiple: int
    """Small pictures are padded to a multiple of so many pixels."""

    def __init__(self, pipeline: Any, name: str, licence: str, chain: Chain):
        self.pipeline, self.name, self.licence, self.chain = pipeline, name, licence, chain
        self.timesteps = chain.timesteps
        self.device = next(pipeline.unet.parameters()).device

    def encode(self, picture: Picture) -> Latents:
        return self._compress(_padded(picture, self.multiple * self.scale).to(self.device))

    def decode(self, latent: Latents, small: Picture) -> Picture:
        height, width = small.shape[0] * self.scale, small.shape[1] * self.scale
        values = self._expand(latent).float()[..., :height, :width]
        return picture_of((values.clamp(-1, 1) + 1) / 2).to(small.device)

    def init_latent(self, small: Picture, generator: torch.Generator) -> Latents:
        start = self.encode(enlarged(small, self.scale).clamp(0, 1))
        return self.chain.noisy(start, self.timesteps[0], generator)

    def step(self, x_t: Latents, x0: Latents, t: int, generator: torch.Generator) -> Latents:
        return self.chain.previous(x_t, x0, t, generator)

    def predict_x0(self, x_t: Latents, t: int, small: Picture) -> Latents:
        with torch.no_grad(), torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            return self._predict(x_t, t, _padded(small, self.multiple).to(self.device)).to(x_t)

    def _predict(self, x_t: Latents, t: int, small: Tensor) -> Latents:
        raise NotImplementedError

    @torch.no_grad()
    def _compress(self, values: Tensor) -> Latents:
        return self.pipeline.vae.encode(values).latent_dist.mode() * self.pipeline.vae.config.scaling_factor

    @torch.no_grad()
    def _expand(self, latent: Latents) -> Tensor:
        return self.pipeline.vae.decode(latent / self.pipeline.vae.config.scaling_factor).sample

    def _x0(self, output: Tensor, x_t: Latents, t: int) -> Latents:
        """x0 from what the network predicts, noise, v or x0 itself."""
        i = self.timesteps.index(t)
        signal, noise = self.chain.signals[i], self.chain.noises[i]
        kind = self.pipeline.scheduler.config.prediction_type
        if kind == "v_prediction":
            return signal * x_t - noise * output
        return output if kind == "sample" else (x_t - noise * output) / signal


class StableDiffusionX4(_LatentPrior):
    """StableDiffusionUpscalePipeline: latents at the small picture's size, the small picture beside them, slightly
    noisy."""

    scale, multiple = 4, 8

    def __init__(self, pipeline: Any, name: str, licence: str, steps: int = 4, noise_level: int = 20):
        super().__init__(pipeline, name, licence, _preserving(pipeline, steps))
        self.noise_level = min(noise_level, int(pipeline.config.max_noise_level))
        self.prompt = _last_layer(pipeline, "hidden")

    def _predict(self, x_t: Latents, t: int, small: Tensor) -> Latents:
        level = torch.tensor([self.noise_level], device=self.device)
        noise = normal_like(small, torch.Generator().manual_seed(0))  # the same at every step
        noisy = self.pipeline.low_res_scheduler.add_noise(small, noise, level)
        inputs = torch.cat([x_t, noisy], 1)
        output = self.pipeline.unet(inputs, t, encoder_hidden_states=self.prompt, class_labels=level).sample
        return self._x0(output, x_t, t)


class LatentDiffusionX4(_LatentPrior):
    """LDMSuperResolutionPipeline: latents and the small picture side by side, no text."""

    scale, multiple = 4, 32

    def __init__(self, pipeline: Any, name: str, licence: str, steps: int = 4):
        super().__init__(pipeline, name, licence, _preserving(pipeline, steps))

    def _predict(self, x_t: Latents, t: int, small: Tensor) -> Latents:
        return self._x0(self.pipeline.unet(torch.cat([x_t, small], 1), t).sample, x_t, t)

    @torch.no_grad()
    def _compress(self, values: Tensor) -> Latents:
        return self.pipeline.vqvae.encode(values).latents

    @torch.no_grad()
    def _expand(self, latent: Latents) -> Tensor:
        return self.pipeline.vqvae.decode(latent).sample


class LatentX2(_LatentPrior):
    """StableDiffusionLatentUpscalePipeline: x2 between two latents of the same autoencoder; noise levels are sigmas."""

    scale, multiple = 2, 64

    def __init__(self, pipeline: Any, name: str, licence: str, steps: int = 4):
        pipeline.scheduler.set_timesteps(steps)
        super().__init__(pipeline, name, licence, Chain.exploding(pipeline.scheduler.sigmas.tolist()[:steps]))
        self.prompt, pooled = _last_layer(pipeline, "hidden"), _last_layer(pipeline, "pooled")
        level = torch.cat([pooled.new_ones(1, 64), pooled.new_zeros(1, 64)], 1)  # no noise on the small picture
        self.condition = torch.cat([level, pooled], 1)

    def _predict(self, x_t: Latents, t: int, small: Tensor) -> Latents:
        sigma = self.chain.noises[t]
        shrink = (sigma**2 + 1) ** -0.5
        beside = F.interpolate(self._compress(small), scale_factor=2, mode="nearest")
        output = self.pipeline.unet(
            torch.cat([x_t * shrink, beside], 1),
            torch.tensor(sigma, device=self.device).log() * 0.25,
            encoder_hidden_states=self.prompt,
            timestep_cond=self.condition,
        ).sample[:, :-1]  # the last channel is a variance
        return shrink**2 * x_t + sigma * shrink * output


PIPELINES = {
    "StableDiffusionUpscalePipeline": StableDiffusionX4,
    "LDMSuperResolutionPipeline": LatentDiffusionX4,
    "StableDiffusionLatentUpscalePipeline": LatentX2,
}
"""Class names as a pipeline's model_index.json gives them."""


def _preserving(pipeline: Any, steps: int) -> Chain:
    return Chain.preserving(pipeline.scheduler.alphas_cumprod.tolist(), steps)


@torch.no_grad()
def _last_layer(pipeline: Any, which: Literal["hidden", "pooled"]) -> Tensor:
    """The text encoder's answer to an empty prompt."""
    tokens = pipeline.tokenizer(
        "", padding="max_length", max_length=pipeline.tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    encoder = pipeline.text_encoder
    answer = encoder(tokens.input_ids.to(next(encoder.parameters()).device), output_hidden_states=True)
    if which == "pooled":
        return answer.pooler_output
    # The x2 pipeline takes the last layer before its normalisation, the x4 pipeline after.
    return answer.hidden_states[-1] if "Latent" in type(pipeline).__name__ else answer.last_hidden_state


def _padded(picture: Picture, multiple: int) -> Float[Tensor, "1 3 H W"]:
    """In -1..1, mirrored beyond its right and lower edge."""
    values = planes(picture) * 2 - 1
    down, right = -values.shape[2] % multiple, -values.shape[3] % multiple
    while down or right:  # a mirror shows at most the picture's own size
        step = (min(down, values.shape[2] - 1), min(right, values.shape[3] - 1))
        values = F.pad(values, (0, step[1], 0, step[0]), mode="reflect")
        down, right = down - step[0], right - step[1]
    return values
