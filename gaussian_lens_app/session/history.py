"""The edited scene and the stack of edits that made it: exact undo, exact redo, patches instead of copies."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from gaussian_lens_app.scene import Gaussians, Patch

if TYPE_CHECKING:
    from gaussian_lens_app.upgrade import Verdict


@dataclass(frozen=True, eq=False)
class Edited:
    """A scene whose rows have names, so that an edit made for one scene can be carried to the next."""

    scene: Gaussians
    ids: Int[Tensor, "N"]
    """Name of each row; no two rows of a session ever share one, and a row keeps it through undo and redo."""
    sources: Int[Tensor, "N"]
    """Row of the file each Gaussian came from, -1 for none."""

    @staticmethod
    def original(scene: Gaussians) -> Edited:
        rows = torch.arange(len(scene))
        return Edited(scene, rows, rows)


@dataclass(frozen=True, eq=False)
class Edit:
    """An applied patch with all that takes it back."""

    name: str
    patch: Patch
    inverse: Patch
    verdict: Verdict
    before: tuple[Int[Tensor, "R"], Int[Tensor, "R"]]
    """Names and sources of the rows taken out."""
    after: tuple[Int[Tensor, "A"], Int[Tensor, "A"]]
    """Names and sources of the rows put in."""
    sh_degree: int
    """Of the scene before: an added Gaussian may have raised it."""

    def redo(self, edited: Edited) -> Edited:
        return _edited(edited, self.patch, *self.after)

    def undo(self, edited: Edited) -> Edited:
        restored = _edited(edited, self.inverse, *self.before)
        if restored.scene.sh_degree == self.sh_degree:
            return restored
        return dataclasses.replace(restored, scene=restored.scene.with_sh_degree(self.sh_degree))


def make_edit(name: str, patch: Patch, verdict: Verdict, edited: Edited, first_id: int) -> Edit:
    """The edit that applies `patch` to `edited`; added rows are named from `first_id` on."""
    ids = torch.arange(first_id, first_id + len(patch.added))
    parents = patch.parents.cpu()
    sources = _looked_up(edited.sources, parents)
    before = (edited.ids[patch.removed], edited.sources[patch.removed])
    inverse = patch.inverse(edited.scene)
    return Edit(name, patch, inverse, verdict, before, (ids, sources), edited.scene.sh_degree)


def rebased(patch: Patch, base_ids: Int[Tensor, "N"], needed: Bool[Tensor, "N"], now: Edited) -> Patch | None:
    """`patch`, made for the scene whose rows were named `base_ids`, for the scene of today.

    None when a row it takes out, or one of the `needed` rows, is no longer there.
    """
    if torch.equal(base_ids, now.ids):
        return patch
    here = _rows_of(base_ids, now.ids)
    touched = torch.cat([patch.removed, needed.cpu().nonzero()[:, 0]])
    if bool((here[touched] < 0).any()):
        return None
    parents = patch.parents.cpu()
    parents = _looked_up(here, parents)
    return dataclasses.replace(patch, removed=here[patch.removed].sort().values, parents=parents, positions=None)


def _edited(edited: Edited, patch: Patch, ids: Tensor, sources: Tensor) -> Edited:
    rows = patch.sources(len(edited.scene))

    def carried(column: Tensor, new: Tensor) -> Tensor:
        out = _looked_up(column, rows)
        out[rows < 0] = new
        return out

    return Edited(patch.apply(edited.scene), carried(edited.ids, ids), carried(edited.sources, sources))


def _looked_up(column: Tensor, rows: Tensor) -> Tensor:
    """`column` at `rows`; -1 where the row is -1."""
    out = torch.full_like(rows, -1)
    out[rows >= 0] = column[rows[rows >= 0]]
    return out


def _rows_of(wanted: Tensor, ids: Tensor) -> Tensor:
    """For each wanted name its row in `ids`, -1 where it is not there."""
    if len(ids) == 0:
        return torch.full_like(wanted, -1)
    ordered, order = ids.sort()
    at = torch.searchsorted(ordered, wanted).clamp(max=len(ids) - 1)
    return torch.where(ordered[at] == wanted, order[at], -1)
