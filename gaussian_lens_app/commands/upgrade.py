"""`gsr upgrade`: one box of one photo, sharpened and judged, as the viewer does it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tyro.conf import Positional

from gaussian_lens_app.commands.arguments import BoxPixels, Device, OptionalPath, Output
from gaussian_lens_app.commands.device import ready_rasterizer
from gaussian_lens_app.commands.progress import Progress
from gaussian_lens_app.commands.reading import check_target, read_capture, read_scene
from gaussian_lens_app.errors import GsrError

if TYPE_CHECKING:
    from gaussian_lens_app.jobs.report import Report
    from gaussian_lens_app.methods import Budget
    from gaussian_lens_app.session import Outcome, Session
    from gaussian_lens_app.upgrade import UpgradeRequest, UpgradeResult

REFUSED = 3
"""Exit code when the judge refused the result; 1 is an error, 2 wrong arguments."""


@dataclass(frozen=True)
class Upgrade:
    """Sharpen what a box of a photo shows, or a whole scene, and write it.

    Where photos show more than the scene, the result is measured on one kept out, and one that is not better is
    refused: nothing is written, the reason is printed, and the exit code is 3. Elsewhere it only has to agree with the
    photos there are; without any nothing checks it. The sentence that is printed says which it was.
    """

    scene: Positional[Path]
    """Scene file: PLY, compressed PLY, .splat, .spz, .sog, .ksplat, .glb, .gltf, or a folder with a SOG's meta.json."""
    output: Output
    """PLY to write."""
    capture: OptionalPath = None
    """Folder with the scene's photos, as large as you have them, and their cameras; some methods do without."""
    photo: str | None = None
    """Name of the photo whose camera the box is drawn in."""
    box: BoxPixels | None = None
    """Corners of the box in pixels of that photo."""
    whole: bool = False
    """The whole scene instead of a box."""
    method: str | None = None
    """How to sharpen; `gsr methods` lists them with what they need. Unless given, `refine` for a box, `fit-scene` for a
    whole scene, `refine` for one in parts (--engine, --work)."""
    prior: str = "embedded"
    """2D prior of 3dsr and 3dsr-approx: `embedded`, a file of weights, a folder of a diffusers pipeline, a hub's id."""
    prior_revision: str | None = None
    """Branch, tag or commit of that hub's id."""
    budget_seconds: float | None = None
    """Seconds the method may take, selecting and judging apart; unless given, 10 for a box and 1200 for a scene."""
    budget_gaussians: int | None = None
    """Gaussians the method may add; unless given, 60000 for a box and six for each one of a scene."""
    no_close_views: bool = False
    """Skip the first step, which widens nearly every splat, adapts opacities and takes veils away where the photos are
    larger than those the scene was made from. Then splats that the upgrade leaves alone keep their bits."""
    engine: Literal["here", "ray"] = "here"
    """Where the parts of a whole scene are upgraded: in this process, or on a Ray cluster (extra `cluster`)."""
    work: OptionalPath = None
    """Folder that keeps finished parts of a whole scene; the same command goes on from them."""
    through: bool = False
    """Take what is hidden behind the visible surface too."""
    force: bool = False
    """Write the result even if the judge refuses it."""
    report: OptionalPath = None
    """Write what was done as JSON: method, box, counts, seconds, verdict, photos used."""
    device: Device = "auto"
    """Where to compute; auto takes an NVIDIA GPU where there is one (not yet run on a real one; cpu is tested)."""
    seed: int = 0
    """Same seed, same result (for a fixed number of threads), where the budget is not what ends the method."""

    def run(self) -> int:
        output = check_target(self.output, ".ply", own=self.scene)
        report = None if self.report is None else check_target(self.report, own=self.scene)
        self._check()
        results: list[UpgradeResult] = []
        session = self._open(results)
        try:
            before = len(session.scene)
            self._ready(session)
            veils = before - len(session.scene)
            budget = self._budget(session)
            outcome = self._upgraded(session, budget)
            if self.force and not outcome.applied:
                outcome = session.force()
            if outcome.applied:
                session.export(output)
            counts = {"before": before, "veils": veils, "after": len(session.scene) if outcome.applied else before}
        finally:
            session.close()
        if report is not None:
            _write(report, self._report(output, counts, budget, outcome, results[0]))
        self._tell(outcome, output, veils)
        return 0 if outcome.applied else REFUSED

    def _check(self) -> None:
        """Raises GsrError when the method is unknown or it is not said where it is to work."""
        from gaussian_lens_app.methods import find_method, use_prior
        from gaussian_lens_app.priors import PriorSource

        use_prior(PriorSource(self.prior, self.prior_revision))
        find_method(self._method)
        boxed = self.photo is not None and self.box is not None
        if self.whole == boxed or (self.whole and (self.photo or self.box)):
            raise GsrError(
                "Say what to upgrade: --photo NAME --box X0 Y0 X1 Y1 for what a box of a photo shows, "
                "or --whole for the whole scene."
            )
        if boxed and self.capture is None:
            raise GsrError("A box is drawn in a photo: add --capture DIR, the folder with the photos.")

    @property
    def _method(self) -> str:
        parts = self.engine != "here" or self.work is not None
        return self.method or ("fit-scene" if self.whole and not parts else "refine")

    def _open(self, results: list[UpgradeResult]) -> Session:
        """A session whose upgrades also land in `results`, where their details are."""
        from gaussian_lens_app.session import Session

        def recorded(request, report) -> UpgradeResult:
            results.append(self._result(request, report))
            return results[-1]

        rasterizer = ready_rasterizer(self.device)
        file = read_scene(self.scene)
        capture = None if self.capture is None else read_capture(self.capture, file)
        scene = file.gaussians.to(rasterizer.device)
        return Session(scene, rasterizer=rasterizer, capture=capture, file=file, upgrade=recorded)

    def _budget(self, session: Session) -> Budget:
        """What was asked for, the rest as is usual for a box or a scene."""
        from gaussian_lens_app.methods import Budget

        usual = Budget.for_scene(session.scene) if self.whole else Budget()
        given = {"seconds": self.budget_seconds, "gaussians": self.budget_gaussians}
        return dataclasses.replace(usual, **{key: value for key, value in given.items() if value is not None})

    def _result(self, request: UpgradeRequest, report: Report) -> UpgradeResult:
        """On the engine and with the folder that were asked for."""
        from gaussian_lens_app.upgrade import by_blocks, upgrade
        from gaussian_lens_app.upgrade.engines import ENGINES
        from gaussian_lens_app.upgrade.whole import upgrade_by_blocks

        if self.engine == "here" and self.work is None:
            return upgrade(request, report)
        if not by_blocks(request):
            raise GsrError(
                "--engine and --work are for whole scenes that are upgraded part by part: add --whole, and choose a "
                "method that works on boxes only (`gsr methods`)."
            )
        return upgrade_by_blocks(request, report, ENGINES[self.engine](), self.work)

    def _ready(self, session: Session) -> None:
        """For close views, unless they are to be left out."""
        if not self.no_close_views:
            with _shown(session):
                session.ready_close_views().result()

    def _upgraded(self, session: Session, budget: Budget) -> Outcome:
        from gaussian_lens_app.scene import Box

        box = None
        if self.photo is not None and self.box is not None and session.capture is not None:
            box = Box(session.capture.named(self.photo).camera, self.box)
        with _shown(session):
            return session.upgrade(box, self._method, budget, through=self.through, seed=self.seed).result()

    def _tell(self, outcome: Outcome, output: Path, veils: int) -> None:
        print(outcome.verdict.sentence)
        if outcome.applied:
            counts = f"{outcome.added} Gaussians added, {outcome.changed} changed, {outcome.removed} removed"
            taken = f"; veils taken out before: {veils}" if veils else ""
            print(f"{output}: {counts} in {outcome.seconds:.1f} s{taken}")
        else:
            print("Nothing was written: the old splats stay. To write the result all the same, add --force.")

    def _report(
        self, output: Path, counts: dict[str, int], budget: Budget, outcome: Outcome, result: UpgradeResult
    ) -> dict[str, Any]:
        return {
            "scene": str(self.scene),
            "capture": None if self.capture is None else str(self.capture),
            "output": str(output) if outcome.applied else None,
            "photo": self.photo,
            "box": None if self.box is None else list(self.box),
            "method": self._method,
            "budget": dataclasses.asdict(budget),
            "applied": outcome.applied,
            "verdict": dataclasses.asdict(result.verdict),
            "gaussians": {
                **counts,
                "selected": result.region.count,
                "added": outcome.added,
                "changed": outcome.changed,
                "removed": outcome.removed,
            },
            "seconds": {**result.seconds, "total": sum(result.seconds.values())},
            "photos": result.patch.provenance.get("photos", []),
            "provenance": result.patch.provenance,
        }


@contextlib.contextmanager
def _shown(session: Session) -> Iterator[None]:
    """The session's jobs show their progress in here, timed from its beginning."""
    from gaussian_lens_app.session import JobChanged

    with Progress() as progress:

        def show(event) -> None:
            if isinstance(event, JobChanged):
                progress(event.status.stage, event.status.fraction)

        stop = session.subscribe(show)
        try:
            yield
        finally:
            stop()


def _write(path: Path, report: dict[str, Any]) -> None:
    from gaussian_lens_app.formats import write_atomically

    with write_atomically(path, "w") as file:
        file.write(json.dumps(report, indent=1) + "\n")
