import pytest
import torch

from gaussian_lens_app.scene.memory import memory_ran_out


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_every_way_of_running_out_of_memory_is_known(error):
    assert memory_ran_out(error)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("shapes differ"), RuntimeError("memory format is not contiguous"), ValueError("out of memory")],
)
def test_other_errors_are_not_taken_for_it(error):
    assert not memory_ran_out(error)
