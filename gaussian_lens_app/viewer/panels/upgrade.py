"""2 · Upgrade: which method, at what cost, and how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable

import viser

from gaussian_lens_app.jobs import Job, JobState
from gaussian_lens_app.methods.base import Budget
from gaussian_lens_app.scene import Box
from gaussian_lens_app.session.choices import Choice, choices, for_boxes
from gaussian_lens_app.session.close_views import CLOSE_VIEWS_JOB
from gaussian_lens_app.session.missing import worst_places
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.desk import Desk
from gaussian_lens_app.viewer.panels.whole_scene import WholeSceneControls


class UpgradeSection:
    """Starts upgrades and shows the job at work, be it an upgrade or what it waits for."""

    def __init__(self, desk: Desk, asked: Callable[[], None]):
        """`asked()` is called before an upgrade is queued."""
        self.desk, self._asked = desk, asked
        self.jobs: list[Job] = []
        self._lock = threading.Lock()
        gui, budget = desk.server.gui, Budget()
        self.choices = choices(desk.session.capture)
        labels = [choice.label for choice in for_boxes(self.choices)]
        with gui.add_folder("2 · Upgrade"):
            self._method = gui.add_dropdown("Method", labels or ["none can run"], disabled=not labels)
            self._method.on_update(lambda _: self.refresh())
            self._hint = gui.add_markdown("")
            self._upgrade = gui.add_button(
                "Upgrade", icon=viser.Icon.SPARKLES, disabled=True, hint="Sharpens what is in the box: drag one first."
            )
            self._upgrade.on_click(lambda _: self._start())
            self._bar = gui.add_progress_bar(0.0, visible=False)
            self._progress = gui.add_markdown("", visible=False)
            self._cancel = gui.add_button("Cancel", color="red", visible=False)
            self._cancel.on_click(lambda _: self._stop())
            without_photos = desk.session.capture is None  # then open: most methods are missing, and it says why
            with gui.add_folder("More ways to upgrade", expand_by_default=without_photos):
                self._add_ways(budget)
        for slider in (self._seconds, self._gaussians):
            slider.on_update(lambda _: self.refresh())

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
        self._worst.on_click(lambda event: desk.attempt(lambda: self._start_worst(event.client), event.client))
        WholeSceneControls(desk, self.choices, lambda method: self.run(method, whole=True))
        missing = words.missing_lines(self.choices)
        if missing:
            gui.add_markdown(missing)

    @property
    def budget(self) -> Budget:
        return Budget(float(self._seconds.value), int(self._gaussians.value))

    @property
    def chosen(self) -> Choice | None:
        return next((choice for choice in self.choices if choice.label == self._method.value), None)

    def run(self, method: str, again: int | None = None, whole: bool = False, box: Box | None = None) -> None:
        """Upgrade the selection, a region once more, a box, or the whole scene."""
        session = self.desk.session
        self._asked()
        with self._lock:  # its first news waits until it is in the list
            if again is not None:
                job = session.upgrade_again(again, method, self.budget)
            elif whole:
                job = session.upgrade(None, method, Budget.for_scene(session.scene))
            elif box is not None:
                job = session.upgrade(box, method, self.budget)
            elif session.selection is not None:
                self.desk.display.untint(session.selection.region)  # so that the swap shows as what it is
                job = session.upgrade(session.selection.box, method, self.budget)
            else:
                return
            self.jobs = [one for one in self.jobs if not one.state.finished] + [job]
        self.show_progress()

    def _start(self) -> None:
        if self.chosen is not None:
            self.run(self.chosen.name)

    def _start_worst(self, client: viser.ClientHandle | None) -> None:
        """One upgrade for each of the worst places, without a box."""
        session, chosen = self.desk.session, self.chosen
        assert session.capture is not None
        assert chosen is not None
        boxes = worst_places(session.scene, session.capture, session.rasterizer, session.mode)
        if not boxes:
            self.desk.tell(client, "Nothing to upgrade", "The scene shows all that the photos do.")
        for box in boxes:
            self.run(chosen.name, box=box)

    def _stop(self) -> None:
        """The one at work; those that wait go on."""
        for job in self.jobs:
            if job.cancel():
                return

    def watch(self, job: Job) -> None:
        """Show a job that was not started here, and that upgrades wait for: readying close views."""
        with self._lock:
            if job.status.name == CLOSE_VIEWS_JOB and job not in self.jobs:
                self.jobs = [job, *self.jobs]  # before those that wait for it

    def failed(self, job: Job) -> bool:
        """Whether this is one of the jobs shown here that did not end well."""
        return job in self.jobs and job.state in (JobState.FAILED, JobState.CANCELLED)

    def show_progress(self) -> None:
        with self._lock, self.desk.server.atomic():
            left = [job for job in self.jobs if not job.state.finished]
            self._bar.visible = self._progress.visible = self._cancel.visible = bool(left)
            if left:
                self._bar.value = 100 * left[0].status.fraction
                self._progress.content = words.progress_line(left[0].status, len(left) - 1)

    def refresh(self) -> None:
        session, chosen = self.desk.session, self.chosen
        selection = session.selection
        estimate = None if chosen is None else session.estimate(chosen.name, self.budget)
        self._hint.content = words.method_lines(chosen, estimate)
        nothing = selection is None or (selection.region is not None and selection.region.count == 0)
        self._upgrade.disabled = nothing or chosen is None
        self._worst.visible = session.capture is not None and chosen is not None
