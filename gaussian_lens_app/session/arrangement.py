"""Which edits are in force, and the regions they belong to; every step of undo goes from one arrangement to another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import torch

from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.scene import Box
from gaussian_lens_app.session.events import Outcome, Pick
from gaussian_lens_app.session.history import Edit, Edited


@dataclass(frozen=True, eq=False)
class Alternative:
    """One upgrade of a region; a region may have been upgraded by several methods."""

    method: str
    outcome: Outcome
    edit: Edit


@dataclass(frozen=True, eq=False)
class UpgradedRegion:
    """What was upgraded: a box, or the whole scene."""

    number: int
    """From 1 on; exported with the Gaussians."""
    picks: tuple[Pick, ...]
    """What selects it, the same for every version; none: the whole scene."""
    alternatives: tuple[Alternative, ...]
    chosen: int = 0
    shown: bool = True

    @property
    def box(self) -> Box | None:
        """The box dragged last; None: the whole scene."""
        return self.picks[-1].box if self.picks else None

    @property
    def current(self) -> Alternative:
        return self.alternatives[self.chosen]

    @property
    def key(self) -> int:
        """Of the edit that is in force while the region is shown."""
        return self.current.edit.key


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Edits in force, oldest first, and all regions, hidden ones too."""

    edits: tuple[Edit, ...] = ()
    regions: tuple[UpgradedRegion, ...] = ()

    def region(self, number: int) -> UpgradedRegion:
        for region in self.regions:
            if region.number == number:
                return region
        raise MethodError("That region is no longer there.")

    def edit(self, key: int) -> Edit | None:
        return next((edit for edit in self.edits if edit.key == key), None)

    def with_region(self, region: UpgradedRegion) -> Arrangement:
        """Replaces the region of that number, or adds it at the end."""
        if all(one.number != region.number for one in self.regions):
            return dataclasses.replace(self, regions=(*self.regions, region))
        regions = tuple(region if one.number == region.number else one for one in self.regions)
        return dataclasses.replace(self, regions=regions)

    def without(self, keys: Collection[int]) -> Arrangement:
        """Those edits out of force; regions whose edit is gone are hidden."""
        edits = tuple(edit for edit in self.edits if edit.key not in keys)
        regions = tuple(dataclasses.replace(r, shown=False) if r.key in keys else r for r in self.regions)
        return Arrangement(edits, regions)

    def dependents(self, key: int) -> tuple[Edit, ...]:
        """Later edits that took out rows that this one put in, and theirs in turn."""
        first = self.edit(key)
        if first is None:
            return ()
        found: list[Edit] = []
        for edit in self.edits[self.edits.index(first) + 1 :]:
            if any(builds_on(edit, earlier) for earlier in (first, *found)):
                found.append(edit)
        return tuple(found)

    def standing_on(self, number: int) -> tuple[Edit, ...]:
        """Edits, of hidden regions and of alternatives too, that need a row that a region's upgrades put in."""
        found = [one.edit for one in self.region(number).alternatives]
        own = {edit.key for edit in found}
        others = {edit.key: edit for edit in (*self.edits, *self.alternatives()) if edit.key not in own}
        for earlier in found:  # it grows: what stands on what stands on it
            above = [edit for edit in others.values() if builds_on(edit, earlier)]
            found += [others.pop(edit.key) for edit in above]
        return tuple(edit for edit in found if edit.key not in own)

    def alternatives(self) -> tuple[Edit, ...]:
        """The edits of all regions, whether in force or not."""
        return tuple(one.edit for region in self.regions for one in region.alternatives)

    def forgetting(self, keys: Collection[int]) -> Arrangement:
        """Those edits out of force and out of the list; a region goes with the last of its alternatives."""
        shorter = (_forgetting(region, keys) for region in self.without(keys).regions)
        return Arrangement(self.without(keys).edits, tuple(region for region in shorter if region.alternatives))


def _forgetting(region: UpgradedRegion, keys: Collection[int]) -> UpgradedRegion:
    left = tuple(one for one in region.alternatives if one.edit.key not in keys)
    chosen = left.index(region.current) if region.current in left else 0
    return dataclasses.replace(region, alternatives=left, chosen=chosen)


@dataclass(frozen=True, eq=False)
class Step:
    """One entry of undo."""

    reason: str
    edit: Edit
    before: Arrangement
    after: Arrangement


@dataclass(eq=False)
class Steps:
    """What can be undone and redone."""

    done: tuple[Step, ...] = ()
    undone: tuple[Step, ...] = field(default=())

    def made(self, step: Step) -> None:
        self.done, self.undone = (*self.done, step), ()


def builds_on(later: Edit, earlier: Edit) -> bool:
    """Whether `later` takes out rows that `earlier` put in.

    An edit names what it puts in without a gap (`make_edit`), so that no millions of names need to be sorted.
    """
    taken, own = later.before.ids, earlier.after.ids
    return len(own) > 0 and bool(((taken >= own[0]) & (taken <= own[-1])).any())


def walk(
    edited: Edited, start: Sequence[Edit], goal: Sequence[Edit], title: Callable[[Edit], str]
) -> tuple[Edited, tuple[Edit, ...]]:
    """(the scene with the edits of `goal` in force instead of those of `start`, these edits as they were applied).

    Edits both begin with stay; the others are taken back in reverse and made anew, carried to the scene they now meet.
    MethodError, which calls edits by their `title`, when one cannot be.
    """
    same = 0
    while same < min(len(start), len(goal)) and start[same] is goal[same]:
        same += 1
    for edit in reversed(start[same:]):
        edited = edit.undo(edited)
    applied = list(goal[:same])
    for edit in goal[same:]:
        here = edit.carried(edited)
        if here is None:
            raise MethodError(_why_not(edit, applied, title))
        edited = here.redo(edited)
        applied.append(here)
    return edited, tuple(applied)


def _why_not(edit: Edit, in_force: Sequence[Edit], title: Callable[[Edit], str]) -> str:
    """Why an edit cannot be made: others took out what it would, or what put that in is not in force; what to do."""
    takers = [one for one in in_force if bool(torch.isin(one.before.ids, edit.before.ids).any())]
    if not takers:
        return f"The splats that {title(edit)} was made for are not there now: show what it was made on."
    them = "it" if len(takers) == 1 else "them"
    by_hand = any(one.verdict is None for one in takers)  # belongs to no region that could be hidden
    advice = "only Undo brings them back" if by_hand else f"hide {them} first"
    names = " and ".join(dict.fromkeys(map(title, takers)))
    return f"{names} took out splats that {title(edit)} needs: {advice}."
