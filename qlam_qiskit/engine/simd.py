"""A SIMD vector for numba: one amplitude's real or imaginary part for the samples of a block.

LLVM's own vectorizer has to prove that the rows of an array do not overlap, and gives up or adds run-time checks in
just the loops that matter here. With vectors as values there is nothing to prove: a kernel loads rows, computes with
``+ - *`` and stores rows. Multiplications and additions may contract to fused multiply-adds; nothing is reordered.
A compiled function should return one vector at most: a tuple of them goes through memory.

The number of lanes is part of the type of :class:`Rows`, so that the same loops compile for wide and narrow blocks.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import NativeValue, intrinsic, models, overload, register_model, typeof_impl, unbox

_CACHE_LINE = 64  # bytes; a row that straddles two lines costs two accesses


class Rows:
    """``count`` rows of ``lanes`` numbers, one for each sample of a block; zeros at first, aligned to a cache line."""

    def __init__(self, count: int, lanes: int, dtype: type[np.floating]) -> None:
        size = count * lanes
        raw = np.zeros(size + _CACHE_LINE // np.dtype(dtype).itemsize, dtype)
        skip = (-raw.ctypes.data % _CACHE_LINE) // raw.itemsize
        self.array = raw[skip : skip + size].reshape(count, lanes)
        self.address = self.array.ctypes.data
        self._numba_type_ = RowsType(types.float32 if raw.itemsize == 4 else types.float64, lanes)


class RowsType(types.Type):
    """numba's type of :class:`Rows`: the address of the first row."""

    def __init__(self, dtype: types.Float, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Rows({dtype}, {lanes})")


class Vector(types.Type):
    """numba's type of one row's numbers, held in registers."""

    def __init__(self, dtype: types.Float, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Vector({dtype}, {lanes})")


def _llvm_vector(kind: RowsType | Vector) -> ir.VectorType:
    return ir.VectorType(ir.FloatType() if kind.dtype.bitwidth == 32 else ir.DoubleType(), kind.lanes)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, _llvm_vector(kind))


@register_model(RowsType)
class _RowsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: RowsType) -> None:
        super().__init__(manager, kind, _llvm_vector(kind).as_pointer())


@typeof_impl.register(Rows)
def _type_of_rows(rows: Rows, context: Any) -> RowsType:
    return rows._numba_type_


@unbox(RowsType)
def _unbox_rows(kind: RowsType, rows: Any, context: Any) -> NativeValue:
    number = context.pyapi.object_getattr_string(rows, "address")
    address = context.pyapi.long_as_voidptr(number)
    context.pyapi.decref(number)
    pointer = context.builder.bitcast(address, _llvm_vector(kind).as_pointer())
    return NativeValue(pointer, is_error=cgutils.is_not_null(context.builder, context.pyapi.err_occurred()))


def _check_rows(rows: types.Type) -> None:
    if not isinstance(rows, RowsType):
        raise TypingError(f"vectors are loaded from rows, not from {rows}")


@intrinsic
def load(typing_context: Any, rows: RowsType, row: types.Integer) -> tuple[Any, Callable[..., Any]]:
    """Read a row."""
    _check_rows(rows)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        return builder.load(builder.gep(arguments[0], [arguments[1]]), align=kind.lanes * kind.dtype.bitwidth // 8)

    return Vector(rows.dtype, rows.lanes)(rows, types.intp), generate


@intrinsic
def store(typing_context: Any, rows: RowsType, row: types.Integer, value: Vector) -> tuple[Any, Callable[..., Any]]:
    """Write a row."""
    _check_rows(rows)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        pointer = builder.gep(arguments[0], [arguments[1]])
        builder.store(arguments[2], pointer, align=kind.lanes * kind.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(rows, types.intp, Vector(rows.dtype, rows.lanes)), generate


@intrinsic
def get(typing_context: Any, rows: RowsType, row: types.Integer, lane: types.Integer) -> tuple[Any, Callable[..., Any]]:
    """Read one number of a row."""
    _check_rows(rows)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_element(builder, arguments))

    return rows.dtype(rows, types.intp, types.intp), generate


@intrinsic
def put(
    typing_context: Any, rows: RowsType, row: types.Integer, lane: types.Integer, value: types.Float
) -> tuple[Any, Callable[..., Any]]:
    """Write one number of a row."""
    _check_rows(rows)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[3], _element(builder, arguments))
        return context.get_dummy_value()

    return types.void(rows, types.intp, types.intp, rows.dtype), generate


@intrinsic
def at(typing_context: Any, table: types.Array, index: types.Integer) -> tuple[Any, Callable[..., Any]]:
    """Read an entry of a one-dimensional array without a look at the index, whose sign numba checks every time."""
    if not isinstance(table, types.Array) or table.ndim != 1 or table.layout != "C":
        raise TypingError(f"entries are read from a contiguous array of one dimension, not from {table}")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.load(builder.gep(array.data, [arguments[1]]))

    return table.dtype(table, types.intp), generate


def _element(builder: Any, arguments: Any) -> Any:
    rows, row, lane = arguments[:3]
    first = builder.bitcast(builder.gep(rows, [row]), rows.type.pointee.element.as_pointer())
    return builder.gep(first, [lane])


@intrinsic
def constant(typing_context: Any, rows: RowsType, value: types.Float) -> tuple[Any, Callable[..., Any]]:
    """Fill every lane of a vector like those of ``rows`` with one number."""
    _check_rows(rows)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = _llvm_vector(signature.args[0])
        number = context.cast(builder, arguments[1], signature.args[1], signature.args[0].dtype)
        first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
        return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), mask)

    return Vector(rows.dtype, rows.lanes)(rows, value), generate


@intrinsic
def total(typing_context: Any, value: Vector) -> tuple[Any, Callable[..., Any]]:
    """Add up the lanes, pairwise."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (vector,) = arguments
        while vector.type.count > 1:
            half = vector.type.count // 2
            parts = [
                builder.shuffle_vector(
                    vector, ir.Constant(vector.type, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), half), k)
                )
                for k in (list(range(half)), list(range(half, 2 * half)))
            ]
            vector = builder.fadd(*parts)
        return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    return value.dtype(value), generate


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
        kind = _llvm_vector(signature.args[0])
        name = f"llvm.rint.v{kind.count}f{signature.args[0].dtype.bitwidth}"
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
