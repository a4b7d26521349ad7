import dataclasses
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from gaussian_lens_app.errors import FileError
from gaussian_lens_app.networks import gaussian_lens
from gaussian_lens_app.networks.gaussian_lens import LensConfig
from gaussian_lens_app.networks.point_transformer import TransformerConfig
from gaussian_lens_app.networks.weights import load_network
from gaussian_lens_app.training.data import DataSettings, Stream, files, make_procedural
from gaussian_lens_app.training.lens import LensTrainee
from gaussian_lens_app.training.release import release
from gaussian_lens_app.training.run import Run, RunSettings
from gaussian_lens_app.training.samples import SampleSettings, load_samples, random_samples, save_samples
from gaussian_lens_app.training.scaffolds import ScaffoldSettings, pixel_aligned, random_scaffold
from gaussian_lens_app.training.settings import LensSettings
from gaussian_lens_app.training.step import lighter, make_ready, run_sample
from gaussian_lens_app.training.worlds import WorldSettings, random_capture

SMALL_WORLD = WorldSettings(photos=7, width=160, height=120, textures=3)
QUICK = DataSettings(
    world=SMALL_WORLD,
    scaffold=ScaffoldSettings(pixel_aligned=1.0),
    samples=SampleSettings(boxes=3, sides=(0.35, 0.5), least_gaussians=5),
)
TINY = LensConfig(
    transformer=TransformerConfig(
        widths=(16, 24), depths=(1, 1), decoder_depths=(1,), patches=(32, 32), cells=(1.0, 4.0)
    ),
    image_width=8,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, fast_rasterizer) -> Path:
    """Sample files of two scenes, one for training and one for validation."""
    folder = tmp_path_factory.mktemp("samples")
    for number in (1, 10):
        make_procedural(folder, number, [], fast_rasterizer, QUICK)
    return folder


def training_of(folder: Path, out: Path, rasterizer, told: list[str], varied: bool = False) -> Run:
    """A run with a network that trains in a moment."""
    torch.manual_seed(0)
    settings = LensSettings(folder, single=0.0, passes=2, accumulate=1, validation_samples=2, varied=varied)
    out.mkdir(exist_ok=True)
    trainee = LensTrainee(gaussian_lens.GaussianLens(TINY), settings, out, rasterizer)
    return Run(trainee, RunSettings(out, hours=1.0), told.append)


def test_scenes_are_split_by_number_and_made_once(folder, fast_rasterizer):
    (train,), (val,) = files(folder, "train"), files(folder, "val")
    assert train.name == "train-procedural-000001.pt"
    assert val.name == "val-procedural-000010.pt"
    before = train.stat().st_mtime_ns
    make_procedural(folder, 1, [], fast_rasterizer, QUICK)
    assert train.stat().st_mtime_ns == before


def test_targets_are_photos_that_the_method_does_not_see(folder):
    for sample in load_samples(files(folder, "train")[0]):
        seen = {window.name for window in sample.inputs.windows}
        assert seen.isdisjoint(target.name for target in sample.targets)
        assert len(seen) >= 2


def test_a_photo_that_contradicts_the_scene_neither_teaches_nor_measures(textured_board, fast_rasterizer):
    photos = list(textured_board.capture.photos)
    names = [photo.name for photo in photos]
    settings = SampleSettings(boxes=4, sides=(0.3, 0.4), least_gaussians=5)
    for wrong in (1, 4):  # one of those that a method may see, one of those that it is measured on
        negative = dataclasses.replace(photos[wrong], source=255 - photos[wrong].load())
        changed = tuple(negative if i == wrong else photo for i, photo in enumerate(photos))
        capture = dataclasses.replace(textured_board.capture, photos=changed)
        rng = np.random.default_rng(0)
        samples = list(random_samples(textured_board.truth, capture, (0, 1, 2, 3), 4.0, rng, fast_rasterizer, settings))
        used = {window.name for sample in samples for window in (*sample.inputs.windows, *sample.targets)}
        assert names[wrong] not in used
        assert used >= {names[0], names[5]}


def test_samples_come_back_as_they_were_kept(folder, tmp_path):
    samples = load_samples(files(folder, "train")[0])
    save_samples(tmp_path / "again.pt", samples, {})
    for one, two in zip(samples, load_samples(tmp_path / "again.pt"), strict=True):
        assert torch.equal(one.inputs.new.means, two.inputs.new.means)
        assert torch.equal(one.inputs.windows[0].photo, two.inputs.windows[0].photo)
        assert torch.equal(one.targets[0].camera.K, two.targets[0].camera.K)
        assert one.inputs.mode == two.inputs.mode


def test_a_pixel_aligned_scaffold_has_a_gaussian_for_each_small_pixel():
    taken = random_capture(5, settings=SMALL_WORLD)
    scene = pixel_aligned(taken, (0, 2), np.random.default_rng(0), 4)
    assert len(scene) == 2 * 40 * 30


