"""Sizes follow measured times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaussian_lens_app.viewer.pace import Pace, StreamSettings


def settled(machine, width=1280, height=800, busy=False, frames=60):
    """(size, seconds a frame) once a machine's times have been learnt."""
    pace = Pace()
    for _ in range(frames):
        size = pace.moving_size(width, height, busy)
        pace.measured(*size, machine(*size))
    return size, machine(*size)


def test_a_fast_machine_draws_at_native_size_while_moving():
    size, _ = settled(lambda w, h: 0.003 + 2e-9 * w * h)
    assert size == (1280, 800)


def test_a_slower_machine_is_given_what_it_draws_in_time():
    size, seconds = settled(lambda w, h: 0.03 + 8e-8 * w * h)
    assert size[0] < 1280
    assert seconds <= 1 / StreamSettings().moving_fps


def test_a_job_beside_it_lowers_the_aim():
    machine = lambda w, h: 2.0 * (0.02 + 6e-8 * w * h)  # noqa: E731
    alone, _ = settled(machine)
    beside, seconds = settled(machine, busy=True)
    assert beside[0] > alone[0]
    assert seconds <= 1 / StreamSettings().busy_fps


@given(st.floats(1e-4, 5.0), st.floats(1e-9, 1e-5), st.integers(1, 5000), st.integers(1, 5000))
def test_a_size_is_never_empty_and_never_larger_than_native(fixed, per_pixel, width, height):
    size, _ = settled(lambda w, h: fixed + per_pixel * w * h, width, height, frames=20)
    assert 1 <= size[0] <= width
    assert 1 <= size[1] <= height
    assert max(size) >= min(StreamSettings().smallest, max(width, height))


def test_the_size_settles():
    pace, sizes = Pace(), []
    for i in range(100):
        size = pace.moving_size(1280, 800, False)
        pace.measured(*size, (0.03 + 8e-8 * size[0] * size[1]) * (1 + 0.05 * (-1) ** i))
        sizes.append(size)
    assert len(set(sizes[40:])) == 1


def test_a_moving_frame_goes_down_after_one_slow_frame():
    pace = Pace()
    first = pace.moving_size(1280, 800, False)
    pace.measured(*first, 1.0)
    assert pace.moving_size(1280, 800, False)[0] < first[0]
    assert first == pytest.approx((1280, 800))
