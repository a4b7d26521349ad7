"""Upgrades: one at a time on a worker, each on the scene as it is when its turn comes."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from gaussian_lens_app.errors import JobCancelled, MethodError
from gaussian_lens_app.jobs import Job, Report, before_landing, was_given_up, within
from gaussian_lens_app.methods.base import Budget
from gaussian_lens_app.scene import Box, Patch, Region
from gaussian_lens_app.session.estimate import Estimate
from gaussian_lens_app.session.events import Judged, Outcome, Pick, Previewed
from gaussian_lens_app.session.history import Edited, previewed
from gaussian_lens_app.session.memory import memory_errors_as_sentences
from gaussian_lens_app.session.proposal import Proposal
from gaussian_lens_app.session.state import State
from gaussian_lens_app.upgrade import UpgradeRequest, until_cancelled


@dataclass(frozen=True, eq=False)
class _Asked:
    """An upgrade that waits for its turn."""

    name: str
    box: Box | None
    picks: tuple[Pick, ...]
    """The boxes that select what it is of, up to `box`; empty for the whole scene."""
    method: str
    budget: Budget
    judge: bool
    seed: int
    again: int | None
    """Number of the region it is another upgrade of."""


@dataclass(frozen=True, eq=False)
class _Ground:
    """What the upgrade at work was begun on."""

    name: str
    ids: Int[Tensor, "M"]
    """Names of rows it cannot be swapped in without, as far as they are known before it is done."""
    again: int | None


class Upgrades(State):
    """From a box, or the whole scene, to a patch that is swapped in or kept aside."""

    _ground: _Ground | None = None

    @property
    def stranded(self) -> str | None:
        """Name of the upgrade at work, where splats it was begun on are not there now: it may have to wait for them."""
        with self._lock:
            ground = self._ground
            if ground is None:
                return None
            try:
                there = self.work.base_for(ground.again).holds(ground.ids)
            except MethodError:  # the region it is of is gone, or something stands on it
                there = False
            return None if there else ground.name

    def estimate(self, method: str, budget: Budget = Budget()) -> Estimate | None:  # noqa: B008  frozen
        """What upgrading the selection would cost; None while nothing is selected, or while that is looked for."""
        selection = self.selection
        if selection is None or selection.pending or selection.error is not None:
            return None
        return self.experience.estimate(method, selection.region, budget)

    def estimate_whole(self, method: str) -> Estimate:
        """What upgrading the whole scene would cost, by the last time."""
        return self.experience.estimate_whole(method, len(self.scene))

    def upgrade(
        self,
        box: Box | None,
        method: str = "refine",
        budget: Budget = Budget(),  # noqa: B008  frozen
        *,
        through: bool = False,
        judge: bool = True,
        seed: int = 0,
        again: int | None = None,
    ) -> Job[Outcome]:
        """Queue an upgrade of what is in the box, or of the selection this box belongs to; returns at once.

        No box: of the whole scene. `again`: number of the region it is another upgrade of, to choose from.
        """
        name = f"{method} {next(self.experience.numbers)}"
        if again is not None:
            picks = self.work.arrangement.region(again).picks
        else:
            picks = () if box is None else self._picks_of(box, through)
        asked = _Asked(name, box, picks, method, budget, judge, seed, again)
        return self._worker.submit(name, functools.partial(self._upgraded, asked), self._job_changed)

    def _upgraded(self, asked: _Asked, report: Report) -> Outcome:
        """On the scene as it is now, and landed there; the preview goes, whatever came of it."""
        with self._lock:
            met, base = self.edited, self.work.base_for(asked.again)
        request = self._request(asked, base, met)
        ground = self._ground = _ground_of(asked, request, base)
        began = time.monotonic()
        try:
            with memory_errors_as_sentences("the upgrade"):
                result = self._upgrade(request, within(report, 0.0, 0.98))
            report("Swapping in", 0.99)
            self.experience.learn(asked.method, result, asked.budget, whole=asked.box is None)
        except JobCancelled as stop:
            if not isinstance(stop.kept, Patch):
                raise
            result = until_cancelled(request, stop.kept, time.monotonic() - began)
        finally:
            self._show(None, met)
            if self._ground is ground:  # else it was given up, and another one is at work
                self._ground = None
        return self._land(Proposal.of(asked.name, asked.method, asked.picks, result, base, asked.again))

    def _request(self, asked: _Asked, base: Edited, met: Edited) -> UpgradeRequest:
        """What was asked for, of the scene `base`; shown as it goes on while the scene is still `met`."""
        return UpgradeRequest(
            scene=base.scene,
            box=asked.box,
            capture=self.capture,
            method=asked.method,
            budget=asked.budget,
            mode=self.mode,
            rasterizer=self.rasterizer,
            through=bool(asked.picks) and asked.picks[-1].through,
            judge=asked.judge,
            seed=asked.seed,
            region=self._region_of(asked.picks, base),
            preview=lambda patch: self._show(previewed(base, patch), met),
        )

    def _region_of(self, picks: tuple[Pick, ...], base: Edited) -> Region | None:
        """Where it is known, or not found from the box alone."""
        if not picks:
            return None
        plain = len(picks) == 1 and picks[-1].depth is None
        return self._picker.known(picks, base) if plain else self._picker.find(picks, base, self.mode)

    def _show(self, preview: Edited | None, met: Edited) -> None:
        """Let the picture show what is not finished, while the scene is still the one it met; None: no more."""
        with self._lock:
            if was_given_up():
                return
            shown, self.preview = self.preview, preview if self.edited.same_rows(met) else None
            changed = shown is not self.preview
        if changed:
            self._tell(Previewed())

    def _picks_of(self, box: Box, through: bool) -> tuple[Pick, ...]:
        """The chain this box ends, if it is the selection's, else the box alone."""
        shown = self.selection
        if shown is None or not shown.picks or shown.box is not box:
            return (Pick(box, through=through),)
        return shown.picks if through in (False, shown.picks[-1].through) else (Pick(box, through=through),)

    def upgrade_again(self, number: int, method: str, budget: Budget = Budget()) -> Job[Outcome]:  # noqa: B008  frozen
        """Queue another upgrade of all that a region was selected by, to flip between the two."""
        box = self.work.arrangement.region(number).box
        budget = Budget.for_scene(self.scene) if box is None else budget
        return self.upgrade(box, method, budget, again=number)

    @property
    def waiting(self) -> Proposal | None:
        """The upgrade to `force` where it is none that the judge refused: its splats were gone when it was finished."""
        kept = self.refused
        return kept if kept is not None and kept.verdict.accepted else None

    def force(self) -> Outcome:
        """Apply the upgrade that was refused last, or that waits for its splats. MethodError when they are gone."""
        with self._lock:
            if self.refused is None:
                raise MethodError("There is no refused upgrade to apply.")
            outcome = self._apply(self.refused, "force")
        self._tell(Judged(outcome))
        return outcome

    def _land(self, proposal: Proposal) -> Outcome:
        """Swap the upgrade in, put it beside a better version, or keep it aside when the judge refused it.

        One that cannot be put where the scene is now is kept too: it may have taken long. Then MethodError.
        """
        with self._lock:
            before_landing()
            try:
                outcome = self._landed(proposal)
            except MethodError as error:
                self.refused = proposal
                raise MethodError(f"{error} The upgrade is kept, to be applied when that is taken back.") from error
        self._tell(Judged(outcome))
        return outcome

    def _landed(self, proposal: Proposal) -> Outcome:
        if not proposal.verdict.accepted:
            self.refused = proposal
            self.last = proposal.outcome(None)
            return self.last
        better = self.work.better_shown(proposal)
        if better is not None:
            return self._applied(proposal, self.work.put_beside(proposal, "beside", better), "beside")
        return self._apply(proposal, "upgrade")

    def _apply(self, proposal: Proposal, reason: str) -> Outcome:
        return self._applied(proposal, self.work.apply(proposal, reason), reason)

    def _applied(self, proposal: Proposal, outcome: Outcome, reason: str) -> Outcome:
        self.last = outcome
        if self.waiting in (None, proposal):  # a refusal is overtaken by what came after it, finished work is not
            self.refused = None
        assert outcome.edit is not None
        self._swapped(reason, outcome.edit)
        return outcome


def _ground_of(asked: _Asked, request: UpgradeRequest, base: Edited) -> _Ground:
    """All rows for a whole scene, those of the region for a box; none where the region is not known yet."""
    if not asked.picks:
        return _Ground(asked.name, base.ids, asked.again)
    rows = [] if request.region is None else request.region.selected.cpu()
    return _Ground(asked.name, base.ids[rows], asked.again)
