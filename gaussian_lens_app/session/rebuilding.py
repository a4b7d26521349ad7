"""The scene, regions and steps of undo that a project's files describe, made anew."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.session.arrangement import Arrangement, Step, Steps, UpgradedRegion
from gaussian_lens_app.session.history import Edit, Edited, Rows, rows_of
from gaussian_lens_app.session.stored import edit_of, region_of
from gaussian_lens_app.session.workspace import Workspace

Tensors = Mapping[str, torch.Tensor]


def rebuilt(
    data: dict[str, Any], tensors: Callable[[int], Tensors], original: Edited
) -> tuple[Workspace, tuple[str, ...]]:
    """(the edits made again in order, each a step that can be undone; sentences on what had to be left out).

    `tensors` reads what an edit's JSON leaves out. Whatever a damaged file trips over first is raised as it is.
    """
    stored = {edit["key"]: edit for edit in data["edits"]}
    edited, states = original, [Arrangement()]
    for key in data["in_force"]:
        edit = edit_of(stored[key], tensors(key), edited)
        edited = edit.redo(edited)
        states.append(Arrangement((*states[-1].edits, edit)))
    everything, groundless = _with_hidden(stored, tensors, states[-1].edits, original)
    names = {int(number): name for number, name in data["names"].items()}
    regions, notes = _regions(data["regions"], everything, groundless, names)
    forced = [edit.key for edit in states[-1].edits]
    states = [*(_listing(state, regions, original) for state in states[:-1]), Arrangement(states[-1].edits, regions)]
    steps = tuple(Step("upgrade", after.edits[-1], before, after) for before, after in itertools.pairwise(states))
    grounds = tuple(edit for key, edit in everything.items() if key not in forced)
    next_id, next_key = data["next"]
    work = Workspace(edited, states[-1], Steps(steps), {}, next_id, next_key, grounds)
    for number, name in names.items():
        work.rename(number, name)
    return work, notes


def _regions(
    listed: list[dict[str, Any]], edits: Mapping[int, Edit], groundless: set[int], names: Mapping[int, str]
) -> tuple[tuple[UpgradedRegion, ...], tuple[str, ...]]:
    """(regions, those without what none of their upgrades was made for left out, a sentence for each of these)."""
    regions, notes = [], []
    for data in listed:
        whole = [one for one in data["alternatives"] if one["edit"] not in groundless]
        chosen = data["alternatives"][data["chosen"]]
        if whole:
            at = whole.index(chosen) if chosen in whole else 0
            data = {**data, "alternatives": whole, "chosen": at, "shown": data["shown"] and chosen in whole}
            regions.append(region_of(data, edits))
        else:
            name = names.get(data["number"], f"Region {data['number']}")
            notes.append(f"{name} was left out: the splats it was made on are not in the project.")
    return tuple(regions), tuple(notes)


def _listing(state: Arrangement, regions: Iterable[UpgradedRegion], original: Edited) -> Arrangement:
    """An earlier state with the regions there were: those in force, and of the hidden ones those that can be shown."""
    keys = {edit.key for edit in state.edits}
    listed = [region for region in regions if region.shown and region.key in keys]
    waiting = [region for region in regions if not region.shown]
    rows = [original.ids, *(edit.after.ids for edit in state.edits)]
    while fitting := [r for r in waiting if bool(torch.isin(r.current.edit.before.ids, torch.cat(rows)).all())]:
        listed += fitting
        waiting = [region for region in waiting if region not in fitting]
        rows += [one.edit.after.ids for region in fitting for one in region.alternatives]
    return dataclasses.replace(state, regions=tuple(region for region in regions if region in listed))


def _with_hidden(
    stored: Mapping[int, Any], tensors: Callable[[int], Tensors], in_force: Iterable[Edit], original: Edited
) -> tuple[dict[int, Edit], set[int]]:
    """(all edits, those out of force made for whatever scene has the rows they take out; keys of those none has)."""
    everything = {edit.key: edit for edit in in_force}
    waiting = [key for key in stored if key not in everything]
    while waiting:
        left = []
        for key in waiting:
            edited = _ground(tensors(key)["removed"], everything.values(), original)
            if edited is None:
                left.append(key)
            else:
                everything[key] = edit_of(stored[key], tensors(key), edited)
        if len(left) == len(waiting):
            break
        waiting = left
    return everything, set(waiting)


def _ground(wanted: torch.Tensor, edits: Iterable[Edit], original: Edited) -> Edited | None:
    """A scene of nothing but the rows an edit takes out, wherever they come from."""
    sources = [(original.scene, original.rows), *((edit.patch.added, edit.after) for edit in edits)]
    parts, rows = [], []
    for scene, known in sources:
        at = rows_of(wanted, known.ids)
        at = at[at >= 0]
        parts.append(scene.take(at))
        rows.append(known.take(at))
    if sum(len(part) for part in parts) < len(wanted):
        return None
    columns = [torch.cat(columns) for columns in zip(*(one.columns() for one in rows), strict=True)]
    return Edited(Gaussians.concat(parts), Rows(*columns))
