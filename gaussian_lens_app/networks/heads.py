"""The decoder: first where a Gaussian goes, then, having looked at the photos there, all else."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gaussian_lens_app.networks.gradient_features import COLOUR, GAINS, LOGIT, MEAN, SCALE, TURN
from gaussian_lens_app.networks.point_transformer import perceptron
from gaussian_lens_app.networks.residuals import Residuals

BOUND_MEAN, BOUND_SCALE, BOUND_TURN, BOUND_LOGIT, BOUND_COLOUR = 1.0, 0.6, 0.4, 2.0, 0.3
"""Largest free change in one pass: scales, e-folds, radians, logits, colour."""
REST = 10


@dataclass(frozen=True)
class HeadConfig:
    """What a head gives."""

    factor: int = 1
    """Gaussians for each one (the paper's K)."""
    gates: bool = True
    """Let gradients propose steps that learned gates scale; False: free residuals alone, zero at first."""
    gate: float = 0.1
    """Part of the gradient's proposal that is taken before anything is learned..."""
    gate_colour: float = 0.8
    """...and of its proposal for colour."""
    existence: bool = False
    """Predict which Gaussians to keep."""


class Head(nn.Module):
    """For one source of Gaussians: selected ones and pixel Gaussians each have their own."""

    def __init__(self, width: int, config: HeadConfig):
        super().__init__()
        self.config = config
        self.position = _zero_ended(perceptron(width, width, 6 * config.factor))
        extra = 2 * config.existence
        self.rest = _zero_ended(perceptron(width + 3 * config.factor, width, (2 * REST + extra) * config.factor))
        if config.factor > 1:
            # Copies that start alike would stay alike.
            last = self.position[-1]
            assert isinstance(last, nn.Linear)
            nn.init.normal_(last.bias.view(config.factor, 6)[:, :3], std=0.5)

    def places(self, x: Float[Tensor, "N C"], steps: Float[Tensor, "N 13"]) -> Float[Tensor, "N K 3"]:
        """Moves in units of the Gaussians' scales."""
        free, gate = self.position(x).view(len(x), self.config.factor, 6).split(3, -1)
        return BOUND_MEAN * torch.tanh(free) + self._gated(gate, steps, MEAN)

    def others(
        self, x: Float[Tensor, "N C"], moves: Float[Tensor, "N K 3"], steps: Float[Tensor, "N 13"], temperature: float
    ) -> Residuals:
        """The moves and all else; `temperature` over 0 draws existence at random (Gumbel), 0 decides by sign."""
        factor = self.config.factor
        out = self.rest(torch.cat([x, moves.flatten(1)], -1)).unflatten(-1, (factor, -1))
        free, gate = torch.tanh(out[..., :REST]), out[..., REST : 2 * REST]
        return Residuals(
            mean=moves,
            log_scale=BOUND_SCALE * free[..., :3] + self._gated(gate[..., :3], steps, SCALE),
            turn=BOUND_TURN * free[..., 3:6] + self._gated(gate[..., 3:6], steps, TURN),
            logit=(BOUND_LOGIT * free[..., 6:7] + self._gated(gate[..., 6:7], steps, LOGIT))[..., 0],
            colour=BOUND_COLOUR * free[..., 7:] + self._gated(gate[..., 7:], steps, COLOUR),
            keep=existence(out[..., 2 * REST :], temperature) if self.config.existence else None,
        )

    def _gated(self, gate: Tensor, steps: Float[Tensor, "N 13"], part: slice) -> Tensor | float:
        if not self.config.gates:
            return 0.0
        proposal, start = steps[:, None, part], self.config.gate_colour
        if part != COLOUR:
            start = self.config.gate
            proposal = torch.tanh(proposal * steps.new_tensor(GAINS[part]) / 2)
        return start * torch.exp(2.5 * torch.tanh(gate)) * proposal


FAINT = 0.1
"""Of its opacity what is drawn, while learning, of a Gaussian that is not to exist: of one that is not drawn at all the
pictures say nothing, and it would never come back (MaskGaussian changes the rasterizer instead)."""


def existence(logits: Float[Tensor, "*B 2"], temperature: float) -> Float[Tensor, "*B"]:
    """Drawn of each Gaussian: 1 of what stays, 0 of what goes; while learning (temperature over 0) `FAINT` of it,
    with the gradient of the soft choice (MaskGaussian, Liu et al. 2024)."""
    logits = logits + logits.new_tensor([2.0, 0.0])
    if temperature > 0:
        return FAINT + (1 - FAINT) * nn.functional.gumbel_softmax(logits, temperature, hard=True)[..., 0]
    return (logits[..., 0] >= logits[..., 1]).to(logits.dtype)


def _zero_ended(module: nn.Sequential) -> nn.Sequential:
    last = module[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return module
