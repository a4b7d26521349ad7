"""What the panel says, as plain functions of what it is about."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from gaussian_lens_app.errors import GsrError
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.jobs import JobState, JobStatus
from gaussian_lens_app.scene import Capture, Gaussians, Kind, PhotoView
from gaussian_lens_app.session import Outcome, Selection, Session
from gaussian_lens_app.session.arrangement import Alternative, UpgradedRegion
from gaussian_lens_app.session.choices import Choice, label_of
from gaussian_lens_app.session.close_views import CLOSE_VIEWS_JOB
from gaussian_lens_app.session.estimate import Estimate
from gaussian_lens_app.session.project import Project
from gaussian_lens_app.session.proposal import Proposal


def facts(
    name: str,
    scene: Gaussians,
    capture: Capture | None,
    notes: Sequence[str] = (),
    project: Project | None = None,
    unsaved: str | None = None,
) -> str:
    """The scene in a few lines, with what its readers found worth saying."""
    lines = [f"**{plain(name)}** · {gaussians(len(scene))}", _photos(capture)]
    if project is not None:
        saved = "saved in" if project.told is None else f"⚠ {plain(str(project.told))} Not saved in"
        lines.append(f"{saved} *{plain(project.folder.name)}*")
    elif unsaved is not None:
        lines.append(f"⚠ Not saved: {plain(unsaved)}")
    return "  \n".join(lines + [f"*{plain(note)}*" for note in notes])


def _photos(capture: Capture | None) -> str:
    if capture is None or len(capture) == 0:
        return "No photos: add them with `--capture DIR`"
    cameras = [photo.camera for photo in capture.photos]
    largest = max(cameras, key=lambda camera: camera.width * camera.height)
    return f"{len(cameras)} photos, up to {largest.width} × {largest.height} px"


def company_line(browsers: int) -> str:
    """What those share who look at one scene at once."""
    return f"*{browsers} browsers look at this scene: box, upgrades and undo are shared, the camera is each one's own.*"


def selection_line(selection: Selection | None, armed: bool) -> str:
    """What is selected, or how to select."""
    if armed:
        return "Now drag a box over what you want sharp."
    if selection is None:
        return "Hold **Shift** and drag a box over what you want sharp, or press the button first."
    if selection.error is not None:
        return f"⚠ {plain(str(selection.error))}"
    if selection.pending:
        return "Looking into the box…"
    if selection.region is None:
        return "Box kept. Press Upgrade to work on it again."
    if selection.region.count == 0:
        if len(selection.picks) > 1:
            return "Nothing is left of what was selected: drag another box."
        return "Nothing is drawn in this box: drag another."
    views = len(selection.region.views)
    seen = f", seen in {views} photo{'s' * (views != 1)}" if views else ""
    return f"**{gaussians(selection.region.count)} selected**{seen}"


def suggestions_line(count: int | None, progress: float | None = None, error: Exception | None = None) -> str:
    """What the marks mean, and what to do with them. No count: the boxes are still looked for; `progress`, 0..1: of the
    marks, while they are worked out; `error`: why there are none."""
    if progress is not None:
        return f"Comparing the scene with your photos… {progress:.0%}"
    if count is None:
        return "Comparing the scene with your photos…"
    meaning = "Red: your photos show more than the splats do."
    if error is not None:
        meaning = f"There are no marks: {plain(error_line(error))}"
    if count == 0:
        return meaning
    boxes = "the blue box" if count == 1 else f"one of the {count} blue boxes"
    return f"{meaning} Click {boxes}, or drag your own."


def method_lines(choice: Choice | None, estimate: Estimate | None = None) -> str:
    """What the chosen method does and would cost."""
    lines = [] if choice is None else [choice.summary]
    if estimate is not None:
        lines.append(_estimated(estimate))
    return "  \n".join(filter(None, lines))


def _estimated(estimate: Estimate) -> str:
    """One line; empty where nothing is known."""
    known = [] if estimate.seconds is None else [f"about **{_seconds(estimate.seconds)}**"]
    if estimate.gaussians is not None:
        new = "no" if estimate.gaussians == 0 else f"at most {estimate.gaussians:,}"
        known.append(f"{new} new Gaussians")
    return f"{known[0][0].upper()}{', '.join(known)[1:]}." if known else ""


def missing_lines(choices: Sequence[Choice]) -> str:
    """The methods that cannot run here, by reason."""
    lines = []
    for reason in dict.fromkeys(choice.missing for choice in choices if choice.missing):
        names = ", ".join(f"*{choice.label}*" for choice in choices if choice.missing == reason)
        unbroken = re.sub(r"(--[\w-]+)", r"`\1`", reason)  # an option is not parted at the end of a line
        lines.append(f"Not here: {names} ({unbroken}).")
    return "  \n".join(lines)


def progress_line(status: JobStatus, waiting: int = 0) -> str:
    """Stage, time left, and how many jobs wait."""
    left = "" if status.eta_seconds is None else f" · about {_seconds(status.eta_seconds)} left"
    more = f" · {waiting} more waiting" if waiting else ""
    what = f"{CLOSE_VIEWS_JOB}: {status.stage.lower()}" if status.name == CLOSE_VIEWS_JOB else status.stage
    return f"{plain(what)}{left}{more}"


def stranded_line(can_redo: bool) -> str:
    """What to do where splats that an upgrade at work was begun on are not there."""
    if can_redo:
        return "⚠ The upgrade at work was begun on what you took back: Redo, or it waits for that."
    return "⚠ The upgrade at work was begun on what is gone: Undo, or it waits for that."


def outcome_line(outcome: Outcome) -> str:
    """The verdict's sentence with what changed."""
    verdict = outcome.verdict
    told = verdict.gain_db is not None and verdict.verified  # else it is no gain in what people look at
    gain = f" **{_db(verdict.gain_db or 0.0)}**" if told else ""
    head = f"✔ Swapped in{gain}" if outcome.applied else f"✖ Not swapped in{gain}"
    if outcome.beaten_by is not None:
        head = f"✔ Kept as another version{gain}; {plain(label_of(outcome.beaten_by))}, which is better, stays shown"
    elif outcome.applied and not verdict.accepted:
        head = f"✔ Swapped in at your word{gain}"
    numbers = {"new": outcome.added, "changed": outcome.changed, "gone": outcome.removed}
    counts = ", ".join(f"{number:,} {what}" for what, number in numbers.items() if number)
    return f"{head}  \n{plain(_measured(verdict))}  \nGaussians: {counts or 'none changed'} · {outcome.seconds:.1f} s"


