"""Released weights: which there are, reading them without pickle, writing them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import sysconfig
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from gaussian_lens_app.errors import NeedsMissing
from gaussian_lens_app.networks.gaussian_lens import GaussianLens, LensConfig
from gaussian_lens_app.networks.gaussian_vae import GaussianVAE, VAEConfig
from gaussian_lens_app.networks.generative_densification import DensificationConfig, GenerativeDensification
from gaussian_lens_app.networks.plane_sweep import PlaneSweep, PlaneSweepConfig
from gaussian_lens_app.networks.sr3r import SR3R, SR3RConfig
from gaussian_lens_app.networks.sr_prior import PriorConfig, SRPrior

T = TypeVar("T")

CHECKOUT = Path(__file__).resolve().parents[2] / "assets" / "weights"
INSTALLED = Path(sysconfig.get_path("data")) / "share" / "gaussian_lens_app" / "weights"
CONFIG = "config"
"""Key of the network's sizes in the file's metadata."""


@dataclass(frozen=True)
class Released:
    """One file of weights."""

    file: str
    sha256: str


NETWORKS: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "gaussian-lens": lambda values: GaussianLens(from_json(LensConfig, values)),
    "generative-densification": lambda values: GenerativeDensification(from_json(DensificationConfig, values)),
    "gaussian-vae": lambda values: GaussianVAE(from_json(VAEConfig, values)),
    "plane-sweep": lambda values: PlaneSweep(from_json(PlaneSweepConfig, values)),
    "sr3r": lambda values: SR3R(from_json(SR3RConfig, values)),
    "sr-prior": lambda values: SRPrior(from_json(PriorConfig, values)),
}
"""By name, how each network is built from the sizes in its file of weights."""

RELEASED = {
    "gaussian-lens": Released(
        "gaussian_lens_cpu.safetensors", "58e88ba4da891be58ad73bc49878f9c95dbb0fcec48cd3fd47d5a4b7386e333d"
    ),
    "generative-densification": Released(
        "generative_densification_cpu.safetensors", "03169c37925fbec4d007add3c05944d40ba0f1b1602ed7fdf1a9fd965bc70651"
    ),
    "gaussian-vae": Released(
        "gaussian_vae.safetensors", "e7f1d10cdb02db6094b45fd05ed81e31b7503cf92420e2754c938e3ac3434fe4"
    ),
    "sr3r": Released("sr3r_cpu.safetensors", "51b9652610166f62d4009c5f421c3fc8478a2cd6dfd6905276d8c47a6ce77f93"),
    "plane-sweep": Released(
        "plane_sweep.safetensors", "aa69f8829b227de19c602f96a46f3070505b637d88b957f250ac0fa7e791e0e7"
    ),
    "sr-prior": Released(
        "sr_prior_cpu.safetensors", "38c862a2cb4b8ef1bcffea3f7c0293acf84f13b95b2eb041692d9e4e2e69ba20"
    ),
}
"""By name; the model card beside each file says how it came about."""


@functools.lru_cache(maxsize=8)
def load_released(name: str, device: str = "cpu") -> nn.Module:
    """The network with its released weights, ready to run. Raises NeedsMissing with the command that mends it."""
    released = RELEASED[name]
    folder = CHECKOUT if CHECKOUT.is_dir() else INSTALLED
    return load_network(folder / released.file, name, device, released.sha256)


def network_with(path: Path | None, name: str, device: str = "cpu") -> nn.Module:
    """The network `name` with the weights of a file; None: the released ones."""
    return load_released(name, device) if path is None else load_network(path, name, device)


def load_network(path: Path, name: str, device: str = "cpu", sha256: str | None = None) -> nn.Module:
    """The network `name` from a file of weights; with `sha256`, only from exactly that file."""
    mend = (
        f"Restore it with `git checkout -- assets/weights/{path.name}` in a checkout, or install the program again "
        f"with `pip install --force-reinstall .`; `gsr train {name} --release FILE` makes another."
    )
    try:
        content = path.read_bytes()
    except OSError:
        raise NeedsMissing(f"The weights {path} are missing. {mend}") from None
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise NeedsMissing(f"The weights {path} are damaged or not the released ones. {mend}")
    try:
        network = NETWORKS[name](json.loads(metadata(content)[CONFIG]))
        network.load_state_dict({key: value.float() for key, value in load(content).items()})
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise NeedsMissing(f"The weights {path} cannot be read as {name} ({error}). {mend}") from error
    return network.to(device).eval().requires_grad_(False)


def save_network(path: Path, state: dict[str, torch.Tensor], config: Any, facts: dict[str, str]) -> str:
    """Write weights in half precision with the network's sizes, a dataclass; the file's sha256."""
    halves = {key: value.detach().cpu().half().contiguous() for key, value in state.items()}
    content = save(halves, metadata={**facts, CONFIG: json.dumps(dataclasses.asdict(config))})
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def metadata(content: bytes) -> dict[str, str]:
    """What a safetensors file says about itself."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]).get("__metadata__", {})


def from_json(kind: type[T], values: dict[str, Any]) -> T:
    """A dataclass from the dictionary `dataclasses.asdict` made of it, through JSON: tuples and inner dataclasses."""
    hints = typing.get_type_hints(kind)
    return kind(**{key: _field(hints[key], value) for key, value in values.items()})


def _field(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_json(hint, value)
    return tuple(value) if isinstance(value, list) else value


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
