"""Whole scenes block by block: nothing is lost, nothing is done twice, and it does not matter where."""

import dataclasses
import multiprocessing
import os
from pathlib import Path

import pytest
import torch
from PIL import Image
from scenes import board

from gaussian_lens_app.errors import CaptureError, ExportError, JobCancelled, NeedsMissing, NothingSelected
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.methods import METHODS, Budget, Needs, Scope
from gaussian_lens_app.methods.base import Task
from gaussian_lens_app.methods.targets import MARGIN, widened, windows_of
from gaussian_lens_app.networks.weights import RELEASED, Released
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.raster.compare import squared_errors
from gaussian_lens_app.scene import Capture, Patch
from gaussian_lens_app.upgrade import UpgradeRequest, until_cancelled, upgrade
from gaussian_lens_app.upgrade.blocks import blocks_of, parts_of
from gaussian_lens_app.upgrade.engines import Done, Here, carried, run_block
from gaussian_lens_app.upgrade.store import Store, stamp_of
from gaussian_lens_app.upgrade.whole import upgrade_by_blocks, verdict_of

BUDGET = Budget(seconds=1e6, gaussians=1_000_000)


class Shift:
    """Moves what is selected and adds a copy of it; says how often it ran."""

    name, label, summary = "shift", "Shift", "Moves."
    needs, scopes = Needs.PHOTOS, (Scope.REGION,)

    def __init__(self):
        self.ran = 0

    def __call__(self, task, report):
        self.ran += 1
        report("Shifting", 0.5)
        rows = task.region.selected.nonzero()[:, 0]
        moved = task.scene.take(rows)
        moved = dataclasses.replace(moved, means=moved.means + 0.001 * len(task.scene))
        both = type(moved).concat([moved, task.scene.take(rows)])
        return Patch(rows, both, torch.cat([rows, torch.full_like(rows, -1)]), provenance={"photos": ["one.png"]})


@pytest.fixture(scope="module")
def made(fast_rasterizer):
    return board(fast_rasterizer, fine=48, coarse=24, photos=7)


@pytest.fixture
def shift(monkeypatch) -> Shift:
    monkeypatch.setitem(METHODS, "shift", Shift())
    return METHODS["shift"]


def request_for(made, rasterizer, method="shift", **changes) -> UpgradeRequest:
    values = {"budget": BUDGET, "judge": False, "capture": made.capture, **changes}
    return UpgradeRequest(scene=made.scene, box=None, method=method, rasterizer=rasterizer, **values)


def test_parts_hold_every_row_once_and_none_too_many(made):
    parts = parts_of(made.scene, 100)
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(len(made.scene)))
    assert max(map(len, parts)) <= 100
    assert min(map(len, parts)) >= 50
    again = parts_of(made.scene, 100)
    assert all(torch.equal(a, b) for a, b in zip(parts, again, strict=True))


def test_parts_are_of_one_piece(made):
    means = made.scene.means
    spread = [float(means[rows].std(0).norm()) for rows in parts_of(made.scene, 100)]
    assert sum(spread) / len(spread) < 0.6 * float(means.std(0).norm())


def test_a_block_draws_its_own_windows_and_the_margin_around_them_as_the_whole_scene_does(made, fast_rasterizer):
    request = request_for(made, fast_rasterizer)
    blocks = list(blocks_of(request, enumerate(parts_of(made.scene, 300)), Budget()))
    assert len(blocks) >= 4
    for block in blocks:
        for view in block.region.views[:2]:
            camera = block.capture.photos[view.photo].camera
            wide = widened(view, camera, MARGIN)
            whole = fast_rasterizer.render(made.scene, camera, crop=wide.rect)
            alone = fast_rasterizer.render(block.scene, camera, crop=wide.rect)
            assert wide.rect != view.rect
            assert torch.allclose(whole.rgb, alone.rgb, atol=1e-6)
        assert block.capture.photos[block.region.views[0].photo].name in [p.name for p in made.capture.photos]


