"""Projection cross-attention of GaussianLens: each point attends to the photos at its own projections."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from gaussian_lens_app.networks.point_transformer import perceptron


class ProjectionAttention(nn.Module):
    """Attention of every point over V tokens, one a photo, then a perceptron; both added to what came in."""

    def __init__(self, width: int, token_width: int, heads: int, mlp_ratio: int):
        super().__init__()
        self.heads = heads
        self.before, self.before_tokens = nn.LayerNorm(width), nn.LayerNorm(token_width)
        self.q, self.kv, self.out = nn.Linear(width, width), nn.Linear(token_width, 2 * width), nn.Linear(width, width)
        self.before_mlp, self.mlp = nn.LayerNorm(width), perceptron(width, mlp_ratio * width, width)

    def forward(
        self, x: Float[Tensor, "N C"], tokens: Float[Tensor, "N V T"], seen: Bool[Tensor, "N V"]
    ) -> Float[Tensor, "N C"]:
        """Photos that do not see a point are left out; a point none sees passes unchanged through the attention."""
        count, views, _ = tokens.shape
        q = self.q(self.before(x)).view(count, 1, self.heads, -1)
        k, v = self.kv(self.before_tokens(tokens)).view(count, views, 2, self.heads, -1).unbind(2)
        scores = (q * k).sum(-1) / q.shape[-1] ** 0.5
        scores = scores.masked_fill(~seen[..., None], -1e4)
        mixed = (scores.softmax(1)[..., None] * v).sum(1).reshape(count, -1)
        x = x + self.out(mixed) * seen.any(1, keepdim=True)
        return x + self.mlp(self.before_mlp(x))
