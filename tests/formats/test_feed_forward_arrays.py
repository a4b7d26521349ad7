"""Scenes as other programs keep them, written here in each program's own convention."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scenes import camera_at
from scipy.spatial.transform import Rotation

from gaussian_lens_app.errors import BadFile
from gaussian_lens_app.formats import load
from gaussian_lens_app.formats.feed_forward import CONVENTIONS
from gaussian_lens_app.raster.reference import ReferenceRasterizer
from gaussian_lens_app.scene import SH_C0, Gaussians

VIEWS, EACH = 2, 20
LIKE_DEPTHSPLAT = [name for name, convention in CONVENTIONS.items() if convention.space == "camera"]


def truth() -> Gaussians:
    """Needles in all directions before the cameras, of every colour, view-dependent."""
    rng = np.random.default_rng(0)
    count = VIEWS * EACH
    quats = torch.from_numpy(Rotation.random(count, rng).as_quat()[:, [3, 0, 1, 2]].copy()).float()
    return Gaussians(
        means=torch.from_numpy(rng.uniform(-0.8, 0.8, (count, 3))).float(),
        quats=quats,
        log_scales=torch.tensor([0.2, 0.05, 0.02]).log().expand(count, 3).clone(),
        logit_opacities=torch.from_numpy(rng.uniform(-1, 3, count)).float(),
        sh0=torch.from_numpy(rng.uniform(-1, 1, (count, 1, 3))).float() / SH_C0 * 0.4,
        shN=torch.from_numpy(rng.uniform(-0.3, 0.3, (count, 3, 3))).float(),
    )


def extrinsics() -> np.ndarray:
    return torch.stack([camera_at(angle).camtoworld for angle in (-0.3, 0.4)]).numpy()


def arrays(scene: Gaussians, *, order: str, space: str, covariances: bool, linear: bool = True) -> dict:
    """What pixelSplat's family keeps of a scene; scipy says what rotations are, not the code under test."""
    turned = Rotation.from_quat(scene.quats.numpy()[:, [1, 2, 3, 0]])
    R = turned.as_matrix()
    scales = scene.scales.numpy()
    kept = {
        "means": scene.means.numpy()[None],
        "harmonics": torch.cat([scene.sh0, scene.shN], 1).mT.numpy()[None],
        "opacities": (scene.opacities if linear else scene.logit_opacities).numpy()[None],
        "scales": scales[None],
        "extrinsics": extrinsics()[None],
    }
    if covariances:
        kept["covariances"] = ((R * scales[:, None] ** 2) @ R.transpose(0, 2, 1))[None]
    if space == "camera":
        into = Rotation.from_matrix(np.repeat(extrinsics()[:, :3, :3], EACH, 0)).inv()
        turned = into * turned
    quats = turned.as_quat()
    kept["rotations"] = (quats if order == "xyzw" else quats[:, [3, 0, 1, 2]])[None]
    return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in kept.items()}


def same_picture(scene: Gaussians, path) -> None:
    read = load(path).gaussians
    pictures = [ReferenceRasterizer().render(one, camera_at(0.1, width=64)).rgb for one in (scene, read)]
    torch.testing.assert_close(pictures[1], pictures[0], atol=2e-3, rtol=0)


@pytest.mark.parametrize(("order", "space"), [("xyzw", "camera"), ("xyzw", "world"), ("wxyz", "world")])
def test_covariances_tell_what_rotations_mean(tmp_path, order, space):
    path = tmp_path / "scene.npz"
    np.savez(path, **arrays(truth(), order=order, space=space, covariances=True))
    same_picture(truth(), path)
    assert any(order in finding.sentence for finding in load(path).findings)


@pytest.mark.parametrize("program", CONVENTIONS)
def test_files_of_each_program_without_covariances_are_read_by_their_name(tmp_path, program):
    convention = CONVENTIONS[program]
    path = tmp_path / f"scene.{program}.npz"
    np.savez(path, **arrays(truth(), order=convention.order, space=convention.space, covariances=False))
    same_picture(truth(), path)


def test_the_file_itself_may_state_its_convention(tmp_path):
    path = tmp_path / "scene.npz"
    kept = arrays(truth(), order="xyzw", space="camera", covariances=False)
    np.savez(path, **kept, convention=np.array("depthsplat"))
    same_picture(truth(), path)


def test_a_file_that_does_not_tell_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "scene.npz"
    np.savez(path, **arrays(truth(), order="xyzw", space="camera", covariances=False))
    with pytest.raises(BadFile, match=r"xyzw or wxyz.*scene\.depthsplat\.npz"):
        load(path)


@pytest.mark.parametrize("program", LIKE_DEPTHSPLAT)
def test_camera_axes_without_cameras_are_refused(tmp_path, program):
    path = tmp_path / f"scene.{program}.npz"
    kept = arrays(truth(), order="xyzw", space="camera", covariances=False)
    del kept["extrinsics"]
    np.savez(path, **kept)
    with pytest.raises(BadFile, match="extrinsics"):
        load(path)


