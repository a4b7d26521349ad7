import contextlib
import dataclasses
import os

import pytest
import torch

from gaussian_lens_app.errors import JobCancelled, MethodError, NothingSelected
from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.methods import METHODS, Budget, Task, use_prior
from gaussian_lens_app.methods.three_dsr import ThreeDSR, ThreeDSRApprox, ThreeDSRSettings
from gaussian_lens_app.methods.three_dsr_rounds import Rounds, RoundSettings, State
from gaussian_lens_app.methods.three_dsr_views import small_views
from gaussian_lens_app.networks.sr_prior import PriorConfig, SRPrior
from gaussian_lens_app.optimize.density import AdaptiveSettings
from gaussian_lens_app.optimize.joint import JointSettings
from gaussian_lens_app.priors import PriorSource
from gaussian_lens_app.priors.embedded import EmbeddedPrior
from gaussian_lens_app.priors.resizing import reduced
from gaussian_lens_app.priors.upscalers import Bicubic
from gaussian_lens_app.raster import for_device
from gaussian_lens_app.scene import Box
from gaussian_lens_app.select import select_region, whole_region
from gaussian_lens_app.upgrade import UpgradeRequest, upgrade
from tests.scenes import Board, board

FEW = RoundSettings(
    steps=4, density=AdaptiveSettings(start=2, every=2, until=0.75, gradient=1e-5, reset_every=10**9), max_gaussians=900
)
QUICK = ThreeDSRSettings(long_side=24, rounds=FEW, keep_rounds=False)


@pytest.fixture(scope="module")
def rasterizer():
    return for_device("cpu")


@pytest.fixture(scope="module")
def scene(rasterizer) -> Board:
    return board(rasterizer, photos=3, width=96)


@pytest.fixture(scope="module")
def prior() -> EmbeddedPrior:
    torch.manual_seed(0)
    return EmbeddedPrior(SRPrior(PriorConfig(width=8, blocks=2, coarse_width=12, coarse_blocks=1)).eval())


@pytest.fixture
def whole(scene, rasterizer) -> Task:
    return Task(
        scene.scene, whole_region(scene.scene, scene.capture), rasterizer, scene.capture, budget=Budget(1e6, 300)
    )


@pytest.fixture
def boxed(scene, rasterizer) -> Task:
    box = Box(scene.capture.photos[1].camera, (32, 24, 64, 48))
    region = select_region(scene.scene, box, scene.capture, rasterizer)
    return Task(scene.scene, region, rasterizer, scene.capture, box, budget=Budget(1e6, 300))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_every_round_is_shown_and_the_last_is_the_result(whole, prior):
    shown = []
    patch = ThreeDSR(QUICK, prior)(dataclasses.replace(whole, preview=shown.append), silent)
    assert len(shown) == len(prior.timesteps)
    assert torch.equal(shown[-1].added.means, patch.added.means)
    assert [len(part.provenance["rounds"]) for part in shown] == [1, 2, 3, 4]


def test_what_comes_out_says_that_it_is_invented_and_by_what(whole, prior):
    told = ThreeDSR(QUICK, prior)(whole, silent).provenance
    assert (told["kind"], told["prior"], told["mode"], told["hr_source"]) == (
        "invented",
        "embedded",
        "published",
        "photos",
    )
    last = told["rounds"][-1]
    assert {"together_detail", "alone_detail", "small_psnr"} <= last.keys()


def test_new_gaussians_know_whom_they_descend_from(whole, prior):
    patch = ThreeDSR(QUICK, prior)(whole, silent)
    assert len(patch.added) > len(whole.scene)
    moved = (patch.added.means - whole.scene.means[patch.parents]).norm(dim=-1)
    shuffled = (patch.added.means - whole.scene.means[patch.parents.flip(0)]).norm(dim=-1)
    assert float(moved.median()) < 0.3 * float(shuffled.median())
    assert len(patch.apply(whole.scene)) == len(patch.added)


def test_the_same_task_gives_the_same_bits(whole, prior):
    first, again = (ThreeDSR(QUICK, prior)(whole, silent) for _ in range(2))
    assert torch.equal(first.added.means, again.added.means)


def test_every_picture_has_an_x_t_of_its_own_that_moves_on(whole, prior):
    rounds, seen = rounds_of(whole, prior), []
    rounds.run(silent, finished=lambda state: seen.append([chain.x_t.clone() for chain in state.chains]))
    assert all(not torch.equal(a, b) for a, b in zip(seen[0], seen[1], strict=True))
    assert not torch.equal(seen[1][0], seen[1][1])


def test_the_scene_takes_the_place_of_each_x0(whole, prior):
    """After the last step x is the picture that the scene shows."""
    rounds = rounds_of(whole, prior)
    rounds.run(silent)
    view, chain = rounds.views[0], rounds.state.chains[0]
    assert torch.allclose(prior.encode(rounds._render(view)), chain.x_t, atol=1e-5)