def waiting_line(proposal: Proposal) -> str:
    """What a finished upgrade needs that could not be swapped in."""
    what = f"*{plain(label_of(proposal.method))}*"
    where, again = ("on the box", ", or upgrade the box again") if proposal.picks else ("on the whole scene", "")
    return (
        f"{what} {where} is finished, but splats that it was made for were gone: once Undo or Redo has brought them "
        f"back, press *Apply anyway*{again}."
    )


def _measured(verdict: Verdict) -> str:
    """The judge's sentence without what became of the upgrade, which the user may have overruled."""
    figure = verdict.sentence.removeprefix("Not swapped in: ")
    noise = "" if verdict.accepted else r" (± \1)"  # it decides; beside a gain it would promise more than one photo can
    figure = re.sub(r" \(noise ([\d.]+)\)", noise, figure)
    if figure[:1] not in ("+", "-") or verdict.gain_db is None:
        return figure
    worse = verdict.gain_db < -(verdict.noise_db or 0.0)
    return f"{'Worse' if worse else 'Not clearly sharper'}: {figure}"


def _db(gain: float) -> str:
    """A gain with its sign; nothing is no loss."""
    return f"{round(gain, 1) + 0.0:+.1f} dB"


def failure_line(status: JobStatus) -> str:
    """Why a job did not end well."""
    error = status.error
    if status.state is JobState.CANCELLED and error is None:
        return "Cancelled; the scene is as it was."
    if isinstance(error, GsrError):
        return f"⚠ {plain(str(error))}"
    what = CLOSE_VIEWS_JOB if status.name == CLOSE_VIEWS_JOB else "The upgrade"
    return f"⚠ {what} stopped with an error ({type(error).__name__}: {plain(str(error))}); the scene is as it was."


def error_line(error: BaseException) -> str:
    """An error meant for people as it is; of any other its kind too."""
    return str(error) if isinstance(error, GsrError) else f"{type(error).__name__}: {error}"


def gain_of(verdict: Verdict) -> str:
    """The gain and where it was measured."""
    if verdict.gain_db is None or verdict.photo is None:
        return "not verified"
    return f"{_db(verdict.gain_db)} on {plain(verdict.photo)}"