def gains_in(scene, block, rasterizer) -> dict[str, torch.Tensor]:
    """What a fit to the block's photos scales each of them by, (3,) a photo."""
    task = Task(scene, block.region, rasterizer, block.capture)
    views = [widened(view, block.capture.photos[view.photo].camera, MARGIN) for view in block.region.views]
    matched, plain = (windows_of(task, views, exposure=exposure) for exposure in (True, False))
    return {a.name: a.photo.sum((0, 1)) / b.photo.sum((0, 1)) for a, b in zip(matched, plain, strict=True)}


def test_a_block_matches_exposures_as_the_whole_scene_does_in_its_windows(made, fast_rasterizer):
    darker = with_first(made.capture, source=(made.capture.photos[0].load() * 0.8).to(torch.uint8))
    request = request_for(made, fast_rasterizer, capture=darker)
    blocks = list(blocks_of(request, enumerate(parts_of(made.scene, 100)), Budget()))
    assert min(len(block.scene) for block in blocks) < 0.7 * len(made.scene)
    for block in blocks:
        alone, whole = (gains_in(scene, block, fast_rasterizer) for scene in (block.scene, made.scene))
        for name, gain in alone.items():
            torch.testing.assert_close(gain, whole[name], atol=1e-4, rtol=0)
            expected = 1.25 if name == darker.photos[0].name else 1.0
            assert gain.tolist() == pytest.approx(3 * [expected], abs=0.06), name


def test_patches_of_blocks_come_together_as_one(made, fast_rasterizer, shift):
    request = request_for(made, fast_rasterizer)
    result = upgrade_by_blocks(request, most=300)
    own = result.patch.removed
    assert len(own) == len(own.unique()) > 0.9 * len(made.scene)
    assert len(result.patch.added) == 2 * len(own)
    after = result.patch.apply(made.scene)
    assert len(after) == len(made.scene) + len(own)
    inverse = result.patch.inverse(made.scene)
    restored = inverse.apply(after)
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(restored.tensors(), made.scene.tensors(), strict=True))
    kept = result.patch.parents[result.patch.parents >= 0]
    assert torch.equal(kept.sort().values, own)
    assert shift.ran == len(parts_of(made.scene, 300))


def test_the_order_of_the_blocks_does_not_matter(made, fast_rasterizer, shift):
    class Backwards:
        def run(self, blocks, rasterizer, report):
            yield from reversed(list(Here().run(blocks, rasterizer, report)))

    request = request_for(made, fast_rasterizer)
    one, other = (upgrade_by_blocks(request, engine=engine, most=300).patch for engine in (Here(), Backwards()))
    assert torch.equal(one.added.means, other.added.means)
    assert torch.equal(one.removed, other.removed)


def test_a_run_that_was_stopped_goes_on_where_it_was(made, fast_rasterizer, shift, tmp_path):
    class StopsAfter(Exception):
        pass

    class Lost:
        """Ends as a machine does, after two blocks."""

        def run(self, blocks, rasterizer, report):
            for count, done in enumerate(Here().run(blocks, rasterizer, report)):
                if count == 2:
                    raise StopsAfter
                yield done

    request = request_for(made, fast_rasterizer)
    whole = upgrade_by_blocks(request, most=300).patch
    shift.ran = 0
    with pytest.raises(StopsAfter):
        upgrade_by_blocks(request, engine=Lost(), folder=tmp_path, most=300)
    before, shift.ran = shift.ran, 0
    result = upgrade_by_blocks(request, folder=tmp_path, most=300)
    parts = len(parts_of(made.scene, 300))
    assert before == 3
    assert shift.ran == parts - 2
    assert torch.equal(result.patch.added.means, whole.added.means)
    assert torch.equal(result.patch.parents, whole.parents)
    shift.ran = 0
    upgrade_by_blocks(request, folder=tmp_path, most=300)
    assert shift.ran == 0


def part_seven(made) -> Done:
    patch = Patch(torch.tensor([3, 5]), made.scene.take(torch.tensor([3])), torch.tensor([3]), provenance={"a": 1})
    return Done(7, patch, Verdict(True, True, 1.0, 0.1, "p", "Said."), 2.0)


