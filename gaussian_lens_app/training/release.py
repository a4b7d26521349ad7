"""The best weights of a training run as a file to ship."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from gaussian_lens_app.errors import BadFile
from gaussian_lens_app.networks.gaussian_lens import PRESETS
from gaussian_lens_app.networks.weights import save_lens


def release(run: Path, preset: Literal["cpu", "gpu"], path: Path) -> str:
    """Write the weights that validated best to a safetensors file in half precision; its sha256."""
    best = run / "best.pt"
    if not best.exists():
        raise BadFile(f"{run} holds no best.pt: train first (gsr train gaussian-lens --out {run}).")
    state = torch.load(best, weights_only=True, map_location="cpu")
    facts = {"network": "gaussian-lens", "preset": preset, "hours": f"{state['spent'] / 3600:.2f}"}
    facts["validation_gain_db"] = f"{state['score']:.3f}"
    return save_lens(path, state["network"], PRESETS[preset], facts)
