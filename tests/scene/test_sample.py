"""A few rows stand for many."""

import torch

from gaussian_lens_app.scene.sample import sample


def test_few_rows_are_all_taken_in_their_order():
    rows = torch.tensor([5, 3, 9])
    assert sample(rows, 3) is rows
    assert len(sample(rows[:0], 3)) == 0


def test_of_many_rows_the_same_few_are_taken_every_time_from_everywhere():
    rows = torch.arange(1000, 101_000)
    some = sample(rows, 5000)
    assert torch.equal(some, sample(rows, 5000))
    assert len(some) == 5000
    assert int(some.min()) < 1200
    assert int(some.max()) > 100_800
    assert 0.45 < float((some % 2).float().mean()) < 0.55