def test_damaged_files_and_those_of_another_request_are_made_again(made, fast_rasterizer, shift, tmp_path):
    request = request_for(made, fast_rasterizer)
    store = Store(tmp_path, request, 8)
    done = part_seven(made)
    store.keep(done)
    found = store.find(7)
    assert torch.equal(found.patch.removed, done.patch.removed)
    assert found.patch.provenance == {"a": 1}
    assert found.verdict.gain_db == 1.0
    assert store.find(8) is None
    other = dataclasses.replace(request, seed=1)
    assert Store(tmp_path, other, 8).find(7) is None
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:40])
    assert store.find(7) is None


def with_first(capture: Capture, **changes) -> Capture:
    """The capture with another first photo."""
    return Capture((dataclasses.replace(capture.photos[0], **changes), *capture.photos[1:]))


def test_other_photos_cameras_parts_and_weights_have_other_stamps(made, fast_rasterizer, monkeypatch):
    request, photo = request_for(made, fast_rasterizer), made.capture.photos[0]
    moved = dataclasses.replace(photo.camera, viewmat=photo.camera.viewmat + 0.1)
    zoomed = dataclasses.replace(photo.camera, K=photo.camera.K * 1.1)
    others = [
        with_first(made.capture, name="another"),
        with_first(made.capture, camera=moved),
        with_first(made.capture, camera=zoomed),
        with_first(made.capture, source=255 - photo.load()),
        made.capture.only([0, 1, 2]),
    ]
    stamps = [stamp_of(dataclasses.replace(request, capture=other), 8) for other in others]
    stamps += [stamp_of(request, 8), stamp_of(request, 9), stamp_of(dataclasses.replace(request, seed=1), 8)]
    monkeypatch.setitem(RELEASED, "sr3r", Released("sr3r.safetensors", "0" * 64))
    stamps.append(stamp_of(request, 8))
    assert len(set(stamps)) == len(stamps)
    assert stamp_of(request, 8) == stamps[-1]


def test_parts_made_from_a_photo_that_was_changed_are_made_again(made, fast_rasterizer, photos_on_disk, tmp_path):
    request, path = request_for(made, fast_rasterizer, capture=photos_on_disk), photos_on_disk.photos[0].source
    Store(tmp_path / "work", request, 8).keep(part_seven(made))
    assert Store(tmp_path / "work", request, 8).find(7) is not None
    content = path.read_bytes()
    path.unlink()  # a photo out of reach says nothing against what was made from it
    assert Store(tmp_path / "work", request, 8).find(7) is not None
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    assert Store(tmp_path / "work", request, 8).find(7) is None


def test_a_file_where_the_folder_of_parts_should_be_is_told(made, fast_rasterizer, tmp_path):
    (tmp_path / "work").write_text("a file")
    with pytest.raises(ExportError, match=r"work was not written: .*choose another"):
        Store(tmp_path / "work", request_for(made, fast_rasterizer), 8)


def test_a_block_that_fails_stays_as_it_was(made, fast_rasterizer, monkeypatch):
    class Fails(Shift):
        def __call__(self, task, report):
            raise NothingSelected("Nothing here.")

    monkeypatch.setitem(METHODS, "shift", Fails())
    result = upgrade_by_blocks(request_for(made, fast_rasterizer), most=300)
    assert len(result.patch.removed) == 0
    assert not result.verdict.accepted


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("DefaultCPUAllocator: can't allocate memory\nframe #0"), "RuntimeError: DefaultCPUAllocator"),
        (torch.linalg.LinAlgError("It is singular."), "_LinAlgError: It is singular."),
        (MemoryError(), "MemoryError."),
    ],
)
def test_an_error_of_any_kind_costs_its_block_alone(made, fast_rasterizer, monkeypatch, error, told):
    class FailsOnce(Shift):
        def __call__(self, task, report):
            if self.ran == 1:
                self.ran += 1
                raise error
            return super().__call__(task, report)

    monkeypatch.setitem(METHODS, "shift", FailsOnce())
    parts = parts_of(made.scene, 300)
    result = upgrade_by_blocks(request_for(made, fast_rasterizer), most=300)
    assert result.patch.provenance["accepted"] == len(parts) - 1
    assert not set(parts[1].tolist()) & set(result.patch.removed.tolist())
    assert f"1 could not be made: {told}" in result.verdict.sentence
    assert "frame" not in result.verdict.sentence


