"""GaussianVAE: two small transformer VAEs over lineages, one for shapes and one for looks; they predict the next nodes.

Known nodes (ancestors, then the Gaussian itself) are encoded to a latent; a decoder that sees the known nodes, the
latent and a masked last node fills that node in: once for a Gaussian that goes on alone, twice for a pair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gaussian_lens_app.networks.point_transformer import perceptron

KNOWN = 4
"""Nodes of a sequence: up to three ancestors and the Gaussian itself."""
SLOTS = 3
"""The Gaussian going on alone, and the lower and upper child along its longest axis."""
CONTEXT = 38
GEOMETRY, APPEARANCE = 11, 50
NEAR, WIDE, GRADIENT, SPREAD = slice(8, 11), slice(11, 14), slice(14, 23), slice(23, 26)
"""Columns of the context: how much the nearer and the wider surroundings' colour differs, its slope along each axis
(axis-major), its standard deviation."""
GATES = 3


@dataclass(frozen=True)
class LineageConfig:
    """Sizes of one of the two models."""

    width: int
    inner: int
    latent: int
    layers: int = 2
    """Of the encoder, and as many of the decoder."""
    heads: int = 4
    couplings: int = 2


@dataclass(frozen=True)
class VAEConfig:
    """Sizes of both."""

    geometry: LineageConfig = field(default_factory=lambda: LineageConfig(60, 120, 16))
    appearance: LineageConfig = field(default_factory=lambda: LineageConfig(84, 168, 24))


@dataclass(frozen=True, eq=False)
class Known:
    """N sequences; where an ancestor is missing its exist flag, the last feature, is 0."""

    geometry: Float[Tensor, "N 4 11"]
    appearance: Float[Tensor, "N 4 50"]
    context: Float[Tensor, "N 38"]


@dataclass(frozen=True, eq=False)
class Next:
    """The masked node's three slots: changes to what the Gaussian (or each half of it) is, exist as a logit last."""

    geometry: Float[Tensor, "N 3 11"]
    """Position in the parent's units, quaternion, log scales, exist."""
    appearance: Float[Tensor, "N 3 50"]
    """Spherical harmonics, colour, logit opacity, exist."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What the networks say."""

    nodes: Next
    """What came next in lineages."""
    shown: Next
    """What to put in the scene."""
    kl: Float[Tensor, "N"]
    """Of both latents, by one sample; zeros when they are not sampled."""


class GaussianVAE(nn.Module):
    """Both models. Each says two things: what the next nodes are, and what to show in their place.

    A mean over all that the next nodes might be is no picture: the mean child is too opaque for where it would stand.
    So one pair of heads learns what came next in lineages, the other what to change in a scene that has to look right.
    """

    def __init__(self, config: VAEConfig | None = None):
        super().__init__()
        self.config = config or VAEConfig()
        self.geometry = LineageVAE(GEOMETRY, GEOMETRY, self.config.geometry)
        self.appearance = LineageVAE(APPEARANCE, APPEARANCE + GATES, self.config.appearance)

    def forward(self, known: Known, sampled: bool = False) -> Answer:
        """`sampled`: draw the latents instead of taking their means."""
        shapes, first = self.geometry(known.geometry, known.context, sampled)
        looks, second = self.appearance(known.appearance, known.context, sampled)
        said = []
        for shape, look in zip(shapes, looks, strict=True):
            geometry = bounded_geometry(shape)
            said.append(Next(geometry, bounded_appearance(look, geometry[..., :3], known.context)))
        return Answer(said[0], said[1], first + second)


class LineageVAE(nn.Module):
    """Sequences of nodes with F features -> (the next node's slots by either head, O numbers each; KL divergence)."""

    def __init__(self, features: int, outputs: int, config: LineageConfig):
        super().__init__()
        width = config.width
        self.embed = nn.Linear(features, width)
        self.context = nn.Linear(CONTEXT, width)
        self.steps = nn.Parameter(torch.randn(KNOWN, width) * 0.02)
        self.masked = nn.Parameter(torch.randn(width) * 0.02)
        self.encoder = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.posterior = nn.Linear(width, 2 * config.latent)
        self.prior = FlowPrior(config.latent, config.couplings)
        self.latent = nn.Linear(config.latent, width)
        self.decoder = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.nodes, self.shown = (nn.Linear(width, SLOTS * outputs) for _ in range(2))
        for head in (self.nodes, self.shown):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(
        self, nodes: Float[Tensor, "N 4 F"], context: Float[Tensor, "N 38"], sampled: bool
    ) -> tuple[tuple[Float[Tensor, "N 3 O"], Float[Tensor, "N 3 O"]], Float[Tensor, "N"]]:
        surroundings = self.context(context)
        tokens = self.embed(nodes) + self.steps
        tokens = torch.cat([tokens[:, :-1], tokens[:, -1:] + surroundings[:, None]], 1)
        seen = tokens
        for layer in self.encoder:
            seen = layer(seen)
        mean, log_variance = self.posterior(seen.mean(1)).chunk(2, -1)
        log_variance = log_variance.clamp(-8, 4)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp() if sampled else mean
        kl = self.prior.divergence(z, mean, log_variance) if sampled else mean.new_zeros(len(mean))
        query = (self.masked + surroundings + self.latent(z))[:, None]
        tokens = torch.cat([tokens, query], 1)
        for layer in self.decoder[:-1]:
            tokens = layer(tokens)
        last = self.decoder[-1](tokens, only_last=True)
        features = self.norm(last[:, 0])
        nodes, shown = (head(features).unflatten(-1, (SLOTS, -1)) for head in (self.nodes, self.shown))
        return (nodes, shown), kl


