"""What a chain of boxes selects: each adds to, takes from, or cuts down what the ones before it found."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

import torch

from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Box, Capture, Region
from gaussian_lens_app.select import SelectSettings, box_contributions, box_depth, region_of
from gaussian_lens_app.session.events import Combine, Pick
from gaussian_lens_app.session.history import Edited


class Selector:
    """Finds regions, remembering what single boxes held in the scene of the moment."""

    def __init__(self, select: Callable[..., Region], capture: Capture | None, rasterizer: Rasterizer):
        self._select, self.capture, self.rasterizer = select, capture, rasterizer
        # Weakly: what was found last keeps no scene that is not there any more.
        self._known: dict[Pick, tuple[weakref.ref[Edited], Region]] = {}
        self._finding = threading.Lock()  # the selection's thread and the upgrades' worker both ask
        self._whole: tuple[tuple[Pick, ...], weakref.ref[Edited], Region] | None = None

    def known(self, picks: tuple[Pick, ...], base: Edited) -> Region | None:
        """What `find` found last, if it was for these picks in this very scene."""
        if self._whole is None:
            return None
        found_picks, found_base, region = self._whole
        return region if found_picks == picks and found_base() is base else None

    def find(self, picks: tuple[Pick, ...], base: Edited, mode: RenderMode) -> Region:
        """The region after all picks. GsrError with a sentence."""
        with self._finding:
            return self._found(picks, base, mode)

    def _found(self, picks: tuple[Pick, ...], base: Edited, mode: RenderMode) -> Region:
        found = self.known(picks, base)
        if found is not None:
            return found
        self._known = {pick: kept for pick, kept in self._known.items() if kept[0]() is base}
        region = self._one(picks[0], base, mode)
        for pick in picks[1:]:
            region = self._combined(region, pick, base, mode)
        if len(picks) > 1:
            region = region_of(
                base.scene, region.selected, region.contributions, picks[-1].box, self.capture, self.rasterizer, mode
            )
        self._whole = (picks, weakref.ref(base), region)
        return region

    def _combined(self, region: Region, pick: Pick, base: Edited, mode: RenderMode) -> Region:
        if pick.how is Combine.INVERT:
            weights, _ = box_contributions(
                base.scene, Box(pick.box.camera, pick.box.camera.rect), self.rasterizer, mode, SelectSettings()
            )
            return Region(~region.selected, weights)
        new = self._one(pick, base, mode)
        selected = {
            Combine.NEW: new.selected,
            Combine.ADD: region.selected | new.selected,
            Combine.REMOVE: region.selected & ~new.selected,
            Combine.INTERSECT: region.selected & new.selected,
        }[pick.how]
        return Region(selected, torch.maximum(region.contributions, new.contributions))

    def _one(self, pick: Pick, base: Edited, mode: RenderMode) -> Region:
        known = self._known.get(pick)
        if known is None or known[0]() is not base:
            limit = {}
            if pick.depth is not None:
                shown = box_depth(base.scene, pick.box, self.rasterizer, mode)
                limit = {} if shown is None else {"max_depth": pick.depth * shown}
            region = self._select(
                base.scene, pick.box, self.capture, self.rasterizer, mode=mode, through=pick.through, **limit
            )
            known = self._known[pick] = (weakref.ref(base), region)
        return known[1]
