"""The best weights of a training run as a file to ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from gaussian_lens_app.errors import BadFile
from gaussian_lens_app.networks.weights import save_network


def release(run: Path, name: str, config: Any, path: Path) -> str:
    """Write the weights of network `name` that validated best to a safetensors file in half precision; its sha256."""
    best = run / "best.pt"
    if not best.exists():
        raise BadFile(f"{run} holds no best.pt: train first (gsr train {name} --out {run}).")
    state = torch.load(best, weights_only=True, map_location="cpu")
    facts = {"network": name, "hours": f"{state['spent'] / 3600:.2f}", "validation_score": f"{state['score']:.3f}"}
    return save_network(path, state["network"], config, facts)
