"""Looking only at what can show changes no pixel."""

import gc
import threading

import pytest
import torch
from scenes import camera_at

from gaussian_lens_app.raster import ANTIALIASED, CLASSIC, RenderMode
from gaussian_lens_app.raster.chunks import CHUNK, Chunks
from gaussian_lens_app.raster.culled import Culled
from gaussian_lens_app.scene import Camera, Gaussians

RECTS = [(0, 0, 240, 180), (100, 60, 140, 100), (0, 0, 20, 20), (200, 150, 240, 180)]


def scattered(count: int, seed: int = 0) -> Gaussians:
    """Gaussians of all sizes around the origin, a few far away, some behind and some around the camera."""
    make = torch.Generator().manual_seed(seed)
    means = torch.randn(count, 3, generator=make) * 20
    means[:: count // 50 or 1] *= 8
    return Gaussians(
        means,
        torch.randn(count, 4, generator=make),
        torch.randn(count, 3, generator=make) * 0.6 - 4.5,
        torch.randn(count, generator=make) * 2,
        torch.randn(count, 1, 3, generator=make) * 0.5,
        torch.randn(count, 3, 3, generator=make) * 0.1,
    )


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return scattered(20_000)


@pytest.mark.parametrize("mode", [ANTIALIASED, CLASSIC, RenderMode(eps2d=6.0)])
@pytest.mark.parametrize("angle", [0.0, 1.3, 3.0])
def test_every_row_that_shows_is_among_those_looked_at(scene, fast_rasterizer, mode, angle):
    camera, chunks = camera_at(angle), Chunks.of(scene, 64)
    looked_at = {rect: chunks.showing(camera, rect, mode) for rect in RECTS}
    assert any(rows is not None for rows in looked_at.values())
    for rect, rows in looked_at.items():
        if rows is None:
            continue
        ones = torch.ones(rect[3] - rect[1], rect[2] - rect[0], 1)
        shown = fast_rasterizer.contributions(scene, camera, ones, mode=mode, crop=rect)[:, 0] > 0
        assert set(shown.nonzero()[:, 0].tolist()) <= set(rows.tolist())


def test_a_camera_with_its_centre_elsewhere_is_no_exception(scene, fast_rasterizer):
    plain = camera_at(0.4)
    K = plain.K.clone()
    K[0, 2], K[1, 2] = 20.0, 170.0
    camera, rect = Camera(plain.viewmat, K, plain.width, plain.height), (220, 0, 240, 20)
    rows = Chunks.of(scene, 64).showing(camera, rect, ANTIALIASED)
    assert rows is not None
    whole = fast_rasterizer.render(scene, camera, crop=rect)
    assert torch.equal(whole.rgb, fast_rasterizer.render(scene.take(rows), camera, crop=rect).rgb)


def test_pictures_and_contributions_are_the_same_bit_for_bit(scene, fast_rasterizer):
    culled, camera = Culled(fast_rasterizer, least=1000), camera_at(0.0)
    features, rect = torch.rand(len(scene), 2), (100, 60, 140, 100)
    weights = torch.rand(40, 40, 2)
    for _ in range(2):  # before and after it knows the scene
        one, other = (r.render(scene, camera, crop=rect, features=features) for r in (fast_rasterizer, culled))
        assert torch.equal(one.rgb, other.rgb)
        assert torch.equal(one.median_depth, other.median_depth)
        assert torch.equal(one.features, other.features)
        sums = [r.contributions(scene, camera, weights, crop=rect) for r in (fast_rasterizer, culled)]
        assert torch.equal(*sums)


def test_a_small_window_looks_at_a_small_part(scene):
    rows = Chunks.of(scene, 64).showing(camera_at(0.0), (118, 88, 122, 92), ANTIALIASED)
    assert rows is not None
    assert len(rows) < len(scene) / 2


def test_gradients_still_reach_every_tensor(scene, fast_rasterizer):
    culled, camera = Culled(fast_rasterizer, least=1000), camera_at(0.0)
    culled.render(scene, camera)
    leaf = scene.map(lambda tensor: tensor.clone().requires_grad_())
    for _ in range(2):
        culled.render(leaf, camera, crop=(100, 60, 140, 100)).rgb.sum().backward()
    assert float(leaf.means.grad.abs().sum()) > 0


def test_a_scene_that_is_gone_is_forgotten(fast_rasterizer):
    culled, one = Culled(fast_rasterizer, least=100), scattered(2000, 5)
    for _ in range(2):
        culled.render(one, camera_at(0.0))
    assert len(culled._seen) == 1
    del one
    gc.collect()
    assert len(culled._seen) == 0


def test_nobody_waits_while_another_thread_cuts_a_scene(scene, fast_rasterizer, monkeypatch):
    begun, go_on, cut = threading.Event(), threading.Event(), Chunks.of

    def slowly(one: Gaussians) -> Chunks:
        begun.set()
        assert go_on.wait(10)
        return cut(one)

    monkeypatch.setattr(Chunks, "of", staticmethod(slowly))
    culled, camera, rect = Culled(fast_rasterizer, least=1000), camera_at(0.0), RECTS[1]
    culled.render(scene, camera, crop=rect)
    other = threading.Thread(target=culled.render, args=(scene, camera), kwargs={"crop": rect})
    other.start()
    assert begun.wait(10)
    drawn = culled.render(scene, camera, crop=rect)  # would never end if it waited
    small = scattered(2000, 7)
    assert len(culled.render(small, camera, crop=rect).rgb)
    go_on.set()
    other.join(10)
    assert isinstance(culled._chunks(scene), Chunks)
    assert torch.equal(drawn.rgb, culled.render(scene, camera, crop=rect).rgb)


def test_a_scene_that_could_not_be_cut_is_drawn_and_tried_again(scene, fast_rasterizer, monkeypatch):
    culled, cut = Culled(fast_rasterizer, least=1000), Chunks.of

    def fails(one: Gaussians) -> Chunks:
        raise RuntimeError("not enough memory")

    monkeypatch.setattr(Chunks, "of", staticmethod(fails))
    assert culled._chunks(scene) is None
    with pytest.raises(RuntimeError):
        culled._chunks(scene)
    monkeypatch.setattr(Chunks, "of", staticmethod(cut))
    assert isinstance(culled._chunks(scene), Chunks)


def test_the_last_chunk_is_filled_with_rows_that_are_there():
    chunks = Chunks.of(scattered(CHUNK + 3))
    assert len(chunks.rows) == 2 * CHUNK
    assert set(chunks.rows.tolist()) == set(range(CHUNK + 3))


def test_another_view_window_or_mode_is_not_mistaken_for_the_last(scene, fast_rasterizer):
    culled, views = Culled(fast_rasterizer, least=1), (camera_at(0.0), camera_at(1.3))
    asked = [(camera, rect, mode) for camera in views for rect in RECTS[1:3] for mode in (ANTIALIASED, CLASSIC)]
    for camera, rect, mode in [asked[0], *asked, *reversed(asked)]:
        ones = torch.ones(rect[3] - rect[1], rect[2] - rect[0], 1)
        for _ in range(2):
            assert torch.equal(
                culled.render(scene, camera, mode=mode, crop=rect).rgb,
                fast_rasterizer.render(scene, camera, mode=mode, crop=rect).rgb,
            )
            assert torch.equal(
                culled.contributions(scene, camera, ones, mode=mode, crop=rect),
                fast_rasterizer.contributions(scene, camera, ones, mode=mode, crop=rect),
            )