def test_uncoupled_pictures_are_sampled_once_and_stay(whole, prior):
    rounds = rounds_of(whole, prior, coupled=False)
    pictures = []
    rounds.run(silent, finished=lambda state: pictures.append(state.chains[0].picture))
    assert torch.equal(pictures[0], pictures[-1])


def test_agreement_with_the_small_photos_is_what_lambda_buys(whole, prior):
    agreed = {}
    for weight in (0.0, 4.0):
        joint = JointSettings(small_weight=weight)
        rounds = rounds_of(whole, prior, joint=joint, steps=15)
        rounds.run(silent)
        agreed[weight] = rounds.small_psnr()
    assert agreed[4.0] > agreed[0.0]


def test_a_run_that_was_stopped_goes_on_at_its_last_round(whole, prior, tmp_path):
    settings = dataclasses.replace(QUICK, keep_rounds=True)
    expected = ThreeDSR(settings, prior)(whole, silent)

    def until_the_third(stage, fraction):
        if stage.startswith("Round 3"):
            raise JobCancelled("stopped")

    with pytest.raises(JobCancelled):
        ThreeDSR(settings, prior)(whole, until_the_third)
    assert len(list(tmp_path.rglob("3dsr/*.pt"))) == 1
    told = []
    again = ThreeDSR(settings, prior)(whole, lambda stage, fraction: told.append(stage))
    assert not any(stage.startswith("Round 1") for stage in told)
    assert torch.equal(again.added.means, expected.added.means)
    assert not list(tmp_path.rglob("3dsr/*.pt"))


def test_a_cancelled_run_hands_over_its_last_finished_round(whole, prior):
    def until_the_second(stage, fraction):
        if stage.startswith("Round 2"):
            raise JobCancelled("stopped")

    with pytest.raises(JobCancelled) as stopped:
        ThreeDSR(QUICK, prior)(whole, until_the_second)
    assert len(stopped.value.kept.provenance["rounds"]) == 1


def test_a_broken_checkpoint_means_a_fresh_start(whole, prior, tmp_path):
    settings = dataclasses.replace(QUICK, keep_rounds=True)

    def stop(stage, fraction):
        if stage.startswith("Round 2"):
            raise JobCancelled("stopped")

    with pytest.raises(JobCancelled):
        ThreeDSR(settings, prior)(whole, stop)
    next(tmp_path.rglob("3dsr/*.pt")).write_bytes(b"half a fi")
    assert len(ThreeDSR(settings, prior)(whole, silent).provenance["rounds"]) == 4


def stopped_run(whole, prior) -> None:
    """A run of which one round is on disk."""

    def stop(stage, fraction):
        if stage.startswith("Round 2"):
            raise JobCancelled("stopped")

    with pytest.raises(JobCancelled):
        ThreeDSR(dataclasses.replace(QUICK, keep_rounds=True), prior)(whole, stop)


@pytest.mark.parametrize("how", ["not a folder", "full"])
def test_rounds_that_cannot_be_kept_cost_nothing_else(whole, prior, tmp_path, monkeypatch, small_files_only, how):
    if how == "not a folder":
        (tmp_path / "cache").write_text("")
    with small_files_only(1000) if how == "full" else contextlib.nullcontext():
        patch = ThreeDSR(dataclasses.replace(QUICK, keep_rounds=True), prior)(whole, silent)
    assert len(patch.provenance["rounds"]) == 4
    assert not list(tmp_path.rglob("3dsr/*.pt"))


def test_of_the_rounds_that_nobody_went_on_from_only_the_newest_stay(whole, prior, tmp_path):
    folder = tmp_path / "cache" / "gaussian_lens_app" / "3dsr"
    folder.mkdir(parents=True)
    for age in range(20):
        (folder / f"{age}.pt").touch()
        os.utime(folder / f"{age}.pt", (1e9 - age, 1e9 - age))
    stopped_run(whole, prior)
    left = {path.stem for path in folder.iterdir()}
    assert {str(age) for age in range(8)} < left
    assert len(left) == 9


def test_a_round_that_diverged_is_not_gone_on_from(whole, prior, tmp_path, monkeypatch):
    def diverged(self, index, report, seconds):
        self.state.moving.means[0] = float("nan")
        self.state = dataclasses.replace(self.state, done=index + 1)

    monkeypatch.setattr(Rounds, "_round", diverged)
    shown = []

    def stop(patch):
        shown.append(list(tmp_path.rglob("3dsr/*.pt")))
        raise JobCancelled("stopped")

    with pytest.raises(JobCancelled):
        ThreeDSR(dataclasses.replace(QUICK, keep_rounds=True), prior)(dataclasses.replace(whole, preview=stop), silent)
    assert shown == [[]]


