"""Session values as JSON and tensors, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from gaussian_lens_app.errors import BadFile
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.scene import Box, Camera, Gaussians, Patch
from gaussian_lens_app.session.arrangement import Alternative, UpgradedRegion
from gaussian_lens_app.session.events import Combine, Outcome, Pick
from gaussian_lens_app.session.history import Edit, Edited, Rows, make_edit, rows_of
from gaussian_lens_app.session.looks import Pose

EDIT_TENSORS = frozenset(
    [f"added.{one.name}" for one in dataclasses.fields(Gaussians)]
    + [f"after.{one.name}" for one in dataclasses.fields(Rows)]
    + ["removed"]
)
"""What `edit_tensors` writes and `edit_of` reads."""


def box_json(box: Box | None) -> dict[str, Any] | None:
    """None, the whole scene, stays None."""
    if box is None:
        return None
    camera = box.camera
    view = {"viewmat": camera.viewmat.tolist(), "K": camera.K.tolist(), "size": [camera.width, camera.height]}
    return {"camera": view, "rect": list(box.rect)}


def box_of(data: dict[str, Any] | None) -> Box | None:
    if data is None:
        return None
    view = data["camera"]
    camera = Camera(torch.tensor(view["viewmat"]), torch.tensor(view["K"]), *view["size"])
    x0, y0, x1, y1 = data["rect"]
    return Box(camera, (x0, y0, x1, y1))


def pose_json(pose: Pose) -> dict[str, Any]:
    return {
        "name": pose.name, "position": np.asarray(pose.position).tolist(), "look_at": np.asarray(pose.look_at).tolist(),
        "up": np.asarray(pose.up).tolist(), "fov": pose.fov,
    }  # fmt: skip


def pose_of(data: dict[str, Any]) -> Pose:
    position, look_at, up = (np.asarray(data[key], dtype=float) for key in ("position", "look_at", "up"))
    return Pose(position, look_at, up, float(data["fov"]), str(data["name"]))


def region_json(region: UpgradedRegion) -> dict[str, Any]:
    """`box`, which `picks` end with, is for earlier versions of the program: they read nothing else."""
    return {
        "number": region.number, "box": box_json(region.box), "picks": [pick_json(pick) for pick in region.picks],
        "chosen": region.chosen, "shown": region.shown,
        "alternatives": [
            {"method": one.method, "edit": one.edit.key, "outcome": outcome_json(one.outcome)}
            for one in region.alternatives
        ],
    }  # fmt: skip


def region_of(data: dict[str, Any], edits: Mapping[int, Edit]) -> UpgradedRegion:
    alternatives = tuple(
        Alternative(one["method"], outcome_of(one["outcome"], edits[one["edit"]]), edits[one["edit"]])
        for one in data["alternatives"]
    )
    return UpgradedRegion(data["number"], _picks_of(data), alternatives, data["chosen"], data["shown"])


def pick_json(pick: Pick) -> dict[str, Any]:
    return {"box": box_json(pick.box), "how": pick.how.value, "through": pick.through, "depth": pick.depth}


def pick_of(data: dict[str, Any]) -> Pick:
    box = box_of(data["box"])
    if box is None:
        raise ValueError("a selection without a box")
    depth = None if data["depth"] is None else float(data["depth"])
    return Pick(box, Combine(data["how"]), bool(data["through"]), depth)


def _picks_of(data: dict[str, Any]) -> tuple[Pick, ...]:
    """A region's picks; projects of earlier versions kept the box alone."""
    if "picks" in data:
        return tuple(pick_of(pick) for pick in data["picks"])
    box = box_of(data["box"])
    return () if box is None else (Pick(box),)


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    counts = {"added": outcome.added, "changed": outcome.changed, "removed": outcome.removed}
    verdict = dataclasses.asdict(outcome.verdict)
    return {"name": outcome.name, "verdict": verdict, **counts, "seconds": outcome.seconds}


def outcome_of(data: dict[str, Any], edit: Edit) -> Outcome:
    data = {**data, "verdict": Verdict(**data["verdict"])}
    return Outcome(applied=True, edit=edit, **data)


def edit_tensors(edit: Edit) -> dict[str, torch.Tensor]:
    """All of an edit that is not in its JSON; rows by name, so that it can be made on any scene that has them.

    The places of the rows it puts in are left out: they are those of one scene. Made again, its rows come at the end.
    """
    tensors = {f"added.{name}": tensor.cpu().contiguous() for name, tensor in edit.patch.added.tensors()}
    names = [field.name for field in dataclasses.fields(Rows)]
    columns = zip(names, edit.after.columns(), strict=True)
    return {**tensors, **{f"after.{name}": column for name, column in columns}, "removed": edit.before.ids}


def edit_json(edit: Edit) -> dict[str, Any]:
    verdict = None if edit.verdict is None else dataclasses.asdict(edit.verdict)
    return {"key": edit.key, "name": edit.name, "verdict": verdict, "provenance": edit.patch.provenance}


def edit_of(data: dict[str, Any], tensors: Mapping[str, torch.Tensor], edited: Edited) -> Edit:
    """The edit for a scene that has the rows it takes out. BadFile when it has not."""
    rows = rows_of(tensors["removed"], edited.ids)
    if bool((rows < 0).any()):
        raise BadFile(f"The upgrade {data['name']} does not belong to this scene: the project is damaged.")
    added = Gaussians(**{f.name: tensors[f"added.{f.name}"] for f in dataclasses.fields(Gaussians)})
    added = added.to(edited.scene.device)
    nobody = torch.full((len(added),), -1)
    patch = Patch(rows.sort().values, added, nobody, provenance=data["provenance"])
    verdict = None if data["verdict"] is None else Verdict(**data["verdict"])
    edit = make_edit(data["key"], data["name"], patch, verdict, edited, 0)
    after = Rows(*(tensors[f"after.{field.name}"] for field in dataclasses.fields(Rows)))
    return dataclasses.replace(edit, after=after)
