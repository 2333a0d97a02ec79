"""A SIMD vector for numba: one amplitude's real or imaginary part for a block of LANES samples.

LLVM's own vectorizer has to prove that the rows of an array do not overlap, and gives up or adds run-time checks in
just the loops that matter here. With vectors as values there is nothing to prove: a kernel loads rows, computes with
``+ - *`` and stores rows. Multiplications and additions may contract to fused multiply-adds; nothing is reordered.
A compiled function should return one vector at most: a tuple of them goes through memory.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, overload, register_model

LANES = 16


class Vector(types.Type):
    """numba's type of LANES numbers of one precision, held in registers."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(name=f"Vector({dtype}, {LANES})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, _llvm_vector(kind.dtype))


def _llvm_vector(dtype: types.Float) -> ir.VectorType:
    element = ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()
    return ir.VectorType(element, LANES)


def _row_pointer(context: Any, builder: Any, array_type: types.Array, array: Any, row: Any) -> Any:
    """Point at element ``row * LANES`` of a contiguous one-dimensional array."""
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    offset = builder.mul(row, ir.Constant(row.type, LANES))
    element = builder.gep(data, [offset], inbounds=True)
    return builder.bitcast(element, _llvm_vector(array_type.dtype).as_pointer())


def _check_array(array: types.Type) -> None:
    if not (isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"):
        raise TypingError("vectors are loaded from contiguous one-dimensional arrays")


@intrinsic
def load(typing_context: Any, array: types.Array, row: types.Integer) -> tuple[Any, Callable[..., Any]]:
    """Read row ``row``: elements [row * LANES, (row + 1) * LANES)."""
    _check_array(array)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _row_pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        return builder.load(pointer, align=signature.args[0].dtype.bitwidth // 8)

    return Vector(array.dtype)(array, types.intp), generate


@intrinsic
def store(typing_context: Any, array: types.Array, row: types.Integer, value: Vector) -> tuple[Any, Callable[..., Any]]:
    """Write row ``row``: elements [row * LANES, (row + 1) * LANES)."""
    _check_array(array)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _row_pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        builder.store(arguments[2], pointer, align=signature.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, Vector(array.dtype)), generate


@intrinsic
def broadcast(typing_context: Any, value: types.Float) -> tuple[Any, Callable[..., Any]]:
    """Fill every lane with one number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _fill(builder, signature.args[0], arguments[0])

    return Vector(value)(value), generate


@intrinsic
def constant(typing_context: Any, array: types.Array, value: types.Float) -> tuple[Any, Callable[..., Any]]:
    """Fill every lane with one number, in the precision of an array."""
    _check_array(array)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        dtype = signature.args[0].dtype
        number = context.cast(builder, arguments[1], signature.args[1], dtype)
        return _fill(builder, dtype, number)

    return Vector(array.dtype)(array, value), generate


def _fill(builder: Any, dtype: types.Float, number: Any) -> Any:
    kind = _llvm_vector(dtype)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), mask)


def _arithmetic(instruction: str) -> Any:
    @intrinsic
    def operation(typing_context: Any, left: Vector, right: Vector) -> tuple[Any, Callable[..., Any]]:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(arguments[0], arguments[1], flags=("contract",))

        return left(left, right), generate

    return operation


@intrinsic
def nearest(typing_context: Any, value: Vector) -> tuple[Any, Callable[..., Any]]:
    """Round every lane to the nearest integer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = _llvm_vector(signature.args[0].dtype)
        name = f"llvm.rint.v{LANES}f{signature.args[0].dtype.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), name)
        return builder.call(function, arguments)

    return value(value), generate


@intrinsic
def negate(typing_context: Any, value: Vector) -> tuple[Any, Callable[..., Any]]:
    """Change the sign of every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fneg(arguments[0])

    return value(value), generate


def _overload_operator(function: Any, instruction: str) -> None:
    operation = _arithmetic(instruction)

    @overload(function)
    def resolve(left, right):  # noqa: ANN001, ANN202  # numba wants the signature of the lambda below, bare
        if isinstance(left, Vector) and left == right:
            return lambda left, right: operation(left, right)
        return None


_overload_operator(operator.add, "fadd")
_overload_operator(operator.sub, "fsub")
_overload_operator(operator.mul, "fmul")
