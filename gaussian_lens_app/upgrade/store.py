"""Finished blocks on disk, so that a run that was stopped goes on with the ones that are left."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.formats.atomic import make_folder, write_atomically
from gaussian_lens_app.scene import Gaussians, Patch
from gaussian_lens_app.upgrade.engines import Done
from gaussian_lens_app.upgrade.request import UpgradeRequest

FIELDS = tuple(field.name for field in dataclasses.fields(Gaussians))


class Store:
    """A folder with a file a block; files of another request are not taken for this one's."""

    def __init__(self, folder: Path, request: UpgradeRequest):
        self.folder, self.stamp = folder, stamp_of(request)
        make_folder(folder)

    def keep(self, done: Done) -> None:
        """Write a block in one step."""
        facts = {"stamp": self.stamp, "verdict": dataclasses.asdict(done.verdict), "seconds": done.seconds}
        tensors: dict[str, torch.Tensor] = {}
        if done.patch is not None:
            facts["provenance"] = done.patch.provenance
            tensors = {name: tensor.cpu().contiguous() for name, tensor in done.patch.added.tensors()}
            tensors |= {"removed": done.patch.removed, "parents": done.patch.parents}
            if done.patch.kinds is not None:
                tensors["kinds"] = done.patch.kinds
        with write_atomically(self._path(done.number)) as file:
            file.write(save(tensors, metadata={"facts": json.dumps(facts)}))

    def find(self, number: int) -> Done | None:
        """A block that was kept; None where there is none, or a damaged one."""
        try:
            with safe_open(self._path(number), framework="pt") as file:
                facts = json.loads((file.metadata() or {})["facts"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  no dictionary
            if facts["stamp"] != self.stamp:
                return None
            return Done(number, _patch(tensors, facts), Verdict(**facts["verdict"]), facts["seconds"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None

    def _path(self, number: int) -> Path:
        return self.folder / f"block-{number:06d}.safetensors"


def _patch(tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> Patch | None:
    if "provenance" not in facts:
        return None
    added = Gaussians(**{name: tensors[name] for name in FIELDS})
    return Patch(tensors["removed"], added, tensors["parents"], None, facts["provenance"], tensors.get("kinds"))


def stamp_of(request: UpgradeRequest) -> str:
    """A name for what a request asks: another scene, other photos, another method or budget has another."""
    digest = hashlib.sha256()
    for _, tensor in request.scene.tensors():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    names = [] if request.capture is None else [photo.name for photo in request.capture.photos]
    asked = [request.method, dataclasses.asdict(request.budget), dataclasses.asdict(request.mode)]
    digest.update(json.dumps([*asked, request.judge, request.seed, names]).encode())
    return digest.hexdigest()