class Reads(Shift):
    """Loads the photo that sees its block best."""

    def __call__(self, task, report):
        task.capture.photos[task.region.views[0].photo].load()
        return super().__call__(task, report)


@pytest.fixture
def photos_on_disk(made, tmp_path) -> Capture:
    """The same photos as files."""
    photos = []
    for photo in made.capture.photos:
        path = tmp_path / photo.name
        Image.fromarray(photo.load().numpy()).save(path)
        photos.append(dataclasses.replace(photo, source=path))
    return Capture(tuple(photos))


def best_photos(request, most: int) -> dict[int, str]:
    """Name of the photo that sees each block best."""
    blocks = blocks_of(request, enumerate(parts_of(request.scene, most)), Budget())
    return {block.number: block.capture.photos[block.region.views[0].photo].name for block in blocks}


def losing(request, most: int) -> tuple[Path, set[int]]:
    """A photo's file, and the blocks that need it: some, not all."""
    best = best_photos(request, most)
    needing = {number for number, name in best.items() if name == best[0]}
    assert len(needing) < len(best)
    return request.capture.named(best[0]).source, needing


def test_a_photo_that_vanishes_costs_only_its_blocks_and_is_named(made, fast_rasterizer, monkeypatch, photos_on_disk):
    monkeypatch.setitem(METHODS, "shift", Reads())
    request = request_for(made, fast_rasterizer, capture=photos_on_disk)
    parts, (gone, without) = parts_of(made.scene, 100), losing(request, 100)
    gone.unlink()
    result = upgrade_by_blocks(request, most=100)
    left = torch.cat([rows for number, rows in enumerate(parts) if number not in without])
    assert set(result.patch.removed.tolist()) <= set(left.tolist())
    assert len(result.patch.removed) > 0.9 * len(left)
    assert f"{len(without)} could not be made" in result.verdict.sentence
    assert gone.name in result.verdict.sentence


def test_what_could_not_be_made_is_tried_again(made, fast_rasterizer, monkeypatch, photos_on_disk, tmp_path):
    monkeypatch.setitem(METHODS, "shift", Reads())
    request = request_for(made, fast_rasterizer, capture=photos_on_disk)
    gone, without = losing(request, 100)
    kept = gone.read_bytes()
    gone.unlink()
    upgrade_by_blocks(request, folder=tmp_path / "work", most=100)
    gone.write_bytes(kept)
    METHODS["shift"].ran = 0
    result = upgrade_by_blocks(request, folder=tmp_path / "work", most=100)
    assert METHODS["shift"].ran == len(without)
    assert "could not be made" not in result.verdict.sentence


def test_what_all_blocks_lack_ends_the_run(made, fast_rasterizer, monkeypatch):
    class Lacks(Shift):
        def __call__(self, task, report):
            self.ran += 1
            raise NeedsMissing("The weights are not there.")

    monkeypatch.setitem(METHODS, "shift", Lacks())
    with pytest.raises(NeedsMissing, match="weights"):
        upgrade_by_blocks(request_for(made, fast_rasterizer), most=300)
    assert METHODS["shift"].ran == 1


