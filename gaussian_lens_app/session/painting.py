"""The scene as a picture, in whichever way it is to be looked at."""

from __future__ import annotations

import dataclasses
import math
import weakref
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.raster import CLASSIC
from gaussian_lens_app.scene import SH_C0, Camera, Gaussians, Kind, Rect, Region
from gaussian_lens_app.session import afar
from gaussian_lens_app.session.colormap import colored, stretched
from gaussian_lens_app.session.levels import MOVING_GAUSSIANS, coarser
from gaussian_lens_app.session.looks import Looks, Marks, Picture
from gaussian_lens_app.session.missing import AMOUNTS, overlay
from gaussian_lens_app.session.photo_overlay import over_picture
from gaussian_lens_app.session.session import Session

TINT = (1.0, 0.62, 0.1)
"""Of the selection: amber stands out from foliage, stone and skin alike."""
KIND_TINTS = {Kind.FITTED: (0.2, 0.85, 0.4), Kind.LEARNED: (0.25, 0.6, 1.0), Kind.INVENTED: (1.0, 0.25, 0.75)}
TINT_STRENGTH = 0.45
COUNTED = 0.02
"""Opacity of every splat while they are counted: just above what is drawn at all."""
SOLID = 0.98
"""Opacity of ellipsoids."""
SHRUNK = math.log(0.7)
"""Ellipsoids are drawn smaller than the splats, so that one can tell them apart."""
LINE = 1.0
"""Half the width of the split's line, pixels."""

Amount = Callable[[Gaussians, Marks, bool], Float[Tensor, "N"] | None]
"""How much each Gaussian of a scene lacks by a kind of mark, `before` or after upgrades; None: not known yet."""


class Painter:
    """Draws a session's scene; keeps derived scenes while what they come from is there and they are shown."""

    def __init__(self, session: Session, amount: Amount | None = None):
        """`amount`: who knows how much each Gaussian lacks; None: it is worked out while one waits for the picture."""
        self.session = session
        self._amount = amount or self._worked_out
        self.untinted: Region | None = None
        """Shown as it is, though it is selected."""
        self._kept: dict[str, tuple[tuple[tuple[weakref.ref, ...], Any], ...]] = {}

    def paint(
        self, camera: Camera, looks: Looks, marks: bool = True, moving: bool = False, finest: bool = True
    ) -> Float[Tensor, "h w 3"]:
        """The picture of a camera; without `marks` nothing is tinted for being selected, `moving` it is of fewer
        Gaussians where the scene has many. `finest`: splats smaller than a pixel get more pixels."""
        self._let_go(looks)
        with torch.inference_mode():
            camera = camera.to(self.session.scene.device)
            how = (marks, moving, finest and not moving and self.has_finer(camera, looks))
            if looks.split is None:
                return self._half(camera, looks, how, looks.before, None)
            at = min(max(round(looks.split * camera.width), 1), camera.width - 1)
            left = self._half(camera, looks, how, True, (0, 0, at, camera.height))
            right = self._half(camera, looks, how, False, (at, 0, camera.width, camera.height))
            picture = torch.cat([left, right], 1)
            picture[:, max(0, at - round(LINE)) : at + round(LINE)] = 1.0
            return picture

    def has_finer(self, camera: Camera, looks: Looks) -> bool:
        """Whether the finest picture is another one. Asked of the scene as it is, so that before and after are drawn
        the same way."""
        if looks.picture is not Picture.RGB or not self.session.mode.antialiased:
            return False
        scene = self.session.scene
        few, each = self._keep("few", (scene,), lambda: afar.sample(scene))
        with torch.inference_mode():
            return afar.is_afar(few, each, camera.to(scene.device))

    def _half(
        self, camera: Camera, looks: Looks, how: tuple[bool, bool, bool], before: bool, crop: Rect | None
    ) -> Tensor:
        marks, moving, finest = how
        scene = self.scene_shown(looks, marks, before)
        if moving and scene.device.type == "cpu":
            full = scene
            scene = self._keep("coarser", (full,), lambda: coarser(full, MOVING_GAUSSIANS))
        if finest:
            picture = afar.gathered(self._drawn(scene, *afar.finer(camera, crop), looks))
        else:
            picture = self._drawn(scene, camera, crop, looks)
        capture = self.session.capture
        if looks.missing and capture is not None:
            plain = (self.session.baseline if before else self.session.edited).scene
            amount = self._amount(plain, looks.marks, before)
            if amount is not None:
                picture = overlay(picture, plain, amount, camera, self.session.rasterizer, self.session.mode, crop)
        if looks.photo is not None and capture is not None:
            photo = capture.photos[looks.photo]
            picture = over_picture(picture, photo, camera, looks.photo_opacity, crop)
        return picture

    def _worked_out(self, scene: Gaussians, marks: Marks, before: bool) -> Float[Tensor, "N"] | None:
        """How much each Gaussian lacks, at once."""
        session, amounts = self.session, AMOUNTS[marks]
        assert session.capture is not None
        known = scene, session.capture, session.rasterizer, session.mode
        return self._keep("missing", (scene, amounts), lambda: amounts(*known))

    def _drawn(self, scene: Gaussians, camera: Camera, crop: Rect | None, looks: Looks) -> Tensor:
        session, background = self.session, torch.tensor(looks.background, device=scene.device)
        how: dict[str, Any] = {"mode": session.mode, "crop": crop}
        if looks.picture is Picture.RGB:
            plain = looks.background == (0.0, 0.0, 0.0)
            return session.rasterizer.render(
                scene, camera, background=None if plain else background, sh_degree=looks.sh_degree, **how
            ).rgb
        if looks.picture is Picture.ELLIPSOIDS:
            solid = self._keep("solid", (scene,), lambda: _uniform(scene, SOLID, SHRUNK))
            how["mode"] = CLASSIC
            return session.rasterizer.render(solid, camera, background=background, sh_degree=0, **how).rgb
        if looks.picture is Picture.COUNT:
            faint = self._keep("faint", (scene,), lambda: _uniform(scene, COUNTED, 0.0))
            how["mode"] = CLASSIC
            alpha = session.rasterizer.render(faint, camera, **how).alpha
            count = -torch.log1p(-alpha.clamp(max=0.999)) / COUNTED
            return colored(torch.log2(1 + count) / 8, "inferno")
        drawn = session.rasterizer.render(scene, camera, **how)
        if looks.picture is Picture.ALPHA:
            return drawn.alpha[..., None].expand(*drawn.alpha.shape, 3).clone()
        valid = drawn.median_depth > 0
        near = 1 / drawn.median_depth.clamp_min(1e-6)
        return torch.where(valid[..., None], colored(stretched(near, valid)), background)

    def scene_shown(self, looks: Looks, marks: bool = True, before: bool = False) -> Gaussians:
        """The scene with hidden kinds left out, tinted where it is to be."""
        session = self.session
        edited = session.baseline if before else (session.preview or session.edited)
        scene, rows = edited.scene, None
        if looks.hidden_kinds:
            kinds = edited.rows.kinds
            keep = self._keep("keep", (edited, looks.hidden_kinds), lambda: _not_of(kinds, looks.hidden_kinds))
            scene = self._keep("left", (edited, looks.hidden_kinds), lambda: edited.scene.take(keep))
            rows = keep
        if looks.tint_kinds:
            kinds = edited.rows.kinds if rows is None else edited.rows.kinds[rows]
            scene = self._keep("kinds", (scene,), lambda: tinted_by_kind(scene, kinds))
        region = self._tinted_region(looks, marks, before)
        if region is None or len(region.selected) != len(edited.scene):
            return scene
        selected = region.selected if rows is None else region.selected[rows.to(region.selected.device)]
        return self._keep("selected", (scene, region), lambda: tinted(scene, selected))

    def _tinted_region(self, looks: Looks, marks: bool, before: bool) -> Region | None:
        selection = self.session.selection
        if selection is None or before or not (marks and looks.tint_selection):
            return None
        return None if selection.region is self.untinted else selection.region

    def _keep(self, name: str, source: tuple, make: Callable[[], Any]) -> Any:
        """What `make` gave for these very objects; the last two are kept, for the two halves of a split, while their
        sources are there: no old scene lives on here."""
        for known, made in self._kept.get(name, ()):
            if len(known) == len(source) and all(a() is b for a, b in zip(known, source, strict=True)):
                return made
        made = make()
        if all(made is not one for one in source):  # else it would keep its own source
            known = tuple(weakref.ref(one) for one in source)
            self._kept[name] = ((known, made), *self._kept.get(name, ())[:1])
        return made

    def _let_go(self, looks: Looks) -> None:
        """Forget what came of scenes that are gone, and copies of the scene that these looks never show."""
        selection = self.session.selection
        shown = {
            "keep": bool(looks.hidden_kinds),
            "left": bool(looks.hidden_kinds),
            "kinds": looks.tint_kinds,
            "selected": looks.tint_selection and selection is not None and selection.region is not None,
            "solid": looks.picture is Picture.ELLIPSOIDS,
            "faint": looks.picture is Picture.COUNT,
        }
        for name, entries in list(self._kept.items()):
            there = tuple(entry for entry in entries if all(one() is not None for one in entry[0]))
            self._kept[name] = there if shown.get(name, True) else ()


