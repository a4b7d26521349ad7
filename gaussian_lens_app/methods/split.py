"""`split`: opaque Gaussians become six smaller ones that look the same; instant, needs no photos and no weights."""

from __future__ import annotations

from typing import ClassVar

from gaussian_lens_app.errors import MethodError, NothingSelected
from gaussian_lens_app.jobs.report import Report
from gaussian_lens_app.methods.base import Needs, Scope, Task
from gaussian_lens_app.networks.shuffle_split import SplitSettings, shuffle_split
from gaussian_lens_app.scene import Patch


class ShuffleSplit:
    """Room for detail: what `sr3r` starts from, and a start for fitting. The picture changes as little as can be."""

    name: ClassVar[str] = "split"
    label: ClassVar[str] = "Split"
    summary: ClassVar[str] = "Turns each opaque Gaussian into six smaller ones; adds room for detail, not detail."
    needs: ClassVar[Needs] = Needs.NOTHING
    scopes: ClassVar[tuple[Scope, ...]] = (Scope.REGION, Scope.SCENE)

    def __init__(self, settings: SplitSettings | None = None):
        self.settings = settings or SplitSettings()

    def __call__(self, task: Task, report: Report) -> Patch:
        report("Splitting", 0.0)
        rows = task.region.selected.nonzero()[:, 0]
        if len(rows) == 0:
            raise NothingSelected("The box holds no Gaussian: drag it over something that is drawn.")
        split = shuffle_split(task.scene.take(rows), self.settings)
        if not bool(split.divided.any()):
            raise MethodError(
                f"No Gaussian here is more opaque than {self.settings.least_opacity:g}: nothing is split."
            )
        children = split.divided[split.parents]
        provenance = {"method": self.name, "kind": "inherited", "photos": [], "split": int(split.divided.sum())}
        return Patch(
            removed=rows[split.divided].cpu(),
            added=split.gaussians.take(children),
            parents=rows[split.parents[children]].cpu(),
            provenance=provenance,
        )
