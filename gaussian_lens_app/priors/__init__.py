"""2D super-resolution priors behind one protocol: the embedded one, diffusers pipelines, spandrel upscalers."""

from gaussian_lens_app.priors.base import AnyPrior, Picture, Prior, Upscaler, is_diffusion
from gaussian_lens_app.priors.loading import PriorSource, load_prior

__all__ = ["AnyPrior", "Picture", "Prior", "PriorSource", "Upscaler", "is_diffusion", "load_prior"]