class Layer(nn.Module):
    """Attention among a sequence's nodes, then each for itself; normalised before (Xiong et al. 2020)."""

    def __init__(self, config: LineageConfig):
        super().__init__()
        self.heads = config.heads
        self.norm1, self.norm2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.query = nn.Linear(config.width, config.width)
        self.keys = nn.Linear(config.width, 2 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.inner = perceptron(config.width, config.inner, config.width)

    def forward(self, tokens: Float[Tensor, "N T C"], only_last: bool = False) -> Tensor:
        """All tokens, or the last one alone."""
        normal = self.norm1(tokens)
        asked = tokens[:, -1:] if only_last else tokens
        heads = lambda values: values.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # noqa: E731
        query = heads(self.query(normal[:, -1:] if only_last else normal))
        key, value = (heads(part) for part in self.keys(normal).chunk(2, -1))
        # For so few tokens plain products are faster than the fused kernel, whose backward crashed on processors.
        weights = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1)
        mixed = weights @ value
        asked = asked + self.out(mixed.transpose(1, 2).flatten(-2))
        return asked + self.inner(self.norm2(asked))


class FlowPrior(nn.Module):
    """p(z) of z = T(noise), T a few affine couplings (Dinh et al. 2017)."""

    def __init__(self, latent: int, couplings: int):
        super().__init__()
        self.kept = latent // 2
        self.couplings = nn.ModuleList(
            perceptron(self.kept, 2 * latent, 2 * (latent - self.kept)) for _ in range(couplings)
        )

    def log_density(self, z: Float[Tensor, "N Z"]) -> Float[Tensor, "N"]:
        """Natural log; walks the couplings backwards to the noise."""
        change = z.new_zeros(len(z))
        for coupling in reversed(list(self.couplings)):
            z = z.flip(-1)
            kept, moved = z[:, : self.kept], z[:, self.kept :]
            log_scale, shift = coupling(kept).chunk(2, -1)
            log_scale = log_scale.tanh()
            z = torch.cat([kept, (moved - shift) * (-log_scale).exp()], -1)
            change = change - log_scale.sum(-1)
        return _log_normal(z, torch.zeros_like(z), torch.zeros_like(z)) + change

    def sample(self, noise: Float[Tensor, "N Z"]) -> Float[Tensor, "N Z"]:
        """T(noise)."""
        z = noise
        for coupling in self.couplings:
            kept, moved = z[:, : self.kept], z[:, self.kept :]
            log_scale, shift = coupling(kept).chunk(2, -1)
            z = torch.cat([kept, moved * log_scale.tanh().exp() + shift], -1).flip(-1)
        return z

    def divergence(self, z: Tensor, mean: Tensor, log_variance: Tensor) -> Float[Tensor, "N"]:
        """log q(z) - log p(z) at one sample of q."""
        return _log_normal(z, mean, log_variance) - self.log_density(z)


def _log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    squares = (z - mean).square() * (-log_variance).exp()
    return -0.5 * (squares + log_variance + math.log(2 * math.pi)).sum(-1)


CAREFUL = 0.2
"""Changes are so many times what the heads say: an optimiser's step moves all Gaussians of a scene the same way."""


def bounded_geometry(raw: Float[Tensor, "N 3 11"]) -> Float[Tensor, "N 3 11"]:
    """At zero nothing changes."""
    position, turn, scale = (CAREFUL * raw[..., :-1]).split([3, 4, 3], -1)
    exist = raw[..., -1:]
    still = torch.tensor([1.0, 0, 0, 0], device=raw.device)
    quats = nn.functional.normalize(still + 0.5 * turn.tanh(), dim=-1)
    return torch.cat([1.5 * torch.tanh(position / 1.5), quats, 1.5 * torch.tanh(scale / 1.5), exist], -1)


def bounded_appearance(
    raw: Float[Tensor, "N 3 53"], positions: Float[Tensor, "N 3 3"], context: Float[Tensor, "N 38"]
) -> Float[Tensor, "N 3 50"]:
    """At zero nothing changes, and where the surroundings have one colour it stays.

    Colour moves away from (or towards) the surroundings' and along their slope with the child's place, each as far as a
    gate says, and freely within a part of their spread: what is learned is contrast, not brightness.
    """
    sh, colour, logit, gates = (CAREFUL * torch.cat([raw[..., :49], raw[..., 50:]], -1)).split([45, 3, 1, GATES], -1)
    around = context[:, None]
    slope = around[..., GRADIENT].unflatten(-1, (3, 3))
    contrast = -gates[..., :1] * around[..., NEAR] - gates[..., 1:2] * around[..., WIDE]
    along = gates[..., 2:] * (positions[..., None] * slope).sum(-2)
    colour = contrast + along + around[..., SPREAD] * colour.tanh()
    sh, colour, logit = 0.3 * sh.tanh(), 0.6 * torch.tanh(colour / 0.6), 3 * torch.tanh(logit / 3)
    return torch.cat([sh, colour, logit, raw[..., 49:50]], -1)