def test_covariances_win_over_rotations_that_contradict_them(tmp_path):
    path = tmp_path / "scene.npz"
    kept = arrays(truth(), order="xyzw", space="world", covariances=True)
    kept["rotations"] = kept["rotations"][:, ::-1].copy()
    np.savez(path, **kept)
    same_picture(truth(), path)
    assert any("contradict" in finding.sentence for finding in load(path).findings)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_torch_files_and_safetensors_hold_the_same(tmp_path, suffix):
    path = tmp_path / f"scene{suffix}"
    tensors = {
        name: torch.from_numpy(values)
        for name, values in arrays(truth(), order="xyzw", space="camera", covariances=True).items()
    }
    if suffix == ".pt":
        torch.save({"gaussians": tensors}, path)
    else:
        save_file(tensors, path)
    same_picture(truth(), path)


def test_harmonics_may_have_colours_last_and_logits_are_told_by_their_range(tmp_path):
    path = tmp_path / "scene.npz"
    kept = arrays(truth(), order="xyzw", space="camera", covariances=True, linear=False)
    kept["harmonics"] = np.ascontiguousarray(kept["harmonics"].swapaxes(-1, -2))
    np.savez(path, **kept)
    same_picture(truth(), path)
    assert any(finding.kind == "logit-opacities" for finding in load(path).findings)


@pytest.mark.parametrize("covariances", [True, False])
@pytest.mark.parametrize("name", ["scales", "opacities"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_no_gaussian_is_dropped_and_says_nothing_of_the_others(tmp_path, name, value, covariances):
    path = tmp_path / "scene.mvsplat.npz"
    kept = arrays(truth(), order="xyzw", space="camera", covariances=covariances)
    kept[name][0, 3] = value
    np.savez(path, **kept)
    others = torch.arange(VIEWS * EACH) != 3
    same_picture(truth().take(others), path)
    said = {finding.kind: finding for finding in load(path).findings}
    assert said.keys() == {"convention", "non-finite"}
    assert said["non-finite"].count == 1
    assert "contradict" not in said["convention"].sentence


def test_a_scale_of_zero_is_a_flat_gaussian_among_lengths(tmp_path):
    path = tmp_path / "scene.mvsplat.npz"
    kept = arrays(truth(), order="xyzw", space="camera", covariances=False)
    kept["scales"][0, 3:5, 2] = 0
    np.savez(path, **kept)
    read = load(path)
    torch.testing.assert_close(read.gaussians.scales[:, :2], truth().scales[:, :2])
    assert len(read.gaussians) == VIEWS * EACH
    assert [finding.count for finding in read.findings if finding.kind == "zero-scale"] == [2]


def test_an_opacity_that_rounding_took_beyond_one_is_no_logit(tmp_path):
    path = tmp_path / "scene.npz"
    kept = arrays(truth(), order="xyzw", space="camera", covariances=True)
    kept["opacities"][0, :2] = 1.0005, -0.0005
    np.savez(path, **kept)
    read = load(path)
    torch.testing.assert_close(read.gaussians.opacities[2:], truth().opacities[2:])
    torch.testing.assert_close(read.gaussians.opacities[:2], torch.tensor([1.0, 0.0]), atol=1e-3, rtol=0)
    assert not any(finding.kind == "logit-opacities" for finding in read.findings)


def test_scales_below_zero_are_logarithms_whatever_else_is_in_the_row(tmp_path):
    path = tmp_path / "scene.mvsplat.npz"
    kept = arrays(truth(), order="xyzw", space="camera", covariances=False)
    kept["scales"] = np.log(kept["scales"])
    kept["scales"][0, 3] = np.nan, 0.5, -1
    np.savez(path, **kept)
    same_picture(truth().take(torch.arange(VIEWS * EACH) != 3), path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda kept: kept.pop("means"), "no array named means"),
        (lambda kept: kept.update(harmonics=np.zeros((1, VIEWS * EACH, 3, 7), np.float32)), "harmonics"),
        (lambda kept: kept.update(opacities=np.zeros((1, 5), np.float32)), "5 opacities"),
    ],
)
def test_broken_arrays_are_named(tmp_path, change, sentence):
    path = tmp_path / "scene.npz"
    kept = arrays(truth(), order="xyzw", space="camera", covariances=True)
    change(kept)
    np.savez(path, **kept)
    with pytest.raises(BadFile, match=sentence):
        load(path)


def test_a_pickle_with_code_in_it_is_not_run(tmp_path):
    path = tmp_path / "scene.pt"
    torch.save({"means": object}, path)
    with pytest.raises(BadFile, match="not safe"):
        load(path)
