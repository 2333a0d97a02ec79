"""A SIMD vector for numba: one amplitude's real or imaginary part for the samples of a block.

LLVM's own vectorizer has to prove that the rows of an array do not overlap, and gives up or adds run-time checks in
just the loops that matter here. With vectors as values there is nothing to prove: a kernel loads rows, computes with
``+ - *`` and stores rows. Multiplications and additions may contract to fused multiply-adds; nothing is reordered.
A compiled function should return one vector at most: a tuple of them goes through memory.

The number of lanes is part of the type of :class:`Rows`, so that the same loops compile for wide and narrow blocks.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import NativeValue, intrinsic, models, overload, register_model, typeof_impl, unbox
from numba.np.numpy_support import from_dtype
from numpy.typing import ArrayLike

_CACHE_LINE = 64  # bytes; a row that straddles two lines costs two accesses
_REGISTER = 64 if get_host_cpu_features().get("avx512f") else 32  # bytes


class Rows:
    """``count`` rows of ``lanes`` numbers, one for each sample of a block; zeros at first, aligned to a cache line."""

    def __init__(self, count: int, lanes: int, dtype: type[np.floating]) -> None:
        size = count * lanes
        raw = np.zeros(size + _CACHE_LINE // np.dtype(dtype).itemsize, dtype)
        skip = (-raw.ctypes.data % _CACHE_LINE) // raw.itemsize
        self.array = raw[skip : skip + size].reshape(count, lanes)
        self.address = self.array.ctypes.data
        self._numba_type_ = RowsType(types.float32 if raw.itemsize == 4 else types.float64, lanes)


class Table:
    """Integers or numbers that loops read by :func:`at`: an address, so that numba counts no references to them."""

    def __init__(self, values: ArrayLike, dtype: type[np.generic]) -> None:
        self.array = np.ascontiguousarray(values, dtype)
        self.address = self.array.ctypes.data
        self._numba_type_ = TableType(from_dtype(self.array.dtype))

    def __len__(self) -> int:
        return len(self.array)

    def __reduce__(self) -> tuple[Any, ...]:
        return Table, (self.array, self.array.dtype.type)


class TableType(types.Type):
    """numba's type of :class:`Table`: the address of the first entry."""

    def __init__(self, dtype: types.Number) -> None:
        self.dtype = dtype
        super().__init__(name=f"Table({dtype})")


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


@register_model(TableType)
class _TableModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: TableType) -> None:
        super().__init__(manager, kind, manager.lookup(kind.dtype).get_data_type().as_pointer())


@typeof_impl.register(Rows)
@typeof_impl.register(Table)
def _type_of_memory(memory: Rows | Table, context: Any) -> RowsType | TableType:
    return memory._numba_type_


@unbox(RowsType)
@unbox(TableType)
def _unbox_memory(kind: RowsType | TableType, memory: Any, context: Any) -> NativeValue:
    number = context.pyapi.object_getattr_string(memory, "address")
    address = context.pyapi.long_as_voidptr(number)
    context.pyapi.decref(number)
    pointer = context.builder.bitcast(address, context.context.get_value_type(kind))
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
def registers(typing_context: Any, rows: RowsType) -> tuple[Any, Callable[..., Any]]:
    """See each row as the few rows, of the size of a register, that it consists of.

    A loop that holds many vectors takes one of those at a time: it would spill whole rows to memory.
    """
    _check_rows(rows)
    kind = RowsType(rows.dtype, _lanes_of_register(rows))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], _llvm_vector(kind).as_pointer())

    return kind(rows), generate