def region_list(session: Session) -> str:
    """A line for each upgraded region."""
    if not session.regions:
        return "What you upgrade appears here, to compare, hide or take back one by one."
    lines = []
    for region in session.regions:
        outcome, work = region.current.outcome, session.work
        name, method = work.name(region.number), label_of(region.current.method)
        hidden = "" if region.shown else " · *hidden*"
        inside = work.parents(region.number)
        within = f" · inside {plain(' and '.join(inside))}" if inside else ""
        more = f" · {len(region.alternatives)} versions" if len(region.alternatives) > 1 else ""
        lines.append(f"**{plain(name)}** · {plain(method)} · {gain_of(outcome.verdict)}{within}{more}{hidden}")
    return "\n\n".join(lines)


def region_details(session: Session, region: UpgradedRegion) -> str:
    """What one region cost and brought."""
    outcome = region.current.outcome
    numbers = f"{gaussians(outcome.added)} added, {outcome.changed:,} changed, {outcome.seconds:.1f} s"
    above = session.work.dependents(region.number)
    stand = "stands" if len(above) == 1 else "stand"
    stands = f"  \n{plain(' and '.join(above))} {stand} on it." if above else ""
    sentence = _measured(outcome.verdict)
    if not outcome.verdict.accepted:
        sentence = f"Applied at your word. {sentence}"
    return f"{plain(sentence)}  \n{numbers}{stands}"


def tried_line(method: str, outcome: Outcome, other: Alternative) -> str:
    """What came of trying another method where `other` was shown."""
    tried, told = plain(label_of(method)), gain_of(outcome.verdict)
    if not outcome.applied:
        return f"{tried} was not swapped in ({told}); on the tab Sharpen it can be applied anyway."
    stays = " The better one stays shown." if outcome.beaten_by else ""
    return f"{tried}: {told}, {plain(label_of(other.method))}: {gain_of(other.outcome.verdict)}.{stays} N flips them."


def press_again(what: str, lost: Sequence[str]) -> str:
    """What the second press does, and what only Undo brings back."""
    price = f" What you did by hand goes with it, everywhere, and only Undo brings it back: {', '.join(lost)}."
    return f"Press again to {what} all of it.{price if lost else ''}"


def shown_again(sentence: str, gone: Sequence[str]) -> str:
    """That a region is shown, and what was done to it by hand and is not there any more."""
    return sentence if not gone else f"{sentence.rstrip('.')}, but not with: {plain(', '.join(gone))}. Do that anew."


def name_line(typed: str, given: str) -> str:
    """Told below the field, which is left alone while somebody types there; empty where the name is as typed."""
    if not typed.strip() or given == typed.strip():
        return ""
    why = "longer names are cut" if typed.strip().startswith(given) else "that name is taken"
    return f"Called *{plain(given)}*: {why}."


def version_label(index: int, one: Alternative) -> str:
    """One alternative of a region, in a menu."""
    gain = one.outcome.verdict.gain_db
    return f"{index + 1} · {label_of(one.method)}" + ("" if gain is None else f" · {_db(gain)}")


def photos_line(selection: Selection | None, capture: Capture) -> str:
    """How many photos see the selection."""
    if selection is None or selection.region is None:
        return "Drag a box, and the photos that see it are listed here."
    views = selection.region.views
    if not views:
        return "No photo sees what is in the box."
    return f"{len(views)} of {len(capture)} photos see the box."


def view_label(rank: int, view: PhotoView, capture: Capture, left_out: Collection[str] = ()) -> str:
    """One photo that sees the box, in a menu; `left_out` are names of photos that did not fit the scene."""
    unfit = " · did not fit" if capture.photos[view.photo].name in left_out else ""
    return f"{rank}. {capture.photos[view.photo].name} · sees {view.overlap:.0%}{unfit}"


def kinds_line(counts: dict[Kind, int]) -> str:
    """How many splats of each origin there are."""
    return ", ".join(f"{count:,} {kind.label}" for kind, count in counts.items() if count)


def size_of(path: Path) -> str:
    """A file's size for people."""
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{max(1, round(size / 1e3))} kB"


def gaussians(count: int) -> str:
    """So many of them."""
    return f"{count:,} Gaussian{'s' * (count != 1)}"


def _seconds(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


def plain(text: str) -> str:
    """Text whose characters mean nothing to markdown: names come from files."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>!#|~&" else letter for letter in text)
