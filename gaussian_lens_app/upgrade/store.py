"""Finished blocks on disk, so that a run that was stopped goes on with the ones that are left."""

from __future__ import annotations

import contextlib
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
from gaussian_lens_app.networks.weights import RELEASED
from gaussian_lens_app.scene import Gaussians, Patch, Photo
from gaussian_lens_app.upgrade.engines import Done
from gaussian_lens_app.upgrade.request import UpgradeRequest

FIELDS = tuple(field.name for field in dataclasses.fields(Gaussians))


class Store:
    """A folder with a file a block; files of another request, or of photos changed since, are not taken for this one's.

    A photo that was or is not there speaks against no block: those that wanted it could not be made, and were not kept.
    """

    def __init__(self, folder: Path, request: UpgradeRequest, parts: int):
        self.folder, self.stamp, self.states = folder, stamp_of(request, parts), _states(request)
        make_folder(folder)

    def keep(self, done: Done) -> None:
        """Write a block in one step."""
        facts = {"stamp": self.stamp, "photos": self.states, "seconds": done.seconds}
        facts["verdict"] = dataclasses.asdict(done.verdict)
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
            known = facts["photos"]
            if facts["stamp"] != self.stamp or any(known.get(name, now) != now for name, now in self.states.items()):
                return None
            return Done(number, _patch(tensors, facts), Verdict(**facts["verdict"]), facts["seconds"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError):
            return None

    def _path(self, number: int) -> Path:
        return self.folder / f"block-{number:06d}.safetensors"


def _patch(tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> Patch | None:
    if "provenance" not in facts:
        return None
    added = Gaussians(**{name: tensors[name] for name in FIELDS})
    return Patch(tensors["removed"], added, tensors["parents"], None, facts["provenance"], tensors.get("kinds"))


def stamp_of(request: UpgradeRequest, parts: int) -> str:
    """A name for what a request asks: another scene, cut otherwise, other photos, cameras or weights, another method or
    budget has another. Files of photos are told apart by `_states`."""
    digest = hashlib.sha256()
    for _, tensor in request.scene.tensors():
        digest.update(_bytes(tensor))
    for photo in _photos(request):
        camera = photo.camera
        digest.update(_bytes(camera.viewmat) + _bytes(camera.K))
        digest.update(repr((photo.name, camera.width, camera.height)).encode())
        if isinstance(photo.source, torch.Tensor):
            digest.update(_bytes(photo.source))
    asked = [request.method, dataclasses.asdict(request.budget), dataclasses.asdict(request.mode)]
    weights = {name: released.sha256 for name, released in RELEASED.items()}
    digest.update(json.dumps([*asked, request.judge, request.seed, parts, weights]).encode())
    return digest.hexdigest()


def _states(request: UpgradeRequest) -> dict[str, list[int]]:
    """Size and time of each photo's file that is there."""
    states = {}
    for photo in _photos(request):
        if isinstance(photo.source, Path):
            with contextlib.suppress(OSError):
                found = photo.source.stat()
                states[photo.name] = [found.st_size, found.st_mtime_ns]
    return states


def _photos(request: UpgradeRequest) -> tuple[Photo, ...]:
    return () if request.capture is None else request.capture.photos


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().numpy().tobytes()
