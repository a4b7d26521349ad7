"""A finished upgrade that is not in the scene yet."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.scene import Patch
from gaussian_lens_app.session.events import Outcome, Pick
from gaussian_lens_app.session.history import Edit, Edited, make_edit, rebased
from gaussian_lens_app.upgrade import UpgradeResult, Verdict


@dataclass(frozen=True, eq=False)
class Proposal:
    """A patch with what it takes to apply it to a later scene; row names only, so that no old scene is kept alive."""

    name: str
    method: str
    picks: tuple[Pick, ...]
    """What selects it; none: the whole scene."""
    patch: Patch
    verdict: Verdict
    seconds: float
    base_ids: Int[Tensor, "N"]
    """Names of the rows of the scene the patch was made for."""
    needed: Bool[Tensor, "N"]
    """Rows the patch was made from, beside those it takes out: a box's selection; of a whole scene, the rows that what
    it adds comes from."""
    region: int | None = None
    """Number of the region this is another upgrade of; None: a new one."""

    @staticmethod
    def of(
        name: str, method: str, picks: tuple[Pick, ...], result: UpgradeResult, base: Edited, region: int | None = None
    ) -> Proposal:
        seconds = sum(result.seconds.values())
        needed = result.region.selected.cpu() if picks else _built_on(result.patch, len(base.ids))
        return Proposal(name, method, picks, result.patch, result.verdict, seconds, base.ids, needed, region)

    def edit(self, now: Edited, key: int, first_id: int, region: int) -> Edit:
        """The edit that applies this to the scene of today. MethodError when its splats are gone."""
        patch = rebased(self.patch, self.base_ids, self.needed, now)
        if patch is None:
            raise MethodError(
                "The splats this upgrade was made for have changed since (an undo, or another upgrade): "
                "the scene is as it was."
            )
        return make_edit(key, self.name, patch, self.verdict, now, first_id, region)

    def outcome(self, edit: Edit | None) -> Outcome:
        """What to tell of it: applied as `edit`, or refused."""
        patch = self.patch
        parents = patch.parents.cpu()
        heirs = torch.isin(parents, patch.removed.cpu())
        changed = len(parents[heirs].unique())  # of the heirs of one Gaussian one stands for it, the others are new
        removed, added = len(patch.removed) - changed, len(patch.added) - changed
        return Outcome(self.name, self.verdict, edit is not None, edit, added, changed, removed, self.seconds)


def _built_on(patch: Patch, count: int) -> Bool[Tensor, "N"]:
    """The rows that Gaussians of the patch come from, out of `count`."""
    needed = torch.zeros(count, dtype=torch.bool)
    parents = patch.parents.cpu()
    needed[parents[parents >= 0]] = True
    return needed