def tinted(scene: Gaussians, selected: Bool[Tensor, "N"], tint: tuple[float, float, float] = TINT) -> Gaussians:
    """The scene with the selected Gaussians' colours mixed with `tint`, seen from any side.

    Colour is 0.5 + SH_C0 * sh0 + (terms linear in shN), so mixing colours is mixing coefficients.
    """
    selected = selected.to(scene.device)
    goal = (scene.sh0.new_tensor(tint) - 0.5) / SH_C0
    sh0, shN = scene.sh0.clone(), scene.shN.clone()
    sh0[selected] = (1 - TINT_STRENGTH) * sh0[selected] + TINT_STRENGTH * goal
    shN[selected] = (1 - TINT_STRENGTH) * shN[selected]
    return dataclasses.replace(scene, sh0=sh0, shN=shN)


def tinted_by_kind(scene: Gaussians, kinds: Tensor) -> Gaussians:
    """The scene with fitted, learned and invented splats in their colours."""
    for kind, tint in KIND_TINTS.items():
        scene = tinted(scene, kinds == kind, tint)
    return scene


def _not_of(kinds: Tensor, hidden: frozenset[Kind]) -> Bool[Tensor, "N"]:
    keep = torch.ones(len(kinds), dtype=torch.bool)
    for kind in hidden:
        keep &= kinds != kind
    return keep


def _uniform(scene: Gaussians, opacity: float, log_factor: float) -> Gaussians:
    """All splats of one opacity, scaled."""
    logits = torch.full_like(scene.logit_opacities, math.log(opacity / (1 - opacity)))
    return dataclasses.replace(scene, logit_opacities=logits, log_scales=scene.log_scales + log_factor)