def test_a_box_changes_only_what_is_in_it(boxed, prior):
    patch = ThreeDSR(QUICK, prior)(boxed, silent)
    assert torch.equal(patch.removed, boxed.region.selected.nonzero()[:, 0])
    views, _ = small_views(boxed, 4, 24)
    photo = boxed.capture.photos[0].camera
    assert all(
        (view.rect[2] - view.rect[0]) * (view.rect[3] - view.rect[1]) < 16 * photo.width * photo.height
        for view in views
    )


def test_windows_are_whole_pixels_of_the_small_photo(boxed):
    views, _ = small_views(boxed, 4, 10)
    for view in views:
        x0, y0, x1, y1 = view.rect
        assert view.small.shape[:2] == ((y1 - y0) // 4, (x1 - x0) // 4)
        assert not any(side % 4 for side in view.rect)
        assert max(view.small.shape[:2]) <= 12
        assert view.weight.shape == (y1 - y0, x1 - x0)


def test_photos_are_reduced_and_shown_as_they_are(whole):
    views, _ = small_views(whole, 4, 24)
    photo = whole.capture.photos[0]
    assert torch.allclose(views[0].small, reduced(photo.crop(photo.camera.rect), 4), atol=1 / 255)


def test_without_photos_the_scene_shows_itself(scene, rasterizer, prior):
    task = Task(scene.scene, whole_region(scene.scene, None), rasterizer, None, budget=Budget(1e6, 300))
    told = ThreeDSR(dataclasses.replace(QUICK, long_side=12), prior)(task, silent).provenance
    assert (told["mode"], told["hr_source"]) == ("derived", "renders")


def test_an_empty_selection_is_refused_with_a_sentence(whole, prior):
    empty = dataclasses.replace(whole.region, selected=torch.zeros_like(whole.region.selected))
    with pytest.raises(NothingSelected):
        ThreeDSR(QUICK, prior)(dataclasses.replace(whole, region=empty), silent)


def test_an_upscaler_runs_only_as_the_approximation(whole, prior):
    with pytest.raises(MethodError, match="3dsr-approx"):
        ThreeDSR(QUICK, Bicubic())(whole, silent)
    with pytest.raises(MethodError, match="3dsr"):
        ThreeDSRApprox(QUICK, prior)(whole, silent)
    told = ThreeDSRApprox(QUICK, Bicubic())(whole, silent).provenance
    assert (told["method"], told["prior"]) == ("3dsr-approx", "bicubic")


def test_a_prior_can_be_chosen_for_the_methods_of_the_menu(monkeypatch):
    for name in ("3dsr", "3dsr-approx"):
        monkeypatch.setitem(METHODS, name, METHODS[name])
    use_prior(PriorSource("bicubic"))
    chosen = [METHODS[name].source.prior for name in ("3dsr", "3dsr-approx")]
    assert chosen == ["bicubic", "bicubic"]


def test_the_approximation_asks_for_an_upscaler(whole):
    with pytest.raises(MethodError, match="--prior"):
        METHODS["3dsr-approx"](whole, silent)


def test_seconds_end_the_rounds_early_but_all_of_them_happen(whole, prior):
    hurried = dataclasses.replace(whole, budget=Budget(0.5, 300))
    long = dataclasses.replace(QUICK, rounds=dataclasses.replace(FEW, steps=100_000))
    assert len(ThreeDSR(long, prior)(hurried, silent).provenance["rounds"]) == 4


def test_a_state_comes_back_from_disk_as_it_was(whole, prior, tmp_path):
    rounds = rounds_of(whole, prior)
    rounds.run(silent)
    torch.save(rounds.state.to_disk(), tmp_path / "state.pt")
    again = State.from_disk(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(again.moving.means, rounds.state.moving.means)
    assert again.figures == rounds.state.figures
    assert torch.equal(again.chains[0].generator.get_state(), rounds.state.chains[0].generator.get_state())


def rounds_of(task: Task, prior, **more) -> Rounds:
    views, _ = small_views(task, 4, 24)
    nothing = task.scene.take(torch.arange(0))
    return Rounds(nothing, task.scene, views, prior, task.rasterizer, 1.0, dataclasses.replace(FEW, **more))


def test_an_upgrade_of_a_whole_scene_is_judged_and_marked_as_invented(scene, rasterizer, monkeypatch):
    monkeypatch.setitem(METHODS, "3dsr", ThreeDSR(QUICK))
    request = UpgradeRequest(scene.scene, None, scene.capture, "3dsr", rasterizer, budget=Budget(2.0, 300))
    result = upgrade(request)
    edited = result.patch.apply(scene.scene)
    assert result.patch.provenance["kind"] == "invented"
    assert len(result.patch.provenance["rounds"]) == 4
    assert len(edited) == len(result.patch.added)
    assert result.verdict.sentence
