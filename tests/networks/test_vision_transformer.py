import torch

from gaussian_lens_app.networks.vision_transformer import CrossBlock, Refinement, SelfBlock, patches_of, unfolded


def test_patches_come_back_as_the_image_they_were_cut_from():
    images = torch.rand(2, 5, 12, 8)
    patches = patches_of(images, 4)
    assert patches.shape == (2, 6, 80)
    torch.testing.assert_close(patches[0, 1].view(5, 4, 4), images[0, :, :4, 4:])
    assert torch.equal(unfolded(patches, 3, 2, 4), images)


def test_padding_changes_nothing_for_real_tokens():
    torch.manual_seed(0)
    x, real = torch.randn(3, 7, 16), torch.ones(3, 7, dtype=torch.bool)
    real[1, 5:] = False
    changed = torch.where(real[..., None], x, torch.randn(3, 7, 16))
    for block in (SelfBlock(16, 2, 2), CrossBlock(16, 2, 2)):
        torch.testing.assert_close(block(x, real)[real], block(changed, real)[real])
    refine = Refinement(16, 2)
    torch.testing.assert_close(refine(x, x, real)[real], refine(changed, changed, real)[real])


def test_no_mask_is_the_same_as_a_mask_of_real_tokens():
    torch.manual_seed(1)
    x, real = torch.randn(2, 6, 16), torch.ones(2, 6, dtype=torch.bool)
    for block in (SelfBlock(16, 2, 2), CrossBlock(16, 2, 2)):
        torch.testing.assert_close(block(x, None), block(x, real))


def test_images_see_one_another_only_across():
    """Within an image a self block mixes; a cross block also takes from the others, whatever their order."""
    torch.manual_seed(2)
    x = torch.randn(3, 6, 16)
    other = x.clone()
    other[2] = torch.randn(6, 16)
    within, across = SelfBlock(16, 2, 2), CrossBlock(16, 2, 2)
    assert torch.equal(within(x, None)[:2], within(other, None)[:2])
    assert not torch.allclose(across(x, None)[0], across(other, None)[0])
    torch.testing.assert_close(across(x, None)[0], across(x[[0, 2, 1]], None)[0])