def test_a_cancelled_run_hands_over_the_blocks_that_were_taken(made, fast_rasterizer, shift):
    request, parts = request_for(made, fast_rasterizer), parts_of(made.scene, 300)

    def stops(stage: str, fraction: float) -> None:
        if shift.ran == 3:
            raise JobCancelled("Stopped.")

    with pytest.raises(JobCancelled) as stopped:
        upgrade_by_blocks(request, stops, most=300)
    whole = upgrade_by_blocks(request, most=300).patch
    patch = stopped.value.kept
    first = set(torch.cat(parts[:2]).tolist())
    assert set(patch.removed.tolist()) == first & set(whole.removed.tolist())
    assert torch.equal(patch.added.means, whole.added.means[: len(patch.added)])
    result = until_cancelled(request, patch, 3.0)
    assert sum(result.seconds.values()) == 3.0
    assert result.verdict.sentence.startswith("Stopped: 2 of 2 parts made anew, not measured")


def test_a_run_cancelled_before_any_block_was_taken_hands_over_nothing(made, fast_rasterizer, shift):
    def stops(stage: str, fraction: float) -> None:
        raise JobCancelled("Stopped.")

    with pytest.raises(JobCancelled) as stopped:
        upgrade_by_blocks(request_for(made, fast_rasterizer), stops, most=300)
    assert stopped.value.kept is None


def test_a_run_stopped_while_a_block_is_prepared_hands_over_those_that_were_taken(made, fast_rasterizer, shift):
    def stops(stage: str, fraction: float) -> None:
        if stage == "Part 3 of 4: Finding its photos":
            raise JobCancelled("Stopped.")

    assert len(parts_of(made.scene, 300)) == 4
    with pytest.raises(JobCancelled) as stopped:
        upgrade_by_blocks(request_for(made, fast_rasterizer), stops, most=300)
    assert shift.ran == 2
    assert stopped.value.kept.provenance["accepted"] == 2


def test_parts_that_no_photo_sees_are_reported_one_by_one(made, fast_rasterizer, shift):
    away = dataclasses.replace(made.scene, means=made.scene.means + torch.tensor([0.0, 0.0, -1000.0]))
    request, told = dataclasses.replace(request_for(made, fast_rasterizer), scene=away), []
    with pytest.raises(CaptureError):
        upgrade_by_blocks(request, lambda stage, fraction: told.append(stage), most=300)
    assert sum("Finding its photos" in stage for stage in told) == len(parts_of(away, 300))


def test_every_cut_of_the_scene_is_reported(made):
    told = []
    parts = parts_of(made.scene, 100, lambda stage, fraction: told.append(stage))
    assert len(told) >= len(parts) - 1


def test_all_of_a_whole_scene_is_upgraded_and_nobody_looks_for_its_photos_again(made, fast_rasterizer, shift):
    region = upgrade_by_blocks(request_for(made, fast_rasterizer), most=300).region
    assert bool(region.selected.all())
    assert region.views == ()


def test_the_verdict_counts_refused_blocks_as_unchanged():
    good = Verdict(True, True, 2.0, 0.1, "a.png", "")
    bad = Verdict(False, True, -3.0, 0.1, "b.png", "")
    verdict = verdict_of([Done(0, None, good, 1.0), Done(1, None, bad, 1.0)])
    assert verdict.accepted
    assert verdict.verified
    assert verdict.gain_db == 1.0
    assert "1 of 2 parts sharper, +1.00 dB" in verdict.sentence
    assert not verdict_of([Done(0, None, bad, 1.0)]).accepted


def test_what_nobody_measured_has_no_gain():
    unmeasured = Verdict(True, False, None, None, None, "")
    verdict = verdict_of([Done(0, None, unmeasured, 1.0)] * 2)
    assert verdict.accepted
    assert verdict.gain_db is None
    assert verdict.sentence == "2 of 2 parts made anew, not measured: detail not verified."


def test_only_what_was_accepted_is_shown_on_the_way(made, fast_rasterizer, shift, monkeypatch):
    parts, shown = parts_of(made.scene, 300), []

    class Refuses:
        """All but the third block."""

        def run(self, blocks, rasterizer, report):
            for done in Here().run(blocks, rasterizer, report):
                accepted = done.number == 2
                yield dataclasses.replace(done, verdict=dataclasses.replace(done.verdict, accepted=accepted))

    monkeypatch.setattr("gaussian_lens_app.upgrade.whole.SHOW_SECONDS", 0.0)
    request = request_for(made, fast_rasterizer, preview=lambda patch: shown.append(set(patch.removed.tolist())))
    upgrade_by_blocks(request, engine=Refuses(), most=300)
    assert len(shown) == len(parts) - 2
    assert all(rows <= set(parts[2].tolist()) for rows in shown)