@intrinsic
def registers_in_row(typing_context: Any, rows: RowsType) -> tuple[Any, Callable[..., Any]]:
    """Count those of a row."""
    _check_rows(rows)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(types.intp, rows.lanes // _lanes_of_register(rows))

    return types.intp(rows), generate


@intrinsic
def lanes_of(typing_context: Any, rows: RowsType) -> tuple[Any, Callable[..., Any]]:
    """Count the numbers of a row."""
    _check_rows(rows)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(types.intp, rows.lanes)

    return types.intp(rows), generate


@intrinsic
def rows_from(typing_context: Any, rows: RowsType, row: types.Integer) -> tuple[Any, Callable[..., Any]]:
    """Return the rows from one on, so that a loop adds up no more than one index for all that it loads."""
    _check_rows(rows)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return rows(rows, types.intp), generate


def _lanes_of_register(rows: RowsType) -> int:
    return min(rows.lanes, 8 * _REGISTER // rows.dtype.bitwidth)


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
def at(typing_context: Any, table: types.Type, index: types.Integer) -> tuple[Any, Callable[..., Any]]:
    """Read an entry of a table or a one-dimensional array, without numba's look at the sign of the index."""
    is_array = isinstance(table, types.Array)
    if not isinstance(table, TableType) and not (is_array and table.ndim == 1 and table.layout == "C"):
        raise TypingError(f"entries are read from a table or a contiguous array of one dimension, not from {table}")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first = context.make_array(table)(context, builder, arguments[0]).data if is_array else arguments[0]
        return builder.load(builder.gep(first, [arguments[1]]))

    return table.dtype(table, types.intp), generate


@intrinsic
def gather(
    typing_context: Any, rows: RowsType, array: types.Array, i: types.Integer, j: types.Integer, k: types.Integer
) -> tuple[Any, Callable[..., Any]]:
    """Read elements (i, j, k), (i + 1, j, k) and so on of an array, one for each lane of ``rows``."""
    _check_rows(rows)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = _llvm_vector(rows)
        vector = ir.Constant(kind, ir.Undefined)
        for lane, address in enumerate(_column(context, builder, array, arguments[1:], kind.count)):
            vector = builder.insert_element(vector, builder.load(address), ir.Constant(ir.IntType(32), lane))
        return vector

    return Vector(rows.dtype, rows.lanes)(rows, array, types.intp, types.intp, types.intp), generate


@intrinsic
def scatter(
    typing_context: Any, array: types.Array, i: types.Integer, j: types.Integer, k: types.Integer, value: Vector
) -> tuple[Any, Callable[..., Any]]:
    """Write the lanes of a vector to elements (i, j, k), (i + 1, j, k) and so on of an array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        for lane, address in enumerate(_column(context, builder, array, arguments[:4], value.lanes)):
            builder.store(builder.extract_element(arguments[4], ir.Constant(ir.IntType(32), lane)), address)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, types.intp, value), generate


def _column(context: Any, builder: Any, array: types.Array, arguments: Any, count: int) -> Iterator[Any]:
    """Yield the addresses of elements (i, j, k), (i + 1, j, k) and so on."""
    address, strides = _address(context, builder, array, arguments)
    for lane in range(count):
        yield builder.bitcast(address, context.get_value_type(array.dtype).as_pointer())
        if lane + 1 < count:
            address = builder.gep(address, [strides[0]])


def _address(context: Any, builder: Any, array: types.Array, arguments: Any) -> tuple[Any, list[Any]]:
    """Return the address of element (i, j, k) of an array, given that and i, j and k, and the array's strides."""
    made = context.make_array(array)(context, builder, arguments[0])
    strides = cgutils.unpack_tuple(builder, made.strides)
    address = builder.bitcast(made.data, ir.IntType(8).as_pointer())
    for index, stride in zip(arguments[1:], strides, strict=True):
        address = builder.gep(address, [builder.mul(index, stride)])
    return address, strides


@intrinsic
def fetch(
    typing_context: Any, array: types.Array, i: types.Integer, j: types.Integer, k: types.Integer
) -> tuple[Any, Callable[..., Any]]:
    """Ask for the cache line of an element of an array of three dimensions, and do not wait for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, _ = _address(context, builder, array, arguments)
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [address, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, types.intp), generate


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
