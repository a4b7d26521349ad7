"""Released weights: which there are, reading them without pickle, writing them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from gaussian_lens_app.errors import NeedsMissing
from gaussian_lens_app.networks.gaussian_lens import GaussianLens, LensConfig
from gaussian_lens_app.networks.heads import HeadConfig
from gaussian_lens_app.networks.point_transformer import TransformerConfig

CHECKOUT = Path(__file__).resolve().parents[2] / "assets" / "weights"
INSTALLED = Path(sysconfig.get_path("data")) / "share" / "gaussian_lens_app" / "weights"
CONFIG = "config"
"""Key of the network's sizes in the file's metadata."""


@dataclass(frozen=True)
class Released:
    """One file of weights."""

    file: str
    sha256: str


RELEASED = {
    "gaussian-lens": Released(
        "gaussian_lens_cpu.safetensors", "45f3ec9e5601728e040952dc925cb4fead588ee89a79de3ff1be526fef4ac437"
    ),
}
"""By name; docs/gaussian_lens.md and the model card beside the file say how they came about."""


@functools.lru_cache(maxsize=4)
def load_released(name: str, device: str = "cpu") -> GaussianLens:
    """The network with its released weights, ready to run. Raises NeedsMissing with the command that mends it."""
    released = RELEASED[name]
    folder = CHECKOUT if CHECKOUT.is_dir() else INSTALLED
    return load_lens(folder / released.file, device, released.sha256)


def load_lens(path: Path, device: str = "cpu", sha256: str | None = None) -> GaussianLens:
    """A network from a file of weights; with `sha256`, only from exactly that file."""
    mend = (
        f"Restore it with `git checkout -- assets/weights/{path.name}` in a checkout, or install the program again "
        "with `pip install --force-reinstall .`; `gsr train gaussian-lens --release FILE` makes another."
    )
    try:
        content = path.read_bytes()
    except OSError:
        raise NeedsMissing(f"The weights {path} are missing. {mend}") from None
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise NeedsMissing(f"The weights {path} are damaged or not the released ones. {mend}")
    try:
        network = GaussianLens(config_from_json(json.loads(metadata(content)[CONFIG])))
        network.load_state_dict({key: value.float() for key, value in load(content).items()})
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise NeedsMissing(f"The weights {path} cannot be read ({error}). {mend}") from error
    return network.to(device).eval().requires_grad_(False)


def save_lens(path: Path, state: dict[str, torch.Tensor], config: LensConfig, facts: dict[str, str]) -> str:
    """Write weights in half precision; the file's sha256."""
    halves = {key: value.detach().cpu().half().contiguous() for key, value in state.items()}
    content = save(halves, metadata={**facts, CONFIG: json.dumps(dataclasses.asdict(config))})
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def metadata(content: bytes) -> dict[str, str]:
    """What a safetensors file says about itself."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]).get("__metadata__", {})


def config_from_json(values: dict[str, Any]) -> LensConfig:
    """The sizes written by `save_lens`."""
    transformer: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values["transformer"].items()}
    parts = {"transformer": TransformerConfig(**transformer), "head": HeadConfig(**values["head"])}
    return LensConfig(**{**values, **parts})


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
