"""The edited scene and the edits that made it: exact undo, exact redo, patches instead of copies."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from gaussian_lens_app.scene import Gaussians, Kind, Patch

if TYPE_CHECKING:
    from gaussian_lens_app.upgrade import Verdict


PREVIEW_ID = 1 << 62


@dataclass(frozen=True, eq=False)
class Rows:
    """What is known of each row of a scene beside its Gaussian."""

    ids: Int[Tensor, "N"]
    """Name of each row; no two rows of a session ever share one, and a row keeps it through undo and redo."""
    sources: Int[Tensor, "N"]
    """Row of the file each Gaussian came from, -1 for none."""
    kinds: UInt8[Tensor, "N"]
    """`Kind` of each row."""
    regions: Int[Tensor, "N"]
    """Number of the region whose upgrade put it there, 0 for none."""

    def take(self, rows: Tensor) -> Rows:
        return Rows(*(column[rows] for column in self.columns()))

    def columns(self) -> tuple[Tensor, ...]:
        return self.ids, self.sources, self.kinds, self.regions


@dataclass(frozen=True, eq=False)
class Edited:
    """A scene whose rows have names, so that an edit made for one scene can be carried to the next."""

    scene: Gaussians
    rows: Rows

    @staticmethod
    def original(scene: Gaussians, kinds: Tensor | None = None) -> Edited:
        count = len(scene)
        kinds = torch.zeros(count, dtype=torch.uint8) if kinds is None else kinds
        return Edited(
            scene, Rows(torch.arange(count), torch.arange(count), kinds, torch.zeros(count, dtype=torch.long))
        )

    @property
    def ids(self) -> Tensor:
        return self.rows.ids

    @property
    def sources(self) -> Tensor:
        return self.rows.sources

    def same_rows(self, other: Edited) -> bool:
        """Whether both are of the same rows in the same order: undo and redo make another, equal scene."""
        return self is other or torch.equal(self.ids, other.ids)

    def holds(self, names: Int[Tensor, "M"]) -> bool:
        """Whether the rows of these names are there."""
        return torch.equal(names, self.ids) or not bool((rows_of(names, self.ids) < 0).any())


@dataclass(frozen=True, eq=False)
class Edit:
    """An applied patch with all that takes it back."""

    key: int
    """The same edit carried to another scene keeps its key."""
    name: str
    patch: Patch
    inverse: Patch
    verdict: Verdict | None
    """None for an edit made by hand."""
    before: Rows
    """The rows taken out."""
    after: Rows
    """The rows put in."""
    count: int
    """Rows of the scene before."""
    sh_degree: int
    """Of the scene before: an added Gaussian may have raised it."""

    def redo(self, edited: Edited) -> Edited:
        return _edited(edited, self.patch, self.after)

    def undo(self, edited: Edited) -> Edited:
        restored = _edited(edited, self.inverse, self.before)
        if restored.scene.sh_degree == self.sh_degree:
            return restored
        return dataclasses.replace(restored, scene=restored.scene.with_sh_degree(self.sh_degree))

    def carried(self, now: Edited) -> Edit | None:
        """The same edit for another scene; None when a row it takes out is not there.

        Rows that were put in the places of others come at the end there: their places were those of this scene.
        """
        rows = rows_of(self.before.ids, now.ids)
        if bool((rows < 0).any()):
            return None
        same_degree = now.scene.sh_degree == self.sh_degree
        if same_degree and len(now.ids) == self.count and torch.equal(rows, self.patch.removed):
            return self
        nobody = torch.full((len(self.patch.added),), -1)  # sources are known already
        here = dataclasses.replace(self.patch, removed=rows.sort().values, parents=nobody, positions=None)
        return dataclasses.replace(
            self,
            patch=here,
            inverse=here.inverse(now.scene),
            before=now.rows.take(here.removed),
            count=len(now.ids),
            sh_degree=now.scene.sh_degree,
        )


def make_edit(
    key: int, name: str, patch: Patch, verdict: Verdict | None, edited: Edited, first_id: int, region: int = 0
) -> Edit:
    """The edit that applies `patch` to `edited`; added rows are named from `first_id` on."""
    count = len(patch.added)
    sources = _looked_up(edited.sources, patch.parents.cpu())
    kinds = kinds_of(patch, verdict, edited.rows.kinds)
    after = Rows(torch.arange(first_id, first_id + count), sources, kinds, torch.full((count,), region))
    before, inverse = edited.rows.take(patch.removed), patch.inverse(edited.scene)
    return Edit(key, name, patch, inverse, verdict, before, after, len(edited.ids), edited.scene.sh_degree)


def previewed(edited: Edited, patch: Patch) -> Edited:
    """The scene as it would be with the patch; its new rows have names that no edit ever uses."""
    return make_edit(-1, "preview", patch, None, edited, PREVIEW_ID).redo(edited)


def kinds_of(patch: Patch, verdict: Verdict | None, there: UInt8[Tensor, "N"]) -> UInt8[Tensor, "A"]:
    """Where the added Gaussians come from: as the method says; else fitted if it names photos, else invented.

    `there`: the kinds of the scene's Gaussians, which parts of them inherit. What a network made and no photo confirmed
    is invented, whatever the network thinks.
    """
    confirmed = verdict is None or verdict.verified
    if patch.kinds is not None:
        kinds = patch.kinds.cpu()
        return kinds if confirmed else torch.where(kinds == Kind.LEARNED, int(Kind.INVENTED), kinds).to(torch.uint8)
    said = patch.provenance.get("kind")
    if said == "inherited":
        parents = patch.parents.cpu()
        return torch.where(parents < 0, int(Kind.INVENTED), there[parents.clamp_min(0)]).to(torch.uint8)
    if said == "derived":  # computed from what was there: likely, but no photo shows it
        return torch.full((len(patch.added),), int(Kind.INVENTED), dtype=torch.uint8)
    kind = Kind[said.upper()] if said else (Kind.FITTED if patch.provenance.get("photos") else Kind.INVENTED)
    if kind is Kind.LEARNED and not confirmed:
        kind = Kind.INVENTED
    return torch.full((len(patch.added),), int(kind), dtype=torch.uint8)


def rebased(patch: Patch, base_ids: Int[Tensor, "N"], needed: Bool[Tensor, "N"], now: Edited) -> Patch | None:
    """`patch`, made for the scene whose rows were named `base_ids`, for the scene of today.

    None when a row it takes out, or one of the `needed` rows, is no longer there.
    """
    if torch.equal(base_ids, now.ids):
        return patch
    here = rows_of(base_ids, now.ids)
    touched = torch.cat([patch.removed, needed.cpu().nonzero()[:, 0]])
    if bool((here[touched] < 0).any()):
        return None
    parents = _looked_up(here, patch.parents.cpu())
    return dataclasses.replace(patch, removed=here[patch.removed].sort().values, parents=parents, positions=None)


def rows_of(wanted: Tensor, ids: Tensor) -> Tensor:
    """For each wanted name its row in `ids`, -1 where it is not there."""
    if len(ids) == 0:
        return torch.full_like(wanted, -1)
    ordered, order = ids.sort()
    at = torch.searchsorted(ordered, wanted).clamp(max=len(ids) - 1)
    return torch.where(ordered[at] == wanted, order[at], -1)


def _edited(edited: Edited, patch: Patch, new: Rows) -> Edited:
    rows = patch.sources(len(edited.scene))
    columns = []
    for column, added in zip(edited.rows.columns(), new.columns(), strict=True):
        out = column[rows.clamp_min(0)] if len(column) else column.new_zeros(len(rows))
        out[rows < 0] = added
        columns.append(out)
    return Edited(patch.apply(edited.scene), Rows(*columns))


def _looked_up(column: Tensor, rows: Tensor) -> Tensor:
    """`column` at `rows`; -1 where the row is -1."""
    out = torch.full_like(rows, -1)
    out[rows >= 0] = column[rows[rows >= 0]]
    return out