def test_photos_that_show_nothing_of_the_scene_are_a_sentence(made, fast_rasterizer, shift):
    away = dataclasses.replace(made.scene, means=made.scene.means + torch.tensor([0.0, 0.0, -1000.0]))
    request = dataclasses.replace(request_for(made, fast_rasterizer), scene=away)
    with pytest.raises(CaptureError, match="No photo shows enough of the scene"):
        upgrade_by_blocks(request, most=300)
    assert shift.ran == 0


def test_methods_for_boxes_need_photos_for_a_whole_scene_too(made, fast_rasterizer, shift):
    with pytest.raises(NeedsMissing, match="--capture"):
        upgrade(request_for(made, fast_rasterizer, capture=None))
    with pytest.raises(NeedsMissing, match="--capture"):
        upgrade(request_for(made, fast_rasterizer, capture=Capture(())))


def test_a_whole_scene_becomes_sharper_without_seams(made, fast_rasterizer):
    request = request_for(made, fast_rasterizer, "refine", judge=True, budget=Budget(6.0, 40_000), mode=ANTIALIASED)
    result = upgrade_by_blocks(request, most=300)
    assert result.verdict.accepted
    after, parts = result.patch.apply(made.scene), parts_of(made.scene, 300)
    camera, photo = made.capture.photos[3].camera, made.capture.photos[3].load().float() / 255
    errors = [
        squared_errors(scene, camera, camera.rect, photo, fast_rasterizer, ANTIALIASED) for scene in (made.scene, after)
    ]
    assert float(errors[1].mean()) < 0.8 * float(errors[0].mean())
    part = torch.zeros(len(made.scene))
    for number, rows in enumerate(parts):
        part[rows] = number
    features = torch.nn.functional.one_hot(part.long(), len(parts)).float()
    shares = fast_rasterizer.render(made.scene, camera, features=features).features
    seam = (shares.max(-1).values < 0.75 * shares.sum(-1)) & (shares.sum(-1) > 0.5)
    assert int(seam.sum()) > 100
    assert float(errors[1][seam].mean()) < float(errors[0][seam].mean())


def test_a_block_can_be_sent_to_another_process(made, fast_rasterizer, tmp_path):
    request = request_for(made, fast_rasterizer, "pixels", judge=True)
    block = next(blocks_of(request, enumerate(parts_of(made.scene, 200)), Budget()))
    torch.save(block, tmp_path / "block.pt")
    here = run_block(block, fast_rasterizer, lambda stage, fraction: None)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(run_stored, (str(tmp_path / "block.pt"),))
    assert torch.allclose(here.patch.added.means, there["means"], atol=1e-5)
    assert torch.equal(here.patch.removed, there["removed"])


def run_stored(path: str) -> dict[str, torch.Tensor]:
    """On the other side; what comes back is plain."""
    from gaussian_lens_app.raster import for_device

    done = run_block(torch.load(path, weights_only=False), for_device("cpu"), lambda stage, fraction: None)
    return {"means": done.patch.added.means, "removed": done.patch.removed}


def test_rows_of_a_block_are_carried_to_the_whole_scene(made, fast_rasterizer):
    block = next(blocks_of(request_for(made, fast_rasterizer), enumerate(parts_of(made.scene, 200)), Budget()))
    patch = Patch(torch.tensor([0, 2]), block.scene.take(torch.tensor([0, 1])), torch.tensor([2, -1]))
    there = carried(patch, block)
    assert there.removed.tolist() == block.rows[[0, 2]].tolist()
    assert there.parents.tolist() == [int(block.rows[2]), -1]
