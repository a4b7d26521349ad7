"""A device that is none: its tensors live in the processor's memory, and mixing them with the processor's fails.

Code that runs with its scene here asks for everything where the scene is, as a GPU wants it. `install` may be called
more than once; it adds a device to torch's list and changes nothing about the others. The interface it uses is young
(torch 2.11 has it): where it is missing, tests that need it are to be skipped.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree, backend_registration

from gaussian_lens_app.raster import Rasterizer, Render
from gaussian_lens_app.scene import Camera, Gaussians

NAME = "pretend"
CARRIES = {"aten::_to_copy", "aten::copy_", "aten::_copy_from"}
"""These go from one device to another."""
PICKS = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_", "aten::_unsafe_index"}
"""What is picked from decides; the indices may be the processor's."""
_contents: dict[int, Tensor] = {}
"""The processor's tensor behind each, by its storage, which copies that autograd saves share. Nothing says when one is
gone, so a process that uses this should be short."""


class Mixed(RuntimeError):
    """Tensors of two devices in one operation."""


def available() -> bool:
    return hasattr(backend_registration, "_setup_privateuseone_for_python_backend")


@functools.cache
def install() -> str:
    """The device's name, known to torch from now on."""
    _announce()
    fallback = torch.library.Library("_", "IMPL")
    fallback.fallback(_run, "PrivateUse1")
    own = torch.library.Library("aten", "IMPL")
    own.impl("_copy_from", _copied, "PrivateUse1")
    for name in _composites():
        own.impl(name, functools.partial(_run, _operation(name)), "PrivateUse1")
    _kept.extend([fallback, own])
    return NAME


_kept: list[torch.library.Library] = []
"""A library takes its operations with it when it goes."""


def _announce() -> None:
    interface: Any = torch._C._acc  # pyright: ignore[reportAttributeAccessIssue]

    class Guard(interface.DeviceGuard):
        def type_(self):
            return torch._C._autograd.DeviceType.PrivateUse1

    class Hooks(interface.PrivateUse1Hooks):
        def is_available(self) -> bool:
            return True

        def has_primary_context(self, device_index: int) -> bool:
            return True

        def is_built(self) -> bool:
            return True

    class Module:
        def is_initialized(self) -> bool:
            return True

        def is_available(self) -> bool:
            return True

        def current_device(self) -> int:
            return 0

        def device_count(self) -> int:
            return 1

        def manual_seed_all(self, seed: int) -> None:
            pass

        def _is_in_bad_fork(self) -> bool:
            return False

    setup: Any = backend_registration._setup_privateuseone_for_python_backend  # pyright: ignore[reportAttributeAccessIssue]
    setup(NAME, Module(), Hooks(), Guard())


def _composites() -> Iterator[str]:
    """Operations that torch writes in terms of others by looking at strides and storage, of which there are none here,
    and `quantile`, for the same reason."""
    for full in torch._C._dispatch_get_all_op_names():
        has = functools.partial(torch._C._dispatch_has_kernel_for_dispatch_key, full)
        explicit = has("CompositeExplicitAutograd") or has("CompositeExplicitAutogradNonFunctional")
        if full.startswith("aten::") and explicit and not has("CompositeImplicitAutograd"):
            yield full.removeprefix("aten::")
    yield from ("quantile", "quantile.scalar")


def _operation(name: str) -> Callable[..., Any]:
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet), overload or "default")


