"""Sixteen float32 side by side, as a type numba understands: what one row of a tile is computed in.

A loop over sixteen pixels becomes SIMD only if LLVM proves that it may, and an innocent edit can lose that proof
without a word. `Lanes` states it: every operation below is one vector instruction (two or four on narrower
processors), values live in registers, and a row kernel compiles in a fraction of the time of the loop it replaces.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, types
from numba.core.typeconv.castgraph import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, lower_cast, models, register_model

from gaussian_lens_app.raster.numba_kernels.jit import inline_jit

WIDTH = 16
_FLOATS = ir.VectorType(ir.FloatType(), WIDTH)
_INTS = ir.VectorType(ir.IntType(32), WIDTH)
_BITS = ir.VectorType(ir.IntType(1), WIDTH)
_CONTRACT = ("contract",)  # a * b + c may become one fused instruction; nothing else is reordered


def intrinsic(builder: Callable) -> Any:
    """numba's own, as a function of any arguments: what a checker sees is the builder, not what kernels call."""
    return extending.intrinsic(builder)


class _LanesType(types.Type):
    """Sixteen float32; numbers are repeated into all of them where an operation needs it."""

    def can_convert_from(self, typingctx, other):
        return Conversion.safe if isinstance(other, types.Number) else None


class _MaskType(types.Type):
    """Sixteen truth values."""


lanes_type = _LanesType("Lanes16")
mask_type = _MaskType("Mask16")


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _FLOATS)


@register_model(_MaskType)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _BITS)


def _splat(builder, value):
    first = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, ir.Constant(_FLOATS, ir.Undefined), ir.Constant(_INTS, [0] * WIDTH))


@lower_cast(types.Number, _LanesType)
def _cast_number(context, builder, fromty, toty, value):
    return _splat(builder, context.cast(builder, value, fromty, types.float32))


def _define_operator(function, operand, result, build):
    """Give `function` a meaning when one of its two sides is of type `operand`."""

    class Template(AbstractTemplate):
        def generic(self, args, kws):
            if len(args) == 2 and operand in args:
                return signature(result, operand, operand)
            return None

    register: Any = infer_global(function)
    register(Template)
    lower_builtin(function, operand, operand)(lambda context, builder, sig, args: build(builder, *args))


_define_operator(operator.add, lanes_type, lanes_type, lambda b, x, y: b.fadd(x, y, flags=_CONTRACT))
_define_operator(operator.sub, lanes_type, lanes_type, lambda b, x, y: b.fsub(x, y, flags=_CONTRACT))
_define_operator(operator.mul, lanes_type, lanes_type, lambda b, x, y: b.fmul(x, y, flags=_CONTRACT))
_define_operator(operator.truediv, lanes_type, lanes_type, lambda b, x, y: b.fdiv(x, y, flags=_CONTRACT))
_define_operator(operator.lt, lanes_type, mask_type, lambda b, x, y: b.fcmp_ordered("<", x, y))
_define_operator(operator.le, lanes_type, mask_type, lambda b, x, y: b.fcmp_ordered("<=", x, y))
_define_operator(operator.gt, lanes_type, mask_type, lambda b, x, y: b.fcmp_ordered(">", x, y))
_define_operator(operator.ge, lanes_type, mask_type, lambda b, x, y: b.fcmp_ordered(">=", x, y))
_define_operator(operator.and_, mask_type, mask_type, lambda b, x, y: b.and_(x, y))
_define_operator(operator.or_, mask_type, mask_type, lambda b, x, y: b.or_(x, y))


def _pointer(context, builder, array_type, place, target):
    array, index = place
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), target.as_pointer())


def _is_flat(array, dtype) -> bool:
    return isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C" and array.dtype == dtype


@intrinsic
def load(typingctx, array, index):
    """`array[index : index + 16]` of a flat float32 array; no bounds are checked."""
    if not _is_flat(array, types.float32):
        return None

    def codegen(context, builder, sig, args):
        return builder.load(_pointer(context, builder, sig.args[0], args, _FLOATS), align=4)

    return lanes_type(array, types.intp), codegen


@intrinsic
def store(typingctx, array, index, value):
    """`array[index : index + 16] = value` of a flat float32 array; no bounds are checked."""
    if not _is_flat(array, types.float32):
        return None

    def codegen(context, builder, sig, args):
        builder.store(args[2], _pointer(context, builder, sig.args[0], args[:2], _FLOATS), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes_type), codegen


@intrinsic
def splat(typingctx, value):
    """The number in all sixteen lanes."""
    return lanes_type(lanes_type), lambda context, builder, sig, args: args[0]


@intrinsic
def ramp(typingctx):
    """0, 1, ... 15."""
    values = [float(i) for i in range(WIDTH)]
    return lanes_type(), lambda context, builder, sig, args: ir.Constant(_FLOATS, values)


@intrinsic
def select(typingctx, mask, yes, no):
    """Lane by lane `yes` where the mask holds, else `no`; both are computed."""
    return lanes_type(mask_type, lanes_type, lanes_type), lambda context, builder, sig, args: builder.select(*args)


@intrinsic
def smaller(typingctx, x, y):
    """Lane by lane the smaller of two."""

    def codegen(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered("<", *args), *args)

    return lanes_type(lanes_type, lanes_type), codegen


