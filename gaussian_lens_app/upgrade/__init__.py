"""From a box, or a whole scene, to a judged patch. No threads, no screen: session, commands and benchmark call it."""

import dataclasses

from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.methods import Scope, find_method
from gaussian_lens_app.scene import Patch
from gaussian_lens_app.select import whole_region
from gaussian_lens_app.upgrade.line import photos_resolve, run_line
from gaussian_lens_app.upgrade.request import UpgradeRequest, UpgradeResult
from gaussian_lens_app.upgrade.whole import upgrade_by_blocks

__all__ = ["UpgradeRequest", "UpgradeResult", "Verdict", "by_blocks", "photos_resolve", "until_cancelled", "upgrade"]


def upgrade(request: UpgradeRequest, report: Report = silent) -> UpgradeResult:
    """What is asked for. Raises MethodError or CaptureError with a sentence; changes nothing.

    A whole scene is upgraded block by block by methods that work on boxes only.
    """
    return upgrade_by_blocks(request, report) if by_blocks(request) else run_line(request, report)


def until_cancelled(request: UpgradeRequest, kept: Patch, seconds: float) -> UpgradeResult:
    """What was finished when the user stopped it after so many seconds, to be shown as it is, with the verdict it
    carries if any."""
    verdict = Verdict(True, False, None, None, None, "Stopped: what was finished until then. Detail not verified.")
    if "verdict" in kept.provenance:
        judged = Verdict(**kept.provenance["verdict"])
        verdict = dataclasses.replace(judged, sentence=f"Stopped: {judged.sentence}")
    return UpgradeResult(kept, request.region or whole_region(request.scene, None), verdict, {"method": seconds})


def by_blocks(request: UpgradeRequest) -> bool:
    """Whether it is a whole scene for a method that works on boxes only."""
    return request.box is None and Scope.SCENE not in find_method(request.method).scopes
