"""`gsr train NETWORK`: makes training data and trains a network on it; an interrupted run goes on where it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from gaussian_lens_app.commands.train.gaussian_lens import TrainGaussianLens
from gaussian_lens_app.commands.train.gaussian_vae import TrainGaussianVAE
from gaussian_lens_app.commands.train.generative_densification import TrainGenerativeDensification
from gaussian_lens_app.commands.train.plane_sweep import TrainPlaneSweep
from gaussian_lens_app.commands.train.sr3r import TrainSR3R
from gaussian_lens_app.commands.train.sr_prior import TrainSRPrior

Network = (
    Annotated[TrainGaussianLens, tyro.conf.subcommand("gaussian-lens")]
    | Annotated[TrainGaussianVAE, tyro.conf.subcommand("gaussian-vae")]
    | Annotated[TrainGenerativeDensification, tyro.conf.subcommand("generative-densification")]
    | Annotated[TrainPlaneSweep, tyro.conf.subcommand("plane-sweep")]
    | Annotated[TrainSR3R, tyro.conf.subcommand("sr3r")]
    | Annotated[TrainSRPrior, tyro.conf.subcommand("sr-prior")]
)
"""A union: any of the networks there are, each with its own options."""


@dataclass(frozen=True)
class Train:
    """Train one of the networks; an interrupted run goes on where it stopped."""

    network: Annotated[Network, tyro.conf.arg(name="")]

    def run(self) -> None:
        self.network.run()
