"""What the panel says, as plain functions of what it is about."""

from __future__ import annotations

from collections.abc import Sequence

from gaussian_lens_app.errors import GsrError
from gaussian_lens_app.jobs import JobState, JobStatus
from gaussian_lens_app.scene import Capture, Gaussians
from gaussian_lens_app.session import Outcome, Selection
from gaussian_lens_app.session.choices import Choice


def facts(name: str, scene: Gaussians, capture: Capture | None, notes: Sequence[str] = ()) -> str:
    """The scene in a few lines, with what its readers found worth saying."""
    lines = [f"**{_plain(name)}**", f"{len(scene):,} Gaussians · SH degree {scene.sh_degree}", _photos(capture)]
    return "  \n".join(lines + [f"*{_plain(note)}*" for note in notes])


def _photos(capture: Capture | None) -> str:
    if capture is None or len(capture) == 0:
        return "No photos: add them with `--capture DIR`"
    cameras = [photo.camera for photo in capture.photos]
    largest = max(cameras, key=lambda camera: camera.width * camera.height)
    return f"{len(cameras)} photos, up to {largest.width} × {largest.height} px"


def selection_line(selection: Selection | None, armed: bool) -> str:
    """What is selected, or how to select."""
    if armed:
        return "Now drag a box over what you want sharp."
    if selection is None:
        return "Hold **Shift** and drag a box over what you want sharp, or press the button first."
    if selection.error is not None:
        return f"⚠ {_plain(str(selection.error))}"
    if selection.pending:
        return "Looking into the box…"
    if selection.region is None:
        return "Box kept. Press Upgrade to work on it again."
    if selection.region.count == 0:
        return "Nothing is drawn in this box: drag another."
    views = len(selection.region.views)
    seen = f", seen in {views} photo{'s' * (views != 1)}" if views else ""
    return f"**{selection.region.count:,} Gaussians selected**{seen}"


def method_lines(choices: tuple[Choice, ...], chosen: str) -> str:
    """What the chosen method does, then the methods that cannot run, by reason."""
    lines = [choice.summary for choice in choices if choice.label == chosen]
    reasons = dict.fromkeys(choice.missing for choice in choices if choice.missing)
    for reason in reasons:
        names = ", ".join(f"*{choice.label}*" for choice in choices if choice.missing == reason)
        lines.append(f"Not here: {names} ({reason}).")
    return "  \n".join(lines)


def progress_line(status: JobStatus, waiting: int = 0) -> str:
    """Stage, time left, and how many jobs wait."""
    left = "" if status.eta_seconds is None else f" · about {_seconds(status.eta_seconds)} left"
    more = f" · {waiting} more waiting" if waiting else ""
    return f"{_plain(status.stage)}{left}{more}"


def outcome_line(outcome: Outcome) -> str:
    """The verdict's sentence with what changed."""
    verdict = outcome.verdict
    gain = "" if verdict.gain_db is None else f" **{verdict.gain_db:+.1f} dB**"
    head = f"✔ Swapped in{gain}" if outcome.applied else f"✖ Not swapped in{gain}"
    if outcome.applied and not verdict.accepted:
        head = f"✔ Swapped in at your word{gain}"
    numbers = {"new": outcome.added, "changed": outcome.changed, "gone": outcome.removed}
    counts = ", ".join(f"{number:,} {what}" for what, number in numbers.items() if number)
    return f"{head}  \n{_plain(verdict.sentence)}  \nGaussians: {counts or 'none changed'} · {outcome.seconds:.1f} s"


def failure_line(status: JobStatus) -> str:
    """Why a job did not end well."""
    if status.state is JobState.CANCELLED:
        return "Cancelled; the scene is as it was."
    error = status.error
    if isinstance(error, GsrError):
        return f"⚠ {_plain(str(error))}"
    return (
        f"⚠ The upgrade stopped with an error ({type(error).__name__}: {_plain(str(error))}); the scene is as it was."
    )


def _seconds(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


def _plain(text: str) -> str:
    """Text whose characters mean nothing to markdown: names come from files."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>!#|~&" else letter for letter in text)