class _There(Tensor):
    """A tensor of the device; its own memory holds nothing."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, content: Tensor):
        interface: Any = torch._C._acc  # pyright: ignore[reportAttributeAccessIssue]
        made = interface.create_empty_tensor(content.shape, content.dtype)
        made.__class__ = cls
        _contents[made.untyped_storage()._cdata] = content
        return made


def _is_there(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device.type == NAME


def _content(value: Tensor) -> Tensor:
    return _contents[value.untyped_storage()._cdata]


def _copied(source: Tensor, goal: Tensor, non_blocking: bool = False) -> Tensor:
    source, into = (_content(one) if _is_there(one) else one for one in (source, goal))
    into.copy_(source)
    return goal


def _run(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """The operation on the processor's tensors behind its arguments; its results are on this device."""
    name = operation._schema.name
    flat, shape = _pytree.tree_flatten((args, kwargs))
    tensors = [one for one in flat if isinstance(one, Tensor)]
    if name not in CARRIES:
        _check_written(operation._schema, args, kwargs, tensors)
        _check(name, args, tensors, flat)
    bare = [_on_processor(one) for one in flat]
    inside, options = _pytree.tree_unflatten(bare, shape)
    options.pop("pin_memory", None)
    if name in ("aten::view", "aten::_unsafe_view"):  # the content may be strided where this device's tensor is not
        operation = torch.ops.aten.reshape.default
    results = operation(*inside, **options)
    if name == "aten::_local_scalar_dense":
        return results
    known = {id(now): before for before, now in zip(flat, bare, strict=True) if isinstance(before, Tensor)}
    for tensor in tensors:
        if _is_there(tensor) and tensor.shape != _content(tensor).shape:  # resized in place
            tensor.data = _There(_content(tensor))
    leaves = kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "cpu"
    return _pytree.tree_map(lambda one: _given(one, known, leaves), results)


def _on_processor(value: Any) -> Any:
    if _is_there(value):
        return _content(value)
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == NAME else value


def _given(result: Any, known: dict[int, Any], leaves: bool) -> Any:
    """What the caller gets: an argument that was changed in place, a tensor of the processor, or one of this device."""
    if not isinstance(result, Tensor):
        return result
    if leaves:
        return result.clone()
    return known[id(result)] if id(result) in known else _There(result)


def _check_written(schema: Any, args: tuple, kwargs: dict[str, Any], tensors: list[Tensor]) -> None:
    """What is written is where its operands are, a single number too."""
    if not any(map(_is_there, tensors)):
        return
    named = dict(zip((one.name for one in schema.arguments), args, strict=False)) | kwargs
    goals = [named.get(one.name) for one in schema.arguments if one.alias_info is not None and one.alias_info.is_write]
    if any(isinstance(one, Tensor) and not _is_there(one) for one in _pytree.tree_leaves(goals)):
        raise Mixed(f"{schema.name}: writes a tensor of the processor from tensors on {NAME}")


def _check(name: str, args: tuple, tensors: list[Tensor], flat: list) -> None:
    """Single numbers may be the processor's, as on a GPU; random numbers come from a generator of the device."""
    if any(isinstance(one, torch.Generator) for one in flat):
        raise Mixed(f"{name}: the generator is the processor's")
    if name in PICKS:
        if not _is_there(args[0]):
            raise Mixed(f"{name}: indices on {NAME} into a tensor of the processor")
        tensors = [args[0], *(one for one in args[2:3] if isinstance(one, Tensor))]
    if any(map(_is_there, tensors)) and any(not _is_there(one) and one.dim() > 0 for one in tensors):
        raise Mixed(f"{name}: {[(tuple(one.shape), one.device.type) for one in tensors]}")


class PretendRasterizer:
    """Wants everything on this device, and has a rasterizer for processors draw it."""

    name: str = "pretend"
    device: str = NAME

    def __init__(self, inner: Rasterizer):
        self.inner = inner

    def render(self, scene: Gaussians, camera: Camera, **how: Any) -> Render:
        """The image of `scene`, see `base.Rasterizer`."""
        given = [scene.means, *(one for one in how.values() if isinstance(one, Tensor))]
        assert all(_is_there(one) for one in given)
        here = {name: one.cpu() if isinstance(one, Tensor) else one for name, one in how.items()}
        drawn = self.inner.render(scene.to("cpu"), camera.to("cpu"), **here)
        images = (drawn.rgb, drawn.alpha, drawn.depth, drawn.median_depth, drawn.features)
        return Render(*(None if one is None else one.to(NAME) for one in images))  # type: ignore[arg-type]

    def contributions(self, scene: Gaussians, camera: Camera, weights: Tensor, **how: Any) -> Tensor:
        """Each Gaussian's summed blending weight, see `base.Rasterizer`."""
        assert _is_there(scene.means)
        assert _is_there(weights)
        return self.inner.contributions(scene.to("cpu"), camera.to("cpu"), weights.cpu(), **how).to(NAME)