@intrinsic
def larger(typingctx, x, y):
    """Lane by lane the larger of two."""

    def codegen(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return lanes_type(lanes_type, lanes_type), codegen


@intrinsic
def magnitude(typingctx, x):
    """Lane by lane the absolute value."""

    def codegen(context, builder, sig, args):
        bits = builder.and_(builder.bitcast(args[0], _INTS), ir.Constant(_INTS, [0x7FFFFFFF] * WIDTH))
        return builder.bitcast(bits, _FLOATS)

    return lanes_type(lanes_type), codegen


@intrinsic
def some(typingctx, mask):
    """True if the mask holds in any lane."""

    def codegen(context, builder, sig, args):
        bits = builder.bitcast(args[0], ir.IntType(WIDTH))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(WIDTH), 0))

    return types.boolean(mask_type), codegen


@intrinsic
def total(typingctx, x):
    """Sum over the lanes, added pairwise."""

    def codegen(context, builder, sig, args):
        name = f"llvm.vector.reduce.fadd.v{WIDTH}f32"
        kind = ir.FunctionType(ir.FloatType(), [ir.FloatType(), _FLOATS])
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        return builder.call(function, [ir.Constant(ir.FloatType(), -0.0), args[0]], fastmath=("reassoc",))

    return types.float32(lanes_type), codegen


def _halving(group: int) -> Any:
    """Within groups of so many lanes, add the upper half to the lower: x's groups first, then y's."""
    lower = [i for i in range(2 * WIDTH) if i % group < group // 2]
    first, second = (ir.Constant(_INTS, [i + shift for i in lower]) for shift in (0, group // 2))

    @intrinsic
    def halved(typingctx, x, y):
        def codegen(context, builder, sig, args):
            return builder.fadd(builder.shuffle_vector(*args, first), builder.shuffle_vector(*args, second))

        return lanes_type(lanes_type, lanes_type), codegen

    return halved


_halves, _quarters, _eighths, _sixteenths = (_halving(group) for group in (16, 8, 4, 2))


@inline_jit
def totals_of_four(a, b, c, d):
    """Lanes 0-3: partial sums of a, 4-7 of b, 8-11 of c, 12-15 of d."""
    return _quarters(_halves(a, b), _halves(c, d))


@inline_jit
def totals(first, second, third, fourth):
    """Sixteen totals at once, a quarter of the instructions of sixteen `total`s: arguments from `totals_of_four`."""
    return _sixteenths(_eighths(first, second), _eighths(third, fourth))


@intrinsic
def largest(typingctx, x):
    """Maximum over the lanes."""

    def codegen(context, builder, sig, args):
        name = f"llvm.vector.reduce.fmax.v{WIDTH}f32"
        kind = ir.FunctionType(ir.FloatType(), [_FLOATS])
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        return builder.call(function, [args[0]], fastmath=("nnan",))

    return types.float32(lanes_type), codegen


@intrinsic
def _times_power_of_two(typingctx, x, shifted):
    """x * 2^n, n standing in the low mantissa bits of `shifted` = n + ROUNDER."""

    def codegen(context, builder, sig, args):
        exponent = builder.shl(builder.bitcast(args[1], _INTS), ir.Constant(_INTS, [23] * WIDTH))
        return builder.bitcast(builder.add(builder.bitcast(args[0], _INTS), exponent), _FLOATS)

    return lanes_type(lanes_type, lanes_type), codegen


_ROUNDER = 12582912.0  # 1.5 * 2^23: adding it leaves the nearest integer in the low mantissa bits


@inline_jit
def exp2(x):
    """2^x for x <= 126 to 1e-7 relative, 2^-100 below -100: a minimax polynomial on the fraction."""
    x = larger(x, splat(-100.0))
    shifted = x + splat(_ROUNDER)
    f = x - (shifted - splat(_ROUNDER))
    p = splat(0.00132765) * f + splat(0.00967554)
    p = p * f + splat(0.05550713)
    p = p * f + splat(0.2402212)
    p = p * f + splat(0.69314697)
    p = p * f + splat(1.00000007)
    return _times_power_of_two(p, shifted)


@inline_jit
def fill_exponentials(values, start, stop, factor, out):
    """Write e^(factor * values[start:stop]) to the beginning of `out`; at most 2^126, and nonsense where not finite."""
    count = stop - start
    whole = count - count % WIDTH
    scale = factor * np.float32(1.4426950408889634)
    for place in range(0, whole, WIDTH):
        store(out, place, exp2(smaller(load(values, start + place) * scale, splat(126.0))))
    for place in range(whole, count):
        out[place] = np.exp2(min(max(values[start + place] * scale, np.float32(-100)), np.float32(126)))


@intrinsic
def prefetch(typingctx, array, index):
    """Ask for the cache line of `array[index]` of a flat float32 array before it is needed."""

    def codegen(context, builder, sig, args):
        byte = ir.IntType(8)
        pointer = _pointer(context, builder, sig.args[0], args, byte)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), number, number, number])
        name = "llvm.prefetch.p0"
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        builder.call(function, [pointer, *(ir.Constant(number, n) for n in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, types.intp), codegen


@intrinsic
def take_ticket(typingctx, counter):
    """The counter's value before it is raised by one, atomically: how threads share out tasks."""
    if not _is_flat(counter, types.int64):
        return None

    def codegen(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(counter), codegen