def test_an_optimised_scaffold_knows_two_thirds_of_the_photos(fast_rasterizer):
    taken = random_capture(5, settings=SMALL_WORLD)
    settings = ScaffoldSettings(pixel_aligned=0.0, steps=(20, 30), points=(100, 200))
    scaffold = random_scaffold(taken, np.random.default_rng(0), fast_rasterizer, settings)
    assert scaffold.context == (0, 2, 3, 5, 6)
    assert len(scaffold.scene) > 50


def test_training_steps_lower_the_error_of_a_sample(folder, fast_rasterizer):
    torch.manual_seed(0)
    sample = make_ready(load_samples(files(folder, "train")[0])[0], fast_rasterizer)
    network = gaussian_lens.GaussianLens(TINY)
    adam = torch.optim.Adam(network.parameters(), 3e-3)
    first = run_sample(network, sample, 1, fast_rasterizer).after[0]
    for _ in range(15):
        run_sample(network, sample, 1, fast_rasterizer, scale=1.0)
        adam.step()
        adam.zero_grad()
    assert run_sample(network, sample, 1, fast_rasterizer).after[0] < 0.97 * first


@pytest.mark.parametrize("varied", [False, True])
def test_an_interrupted_run_goes_on_from_its_checkpoint(folder, tmp_path, fast_rasterizer, varied):
    told = []
    first = training_of(folder, tmp_path, fast_rasterizer, [], varied)
    first.run(minutes=0.05)
    second = training_of(folder, tmp_path, fast_rasterizer, told, varied)
    assert second.updates == first.updates > 0
    assert second.spent == first.spent
    assert "Going on" in told[0]
    for one, two in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(one, two)
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"validation"} <= {entry["kind"] for entry in entries}
    assert "procedural_pass_2" in entries[-1]


def test_the_best_weights_can_be_released_and_read(folder, tmp_path, fast_rasterizer):
    training_of(folder, tmp_path, fast_rasterizer, []).validate()
    digest = release(tmp_path, "gaussian-lens", TINY, tmp_path / "w.safetensors")
    network = load_network(tmp_path / "w.safetensors", "gaussian-lens", sha256=digest)
    assert isinstance(network, gaussian_lens.GaussianLens)
    assert network.config == TINY


def test_a_lighter_sample_keeps_the_photos_of_its_pixel_gaussians_and_their_renders(folder, fast_rasterizer):
    ready = make_ready(load_samples(files(folder, "train")[0])[0], fast_rasterizer)
    for seed in range(8):
        light = lighter(ready, random.Random(seed))
        windows = light.prepared.inputs.windows
        assert windows[:2] == ready.prepared.inputs.windows[:2]
        assert len(windows) == len(light.looks) == len(light.prepared.first)
        for window, look in zip(windows, light.looks, strict=True):
            assert look.render.rgb.shape == window.photo.shape
        assert len(light.before) == len(light.targets) <= 2


def test_a_stream_picks_up_files_that_come_later(folder, tmp_path, fast_rasterizer):
    samples = load_samples(files(folder, "train")[0])
    save_samples(tmp_path / "train-procedural-000001.pt", samples[:1], {})
    stream = iter(Stream(tmp_path, 0, lambda sample: make_ready(sample, fast_rasterizer), pool=2))
    next(stream)
    moved = [dataclasses.replace(samples[0], stride=99)]
    save_samples(tmp_path / "train-real-x-0.pt", moved, {})
    assert 99 in [next(stream).prepared.stride for _ in range(20)]


def test_a_folder_without_samples_is_one_sentence(tmp_path):
    with pytest.raises(FileError, match="no training samples"):
        next(iter(Stream(tmp_path, 0, lambda sample: pytest.fail("there is none"))))
    save_samples(tmp_path / "train-00001.pt", [], {})
    with pytest.raises(FileError, match="no training samples"):
        next(iter(Stream(tmp_path, 0, lambda sample: pytest.fail("there is none"))))


def tensors_in(value) -> list[torch.Tensor]:
    """All tensors in nested dataclasses and tuples."""
    if isinstance(value, torch.Tensor):
        return [value]
    if dataclasses.is_dataclass(value):
        value = tuple(getattr(value, field.name) for field in dataclasses.fields(value))
    return [tensor for part in value for tensor in tensors_in(part)] if isinstance(value, tuple) else []


def test_a_sample_goes_to_a_device_as_a_whole(folder):
    """Without a GPU the device is `meta`; what stayed behind would meet the network on another one."""
    sample = load_samples(files(folder, "train")[0])[0]
    moved = tensors_in(sample.to("meta"))
    assert len(moved) == len(tensors_in(sample)) > 30
    assert {tensor.device.type for tensor in moved} == {"meta"}
    assert [tensor.shape for tensor in moved] == [tensor.shape for tensor in tensors_in(sample)]
