"""A prior by name, from a file, a folder, or a hub; what was used is told."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gaussian_lens_app.errors import NeedsMissing
from gaussian_lens_app.networks.sr_prior import SRPrior
from gaussian_lens_app.networks.weights import CONFIG, load_network, load_released, metadata
from gaussian_lens_app.priors.base import AnyPrior
from gaussian_lens_app.priors.embedded import EmbeddedPrior
from gaussian_lens_app.priors.latent import PIPELINES
from gaussian_lens_app.priors.resizing import Filter
from gaussian_lens_app.priors.tiled import tiled
from gaussian_lens_app.priors.upscalers import INSTALL, Bicubic, SpandrelUpscaler

EMBEDDED = "embedded"
NETWORK = "sr-prior"
"""What the embedded prior's weights are called."""
NAMES = (EMBEDDED, "bicubic")


@dataclass(frozen=True)
class PriorSource:
    """Where a prior comes from."""

    prior: str = EMBEDDED
    """`embedded`, `bicubic`, a file of weights, a folder of a diffusers pipeline, or a hub's id like owner/name."""
    revision: str | None = None
    """Branch, tag or commit of a hub's id."""
    local_path: Path | None = None
    """A folder or file to try before `prior`."""
    how: Filter | None = "area"
    """How photos were made small; the embedded prior keeps to them."""
    steps: int = 4
    """Steps of priors whose chain can be shortened."""
    tile: int = 128
    """Latent priors and upscalers see windows of so many pixels of the small photo..."""
    overlap: int = 16
    """...which overlap by so many."""


def load_prior(source: PriorSource, device: str = "cpu", tell: Callable[[str], None] = print) -> AnyPrior:
    """The prior; `tell` hears which one. Raises NeedsMissing with what to download and where to put it."""
    if source.local_path is not None and Path(source.local_path).exists():
        return _from_path(Path(source.local_path), source, device, tell)
    if source.prior == "bicubic":
        tell("Prior: bicubic enlargement, which invents nothing.")
        return Bicubic()
    if source.prior == EMBEDDED:
        tell("Prior: the embedded one (assets/weights/sr_prior.md).")
        return _embedded(load_released(NETWORK, device), EMBEDDED, source)
    path = Path(os.path.expanduser(source.prior))
    if path.exists():
        return _from_path(path, source, device, tell)
    if source.prior.count("/") == 1 and not path.suffix and not source.prior.startswith((".", "~", "/")):
        return _from_hub(source, device, tell)
    raise NeedsMissing(
        f"There is no prior {source.prior!r}: give {' or '.join(NAMES)}, a file of weights (.safetensors, .pth), "
        "a folder with a diffusers pipeline, or a hub's id like owner/name."
    )


def _embedded(network: Any, name: str, source: PriorSource) -> EmbeddedPrior:
    assert isinstance(network, SRPrior)
    return EmbeddedPrior(network, name, source.how)


def _from_path(path: Path, source: PriorSource, device: str, tell: Callable[[str], None]) -> AnyPrior:
    tell(f"Prior: {path}")
    if path.is_dir():
        return _pipeline(str(path), _class_in(path), source, device, {"local_files_only": True})
    if path.suffix == ".safetensors" and _is_own(path):
        return _embedded(load_network(path, NETWORK, device), path.stem, source)
    return tiled(SpandrelUpscaler(path, device), source.tile, source.overlap)


def _is_own(path: Path) -> bool:
    """Whether `gsr train` wrote the file."""
    try:
        return CONFIG in metadata(path.read_bytes())
    except (OSError, ValueError):
        return False


def _from_hub(source: PriorSource, device: str, tell: Callable[[str], None]) -> AnyPrior:
    """From the hub's cache on this machine, else downloaded."""
    diffusers = _diffusers(source.prior)
    failures: list[str] = []
    for where, offline in (("already downloaded", True), ("downloaded", False)):
        options = {"revision": source.revision, "local_files_only": offline}
        try:
            config = diffusers.DiffusionPipeline.load_config(source.prior, **options)
            prior = _pipeline(source.prior, str(config["_class_name"]), source, device, options)
        except (OSError, ValueError) as error:
            failures.append(str(error).splitlines()[0])
            continue
        tell(f"Prior: {source.prior}, revision {source.revision or 'default'}, {where}.")
        return prior
    raise NeedsMissing(
        f"The prior {source.prior} is not on this machine and could not be downloaded ({failures[-1]}). Where there is "
        f"internet, run `hf download {source.prior} --local-dir PRIOR`, bring the folder here, and give it as "
        "--prior PRIOR."
    )


def _pipeline(where: str, kind: str, source: PriorSource, device: str, options: dict[str, Any]) -> AnyPrior:
    diffusers = _diffusers(where)
    if kind not in PIPELINES:
        raise NeedsMissing(f"{where} is a {kind}, which cannot sharpen photos: give one of {', '.join(PIPELINES)}.")
    loader = getattr(diffusers, kind).from_pretrained
    try:
        pipeline = loader(where, use_safetensors=True, **options)
    except OSError:  # no safetensors there; diffusers reads the pickled files with weights_only
        pipeline = loader(where, use_safetensors=False, **options)
    licence = "as its model card says"
    return tiled(PIPELINES[kind](pipeline.to(device), where, licence, source.steps), source.tile, source.overlap)


def _class_in(folder: Path) -> str:
    try:
        return str(json.loads((folder / "model_index.json").read_text())["_class_name"])
    except (OSError, ValueError, KeyError):
        raise NeedsMissing(
            f"{folder} holds no diffusers pipeline (no model_index.json): give the folder that `hf download` made."
        ) from None


def _diffusers(where: str) -> Any:
    try:
        return importlib.import_module("diffusers")
    except Exception as error:  # broken companions raise more than ImportError
        raise NeedsMissing(f"{where} needs diffusers, which cannot be used here ({error}). {INSTALL}") from error
