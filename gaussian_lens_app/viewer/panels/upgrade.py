"""2 · Upgrade: which method, at what cost, and how far it is."""

from __future__ import annotations

import threading

import viser

from gaussian_lens_app.errors import JobCancelled
from gaussian_lens_app.jobs import Job, JobState, Report
from gaussian_lens_app.methods.base import Budget
from gaussian_lens_app.scene import Box
from gaussian_lens_app.session import Outcome
from gaussian_lens_app.session.choices import Choice, choices, for_boxes
from gaussian_lens_app.session.close_views import CLOSE_VIEWS_JOB
from gaussian_lens_app.session.mending import MEND_JOB
from gaussian_lens_app.session.missing import worst_places
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.desk import Desk
from gaussian_lens_app.viewer.panels.outcome import OutcomeLines
from gaussian_lens_app.viewer.panels.steps import StepButtons
from gaussian_lens_app.viewer.panels.whole_scene import WholeSceneControls

WORST = "Looking for the worst places"
"""What that job is called."""
Asked = tuple[Box | int | None, str]
"""A box, a region's number or None for the whole scene, and the method."""


class UpgradeSection:
    """Starts upgrades, shows the job at work, be it an upgrade or what it waits for, and what came of it."""

    def __init__(self, desk: Desk):
        self.desk = desk
        self.jobs: list[Job] = []
        self._asked_for: dict[Job, Asked] = {}
        self._stranded: str | None = None
        """Name of an upgrade at work whose splats are gone."""
        self._lock = threading.Lock()
        gui, budget = desk.server.gui, Budget()
        self.choices = choices(desk.session.capture)
        labels = [choice.label for choice in for_boxes(self.choices)]
        with gui.add_folder("2 · Upgrade"):
            self._method = gui.add_dropdown("Method", labels or ["none can run"], disabled=not labels)
            desk.on(self._method.on_update, lambda _: self.refresh())
            self._hint = gui.add_markdown("")
            self._upgrade = gui.add_button(
                "Upgrade", icon=viser.Icon.SPARKLES, disabled=True, hint="Sharpens what is in the box: drag one first."
            )
            desk.on(self._upgrade.on_click, lambda _: self._start())
            self._bar = gui.add_progress_bar(0.0, visible=False)
            self._progress = gui.add_markdown("", visible=False)
            self._cancel = gui.add_button("Cancel", color="red", visible=False)
            desk.on(self._cancel.on_click, lambda _: self._stop())
            self._cancel_all = gui.add_button("Cancel all", color="red", visible=False)
            desk.on(self._cancel_all.on_click, lambda _: self._stop_all())
            self.outcome, self.steps = OutcomeLines(desk), StepButtons(desk)
            without_photos = desk.session.capture is None  # then open: most methods are missing, and it says why
            with gui.add_folder("More ways to upgrade", expand_by_default=without_photos):
                self._add_ways(budget)
        for slider in (self._seconds, self._gaussians):
            desk.on(slider.on_update, lambda _: self.refresh())

    def _add_ways(self, budget: Budget) -> None:
        gui, desk = self.desk.server.gui, self.desk
        self._seconds = gui.add_slider(
            "Seconds", 1.0, 30.0, 0.5, budget.seconds, hint="Time for the method itself; longer fits better."
        )
        self._gaussians = gui.add_slider(
            "Gaussians", 5_000, 200_000, 5_000, budget.gaussians, hint="At most so many Gaussians are added."
        )
        self._worst = gui.add_button(
            "Upgrade the worst places",
            color="gray",
            visible=False,
            hint="Boxes the three places that the photos pull at hardest, and upgrades each.",
        )
        desk.on(self._worst.on_click, self._start_worst)
        self.whole = WholeSceneControls(desk, self.choices, lambda method: self.run(method, whole=True))
        missing = words.missing_lines(self.choices)
        if missing:
            gui.add_markdown(missing)

    @property
    def budget(self) -> Budget:
        return Budget(float(self._seconds.value), int(self._gaussians.value))

    @property
    def chosen(self) -> Choice | None:
        return next((choice for choice in self.choices if choice.label == self._method.value), None)

    def run(
        self, method: str, again: int | None = None, whole: bool = False, box: Box | None = None
    ) -> Job[Outcome] | None:
        """Upgrade the selection, a region once more, a box, or the whole scene; what is at work already is not asked
        for twice: then there is no job."""
        session = self.desk.session
        selection, budget = session.selection, self.budget
        with self._lock:  # its first news waits until it is in the list
            if box is None and self._at_work(asked := self._asked(method, again, whole)):
                return None  # a click too many
            if again is not None:
                job = session.upgrade_again(again, method, budget)
            elif whole:
                job = session.upgrade(None, method, Budget.for_scene(session.scene))
            elif box is not None:
                job, asked = session.upgrade(box, method, budget), (box, method)
            elif selection is not None:
                self.desk.display.untint(selection.region)  # so that the swap shows as what it is
                job = session.upgrade(selection.box, method, budget)
            else:
                return None
            self._add(job, asked)
            self.outcome.say("")  # what came of the last one would be taken for what comes of this one
        self.show_progress()
        return job

    def _asked(self, method: str, again: int | None = None, whole: bool = False) -> Asked:
        """What an upgrade is of, and by which method."""
        selection = self.desk.session.selection
        if again is not None or whole or selection is None:
            return again, method
        return selection.box, method

    def _add(self, job: Job, asked: Asked) -> None:
        there = {one: what for one, what in self._asked_for.items() if not one.state.finished}
        self._asked_for = {**there, job: asked}
        self.jobs = [one for one in self.jobs if not one.state.finished] + [job]

    def _at_work(self, asked: Asked) -> bool:
        """Whether this very thing is being done, or waits for it."""
        return any(
            what[0] is asked[0] and what[1] == asked[1] and not job.state.finished
            for job, what in self._asked_for.items()
        )

    def _start(self) -> None:
        if self.chosen is not None:
            self.run(self.chosen.name)

    def _start_worst(self, client: viser.ClientHandle | None) -> None:
        """One upgrade for each of the worst places, without a box."""
        session, chosen = self.desk.session, self.chosen
        assert session.capture is not None
        assert chosen is not None
        scene, capture = session.scene, session.capture

        def look(report: Report) -> list[Box]:
            return worst_places(scene, capture, session.rasterizer, session.mode, report=report)

        with self._lock:
            if self._at_work((None, WORST)):
                return
            looking = session.in_background(WORST, look)
            self._add(looking, (None, WORST))
        self.show_progress()
        try:
            boxes = looking.result()
        except JobCancelled:
            return
        if not boxes:
            self.desk.tell(client, "Nothing to upgrade", "The scene shows all that the photos do.")
        for box in boxes:
            self.run(chosen.name, box=box)

    def _stop(self) -> None:
        """The one at work; those that wait go on."""
        for job in self.jobs:
            if job.cancel():
                return

    def _stop_all(self) -> None:
        for job in reversed(self.jobs):  # else the next one would begin in between
            job.cancel()

    def watch(self, job: Job) -> None:
        """Show a job that was not started here: readying close views, and mending."""
        with self._lock:
            if job in self.jobs:
                return
            if job.status.name == CLOSE_VIEWS_JOB:
                self.jobs = [job, *self.jobs]  # before those that wait for it
            elif job.status.name == MEND_JOB:
                self.jobs = [*self.jobs, job]

    def scene_changed(self) -> None:
        self._stranded = self.desk.session.stranded
        self.show_progress()

    def failed(self, job: Job) -> bool:
        """Whether this is one of the jobs shown here that did not end well."""
        return job in self.jobs and job.state in (JobState.FAILED, JobState.CANCELLED)

    def show_progress(self) -> None:
        with self._lock, self.desk.server.atomic():
            left = [job for job in self.jobs if not job.state.finished]
            self._bar.visible = self._progress.visible = self._cancel.visible = bool(left)
            self._cancel.label = "Cancel" if len(left) < 2 else "Cancel this one"
            self._cancel_all.visible, self._cancel_all.label = len(left) > 1, f"Cancel all {len(left)}"
            self._upgrade.disabled = not self._can_start()
            if left:
                self._bar.value = 100 * left[0].status.fraction
                lines = [words.progress_line(left[0].status, len(left) - 1)]
                if any(job.status.name == self._stranded for job in left):
                    lines.append(words.stranded_line(self.desk.session.can_redo))
                self._progress.content = "  \n".join(lines)

    def refresh(self) -> None:
        session, chosen = self.desk.session, self.chosen
        estimate = None if chosen is None or self._nothing else session.estimate(chosen.name, self.budget)
        self._hint.content = words.method_lines(chosen, estimate)
        self._upgrade.disabled = not self._can_start()
        self._worst.visible = session.capture is not None and chosen is not None
        for part in (self.whole, self.outcome, self.steps):
            part.refresh()

    @property
    def _nothing(self) -> bool:
        """Whether there is no box, or nothing in it."""
        selection = self.desk.session.selection
        return selection is None or (selection.region is not None and selection.region.count == 0)

    def _can_start(self) -> bool:
        selection, chosen = self.desk.session.selection, self.chosen
        if selection is None or chosen is None or self._nothing:
            return False
        return not self._at_work(self._asked(chosen.name))
