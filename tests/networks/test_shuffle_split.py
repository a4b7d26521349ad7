import dataclasses

import torch
from scenes import camera_at

from gaussian_lens_app.networks.shuffle_split import CHILDREN, PAPER, SplitSettings, shuffle_split
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.raster.reference import ReferenceRasterizer
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.scene.gaussians import rotations


def turned_blobs(opacities):
    """One Gaussian an opacity, side by side, each with three different scales, turned in space."""
    count = len(opacities)
    means = torch.zeros(count, 3)
    means[:, 0] = torch.linspace(-1, 1, count)
    quats = torch.tensor([0.8, 0.3, -0.4, 0.2]).expand(count, 4) * 1.7
    log_scales = torch.tensor([0.3, 0.15, 0.05]).log().expand(count, 3)
    colours = torch.rand(count, 1, 3, generator=torch.Generator().manual_seed(0))
    return Gaussians(
        means,
        quats.clone(),
        log_scales.clone(),
        torch.logit(torch.tensor(opacities)),
        colours,
        torch.zeros(count, 3, 3),
    )


def picture(scene):
    return ReferenceRasterizer().render(scene, camera_at(0.3, width=60), mode=ANTIALIASED).rgb


def test_opaque_gaussians_become_six_and_faint_ones_stay_bit_for_bit():
    scene = turned_blobs([0.9, 0.3, 0.6])
    split = shuffle_split(scene)
    assert split.parents.tolist() == [0] * CHILDREN + [1] + [2] * CHILDREN
    assert split.divided.tolist() == [True, False, True]
    for name, values in split.gaussians.tensors():
        assert torch.equal(values[CHILDREN], getattr(scene, name)[1])


def test_children_stand_half_a_scale_to_both_sides_of_each_axis_with_a_quarter_of_it():
    scene = turned_blobs([0.9])
    children = shuffle_split(scene).gaussians
    offsets = children.means - scene.means
    lengths = offsets.norm(dim=-1)
    torch.testing.assert_close(lengths, 0.5 * scene.scales[0].repeat_interleave(2))
    torch.testing.assert_close(offsets[::2], -offsets[1::2])
    shrink = scene.scales / children.scales
    torch.testing.assert_close(shrink.amax(-1), torch.full((CHILDREN,), 4.0))
    assert shrink.argmax(-1).tolist() == [0, 0, 1, 1, 2, 2]
    assert abs(float(offsets[0] @ offsets[2])) < 1e-7


def test_the_offsets_follow_the_turn_of_the_gaussian():
    """A covariance says which way the longest axis points, whatever the quaternion's convention."""
    scene = turned_blobs([0.9])
    R = rotations(torch.nn.functional.normalize(scene.quats, dim=-1))[0]
    covariance = R @ torch.diag(scene.scales[0] ** 2) @ R.T
    longest = torch.linalg.eigh(covariance).eigenvectors[:, -1]
    offset = shuffle_split(scene).gaussians.means[0] - scene.means[0]
    assert abs(float(torch.nn.functional.normalize(offset, dim=0) @ longest)) > 0.9999


def test_the_picture_changes_far_less_than_with_the_papers_scales_and_opacities():
    scene = turned_blobs([0.95, 0.7, 0.55])
    before = picture(scene)
    ours, theirs, lateral = (
        float((picture(shuffle_split(scene, settings).gaussians) - before).square().mean())
        for settings in (SplitSettings(), PAPER, dataclasses.replace(PAPER, lateral=1.0))
    )
    assert ours < 0.25 * min(theirs, lateral)


def test_an_empty_scene_and_one_of_faint_gaussians_pass():
    assert len(shuffle_split(Gaussians.empty(1)).gaussians) == 0
    faint = turned_blobs([0.1, 0.2])
    assert torch.equal(shuffle_split(faint).gaussians.means, faint.means)
