import dataclasses

import torch

from gaussian_lens_app.methods.confirm import confirmed
from gaussian_lens_app.methods.targets import make_target
from gaussian_lens_app.raster import ANTIALIASED, for_device
from gaussian_lens_app.scene import Gaussians, PhotoView
from tests.scenes import board


def test_gaussians_where_a_photo_kept_out_got_worse_are_not_confirmed():
    rasterizer = for_device("cpu")
    scene = board(rasterizer)
    whole = PhotoView(2, (0, 0, 240, 180), torch.ones(180, 240, dtype=torch.bool), 1, 1, 1, 1)
    stop = make_target(scene.scene, scene.capture, whole, rasterizer, ANTIALIASED)
    left = scene.scene.means[:, 0] < -0.3
    right = (scene.scene.means[:, 0] > 1) & (scene.scene.means[:, 2] == 0)
    sh0 = torch.where(left[:, None, None], scene.scene.sh0 + 2, scene.scene.sh0)
    spoiled = dataclasses.replace(scene.scene, sh0=sh0)
    keep = confirmed(Gaussians.empty(), scene.scene, spoiled, [stop], rasterizer, ANTIALIASED)
    seen = rasterizer.contributions(scene.scene, stop.camera, torch.ones(180, 240, 1))[:, 0] > 1
    assert not bool(keep[left & seen].any())
    assert bool(keep[right].all())
