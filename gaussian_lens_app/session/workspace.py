"""The scene, the regions upgraded in it and the steps of undo, without threads and listeners."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from jaxtyping import Bool
from torch import Tensor

from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.scene import Gaussians, Patch
from gaussian_lens_app.session.arrangement import (
    Alternative,
    Arrangement,
    Step,
    Steps,
    UpgradedRegion,
    builds_on,
    walk,
)
from gaussian_lens_app.session.events import Outcome
from gaussian_lens_app.session.history import Edit, Edited, make_edit
from gaussian_lens_app.session.proposal import Proposal

WHOLE, SELECTION = "Whole scene", "Selection"
"""What an export calls the parts that are no region: no region is called so."""
GIVEN = re.compile(r"(?:Region|Whole scene) (\d+)")
"""What a region is called until the user names it."""


@dataclass(eq=False)
class Workspace:
    """Every method makes one step, or raises MethodError and leaves all as it was."""

    edited: Edited
    arrangement: Arrangement = field(default_factory=Arrangement)
    steps: Steps = field(default_factory=Steps)
    names: dict[int, str] = field(default_factory=dict)
    """Names the user gave to regions."""
    next_id: int = 0
    next_key: int = 1
    grounds: tuple[Edit, ...] = ()
    """Edits out of force when a project was opened; a hidden region may have been made on one."""

    def __post_init__(self) -> None:
        self.next_id = max(self.next_id, len(self.edited.ids))

    # ---- reading

    def name(self, number: int) -> str:
        """What a region is called."""
        whole = any(region.number == number and region.box is None for region in self.arrangement.regions)
        return self.names.get(number, f"{'Whole scene' if whole else 'Region'} {number}")

    def title(self, edit: Edit) -> str:
        """What an edit is called: after its region, where it has one."""
        return self._title(edit, self.arrangement)

    def title_of(self, step: Step) -> str:
        """What a step's edit is called, also where its region is gone with it."""
        return self._title(step.edit, step.before, step.after)

    def _title(self, edit: Edit, *arrangements: Arrangement) -> str:
        for region in (region for arrangement in arrangements for region in arrangement.regions):
            if any(one.edit.key == edit.key for one in region.alternatives):
                return self.name(region.number)
        return edit.name

    def dependents(self, number: int) -> tuple[str, ...]:
        """What was made on top of a region and stands or falls with it, by name."""
        region = self.arrangement.region(number)
        return self._titles(self.arrangement.dependents(region.key))

    def lost_by_hiding(self, number: int) -> tuple[str, ...]:
        """What was done by hand on top of a region, by name: it goes with it, and showing the region does not bring it
        back."""
        own = {edit.key for edit in self.arrangement.alternatives()}
        above = self.arrangement.dependents(self.arrangement.region(number).key)
        return self._titles(edit for edit in above if edit.key not in own)

    def not_brought_back(self, number: int) -> tuple[str, ...]:
        """What was done by hand on the version of a region that is chosen, and went when it was hidden, by name: of a
        shown region it is not there, until Undo."""
        now, version = self.arrangement, self.arrangement.region(number).current.edit
        own = {edit.key for edit in (*now.edits, *now.alternatives())}
        past = {edit.key: edit for step in self.steps.done for edit in step.before.edits if edit.key not in own}
        return self._titles(edit for edit in past.values() if edit.verdict is None and builds_on(edit, version))

    def standing_on(self, number: int) -> tuple[str, ...]:
        """What would go with a region for good, by name: hidden regions and versions that were made on it too."""
        return self._titles(self.arrangement.standing_on(number))

    def state(self) -> tuple[Arrangement, tuple[Edit, ...]]:
        """(the arrangement of this moment, all edits it takes to have it again).

        In force first, then those of hidden regions and what they were made on.
        """
        now = self.arrangement
        needed = {edit.key: edit for edit in (*now.alternatives(), *now.edits)}
        past = [edit for step in self.steps.done for edit in step.before.edits]
        others = {edit.key: edit for edit in (*self.grounds, *past) if edit.key not in needed}
        hidden = [edit for edit in needed.values() if now.edit(edit.key) is None]
        for later in hidden:  # it grows: what stands on what was made on it
            below = [edit for edit in others.values() if builds_on(later, edit)]
            hidden += [others.pop(edit.key) for edit in below]
        return now, (*now.edits, *hidden)

    def parents(self, number: int) -> tuple[str, ...]:
        """The regions this one was made on top of."""
        edit = self.arrangement.edit(self.arrangement.region(number).key)
        below = set() if edit is None else set(edit.before.regions.unique().tolist()) - {0, number}
        return tuple(self.name(one) for one in sorted(below))

    def base_for(self, number: int | None) -> Edited:
        """The scene another upgrade of that region starts from: without it."""
        if number is None:
            return self.edited
        region = self.arrangement.region(number)
        self._refuse_dependents(number, "tried again")
        return self._at(self.arrangement.without([region.key]))[0]

    # ---- names

    def rename(self, number: int, name: str) -> None:
        """Call a region something that nothing else is called; an empty name gives it its number back."""
        others = {one: known for one, known in self.names.items() if one != number}
        # Another mapping each time: somebody may be reading this one.
        self.names = {**others, number: self._told_apart(number, name)} if name else others

    def _told_apart(self, number: int, name: str) -> str:
        """The name, with a number where it is taken, kept for a part that is no region, or another region's to be."""
        regions = (region.number for region in self.arrangement.regions)
        taken = {WHOLE, SELECTION, *(self.name(one) for one in {*regions, *self.names} - {number})}
        given = GIVEN.fullmatch(name)
        if given is not None and int(given[1]) != number:
            taken.add(name)
        numbered = (f"{name} ({count})" for count in itertools.count(2))
        return next(one for one in itertools.chain([name], numbered) if one not in taken)

    # ---- steps

    def apply(self, proposal: Proposal, reason: str) -> Outcome:
        """A new region, or a further alternative of an old one, in force."""
        number, edit, edited, edits = self._made(proposal)
        region, outcome = self._with_version(number, proposal, edit)
        region = dataclasses.replace(region, chosen=len(region.alternatives) - 1, shown=True)
        after = dataclasses.replace(self.arrangement.with_region(region), edits=(*edits, edit))
        self._enter_new(Step(reason, edit, self.arrangement, after), edit.redo(edited))
        return outcome

    def better_shown(self, proposal: Proposal) -> Alternative | None:
        """The version of its region that is shown and beats it."""
        if proposal.region is None:
            return None
        region = self.arrangement.region(proposal.region)
        beaten = region.shown and region.current.outcome.verdict.beats(proposal.verdict)
        return region.current if beaten else None

    def put_beside(self, proposal: Proposal, reason: str, better: Alternative) -> Outcome:
        """A further alternative of a region; the better one stays in force."""
        number, edit, _, _ = self._made(proposal)
        region, outcome = self._with_version(number, proposal, edit)
        self._enter_new(Step(reason, edit, self.arrangement, self.arrangement.with_region(region)), self.edited)
        return dataclasses.replace(outcome, beaten_by=better.method)

    def _made(self, proposal: Proposal) -> tuple[int, Edit, Edited, tuple[Edit, ...]]:
        """(region's number, the edit, the scene it is made for, the edits in force there)."""
        number, arrangement = proposal.region, self.arrangement
        if number is None:
            number = max((region.number for region in arrangement.regions), default=0) + 1
            number = max(number, max(self.names, default=0) + 1)
        else:
            self._refuse_dependents(number, "tried again")
            arrangement = arrangement.without([arrangement.region(number).key])
        edited, edits = self._at(arrangement)
        return number, proposal.edit(edited, self.next_key, self.next_id, number), edited, edits

    def _with_version(self, number: int, proposal: Proposal, edit: Edit) -> tuple[UpgradedRegion, Outcome]:
        """The region, new or as it is, with a version more that is not chosen yet."""
        there = {region.number: region for region in self.arrangement.regions}
        region, outcome = there.get(number, UpgradedRegion(number, proposal.picks, ())), proposal.outcome(edit)
        versions = (*region.alternatives, Alternative(proposal.method, outcome, edit))
        return dataclasses.replace(region, alternatives=versions), outcome

    def delete(self, rows: Bool[Tensor, "N"], name: str) -> Edit:
        """Rows taken out by hand."""
        removed = rows.cpu().nonzero()[:, 0]
        if len(removed) in (0, len(rows)):
            raise MethodError("There is nothing to remove." if len(removed) == 0 else "That would remove everything.")
        return self.by_hand(Patch(removed, Gaussians.empty(self.edited.scene.sh_degree), removed[:0]), name, "delete")

    def by_hand(self, patch: Patch, name: str, reason: str) -> Edit:
        """A patch that belongs to no region."""
        edit = make_edit(self.next_key, name, patch, None, self.edited, self.next_id)
        after = dataclasses.replace(self.arrangement, edits=(*self.arrangement.edits, edit))
        self._enter_new(Step(reason, edit, self.arrangement, after), edit.redo(self.edited))
        return edit

    def hide(self, number: int, with_dependents: bool = False) -> Edit:
        """The region as it was before its upgrade; what stands on it goes with it when asked."""
        region = self.arrangement.region(number)
        above = self.arrangement.dependents(region.key)
        if not with_dependents:
            self._refuse(number, "hidden alone", above)
        edit = region.current.edit
        self._rearrange("hide", edit, self.arrangement.without(_keys((edit, *above))))
        return edit

    def remove(self, number: int, with_dependents: bool = False) -> Edit:
        """The region out of the list; what stands on it, hidden or not, goes with it when asked."""
        region = self.arrangement.region(number)
        above = self.arrangement.standing_on(number)
        if not with_dependents:
            self._refuse(number, "removed alone", above)
        own = (one.edit for one in region.alternatives)
        self._rearrange("remove", region.current.edit, self.arrangement.forgetting(_keys((*own, *above))))
        return region.current.edit

    def show(self, number: int) -> Edit:
        """A hidden region in force again."""
        region = self.arrangement.region(number)
        if region.shown:
            return region.current.edit
        return self._put_in(dataclasses.replace(region, shown=True), "show", self.arrangement)

    def flip(self, number: int, chosen: int) -> Edit:
        """Another alternative of a region in force instead."""
        region = self.arrangement.region(number)
        if region.shown and region.chosen == chosen:
            return region.current.edit
        self._refuse_dependents(number, "flipped")
        without = self.arrangement.without([region.key])
        return self._put_in(dataclasses.replace(region, chosen=chosen, shown=True), "flip", without)

    def undo(self) -> Step | None:
        """The last step, taken back."""
        if not self.steps.done:
            return None
        step = self.steps.done[-1]
        self._go(step.before)
        self.steps.done, self.steps.undone = self.steps.done[:-1], (*self.steps.undone, step)
        return step

    def redo(self) -> Step | None:
        """The step taken back last, made again."""
        if not self.steps.undone:
            return None
        step = self.steps.undone[-1]
        self._go(step.after)
        self.steps.done, self.steps.undone = (*self.steps.done, step), self.steps.undone[:-1]
        return step

    # ---- inside

    def _at(self, goal: Arrangement) -> tuple[Edited, tuple[Edit, ...]]:
        """(the scene in that arrangement, its edits as they were applied)."""
        return walk(self.edited, self.arrangement.edits, goal.edits, self.title)

    def _put_in(self, region: UpgradedRegion, reason: str, base: Arrangement) -> Edit:
        edit = region.current.edit
        after = base.with_region(region)
        self._rearrange(reason, edit, dataclasses.replace(after, edits=(*after.edits, edit)))
        return edit

    def _refuse_dependents(self, number: int, what: str) -> None:
        self._refuse(number, what, self.arrangement.dependents(self.arrangement.region(number).key))

    def _refuse(self, number: int, what: str, above: Iterable[Edit]) -> None:
        names = self._titles(above)
        if names:
            stand = "stands" if len(names) == 1 else "stand"
            raise MethodError(f"{self.name(number)} cannot be {what}: {' and '.join(names)} {stand} on it.")

    def _titles(self, edits: Iterable[Edit]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.title(edit) for edit in edits))

    def _rearrange(self, reason: str, edit: Edit, after: Arrangement) -> None:
        edited, edits = self._at(after)
        self._enter(Step(reason, edit, self.arrangement, dataclasses.replace(after, edits=edits)), edited)

    def _enter_new(self, step: Step, edited: Edited) -> None:
        # Names are used up first: who saves at this moment must not save an edit whose name is to be given again.
        self.next_key += 1
        self.next_id += len(step.edit.patch.added)
        self._enter(step, edited)

    def _enter(self, step: Step, edited: Edited) -> None:
        self.steps.made(step)
        self.edited, self.arrangement = edited, step.after

    def _go(self, goal: Arrangement) -> None:
        edited, edits = self._at(goal)
        self.edited, self.arrangement = edited, dataclasses.replace(goal, edits=edits)


def _keys(edits: Iterable[Edit]) -> set[int]:
    return {edit.key for edit in edits}
