"""Several processes that train one network: `torchrun --nproc-per-node 2 -m gaussian_lens_app train ...`."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as distributed
from torch import Tensor, nn

PARTING = timedelta(seconds=20)
"""How long the others are waited for at the end."""


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is; one of one when torchrun did not start it."""

    rank: int = 0
    count: int = 1

    @staticmethod
    def joined() -> Ranks:
        """Waits for the others that torchrun has started, where it has."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count < 2:
            return Ranks()
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
            atexit.register(_leave)
        return Ranks(distributed.get_rank(), distributed.get_world_size())

    @property
    def first(self) -> bool:
        """Whether this one writes files and speaks."""
        return self.rank == 0

    def same_weights(self, *networks: nn.Module) -> None:
        """Everybody takes over the first one's."""
        if self.count > 1:
            for network in networks:
                for value in network.state_dict().values():
                    distributed.broadcast(value, 0)

    def mean_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Each gradient becomes the mean of all processes'; where one has none it counts as zero."""
        if self.count < 2:
            return
        parameters = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([_grad(parameter).reshape(-1) for parameter in parameters])
        distributed.all_reduce(flat)
        flat /= self.count
        parts = flat.split([parameter.numel() for parameter in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            _grad(parameter).copy_(part.view_as(parameter))

    def agree(self, value: float) -> float:
        """The first one's value: clocks differ, decisions must not."""
        if self.count < 2:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        distributed.broadcast(shared, 0)
        return float(shared)


def _leave() -> None:
    """Together, and before the interpreter ends: gloo's threads, at work for a process that still waits, now and then
    abort one that has done all its own."""
    if not distributed.is_initialized():
        return
    if distributed.get_backend() == "gloo":
        with contextlib.suppress(RuntimeError):  # who failed need not be waited for
            distributed.monitored_barrier(timeout=PARTING)
    distributed.destroy_process_group()
    gc.collect()  # what still holds on to a piece of their work


def _grad(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
