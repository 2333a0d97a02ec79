"""Results whose text is sound and which are wrong all the same, made of a right one."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
from ibm_quantum_schemas.common import CompressedTensorModel
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult, SamplerPubResult
from qiskit_ibm_runtime.json import RuntimeDecoder, RuntimeEncoder

Fields = dict[str, np.ndarray]
_FLIPS = "measurement_flips."


def make_wrong(text: str, program: str, how: str) -> str:
    """Alter the text of a result: ``how`` is one of :data:`WAYS`."""
    if how in WHOLE:
        return (_reordered_executor if program == "executor" else _reordered)(text, WHOLE[how])
    if program == "executor":
        return _alter_executor(text, FIELDS[how])
    return _alter(text, FIELDS[how])


def _shots(times: float) -> Callable[[Fields], Fields]:
    def change(fields: Fields) -> Fields:
        return {name: _resized(values, times) for name, values in fields.items()}

    return change


def _resized(values: np.ndarray, times: float) -> np.ndarray:
    count = values.shape[-2]
    wanted = 1 if times == 0 else max(1, int(count * times))
    return np.take(values, np.arange(wanted) % count, axis=-2)


def _twos(fields: Fields) -> Fields:
    """Set a value that a bit cannot have; samplers' fields are bits, unpacked to one number each."""
    changed = {name: values.astype(np.uint8) for name, values in fields.items()}
    first = next(iter(changed.values()))
    first.flat[0] = 2
    return changed


def _extra(fields: Fields) -> Fields:
    return {**fields, "another": next(iter(fields.values()))}


def _missing(fields: Fields) -> Fields:
    kept = dict(fields)
    kept.pop(next(name for name in fields if not name.startswith(_FLIPS)))
    return kept


def _renamed(fields: Fields) -> Fields:
    return {f"{name}x": values for name, values in fields.items()}


def _rows(fields: Fields) -> Fields:
    return {name: values[..., :1, :, :] if values.ndim > 2 else values for name, values in fields.items()}


def _wider(fields: Fields) -> Fields:
    return {name: np.concatenate([values, values[..., :1]], axis=-1) for name, values in fields.items()}


FIELDS: dict[str, Callable[[Fields], Fields]] = {
    "one shot": _shots(0),
    "half the shots": _shots(0.5),
    "ten times the shots": _shots(10),
    "bits of 2": _twos,
    "an extra register": _extra,
    "a missing register": _missing,
    "a renamed register": _renamed,
    "one row": _rows,
    "one bit more": _wider,
}
WHOLE: dict[str, Callable[[list], list]] = {
    "fewer pubs": lambda pubs: pubs[:-1],
    "more pubs": lambda pubs: [*pubs, pubs[-1]],
    "reordered pubs": lambda pubs: pubs[::-1],
}
VALUES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "beyond one": lambda evs: evs + 3.0,
    "NaN": lambda evs: np.where(np.arange(evs.size).reshape(evs.shape) == 0, np.nan, evs),
    "one value less": lambda evs: evs[..., :-1],
}
WAYS = (*FIELDS, *WHOLE)


def make_wrong_values(text: str, how: str) -> str:
    """Alter the expectation values of an estimator's result (program ``estimator``)."""
    decoded = json.loads(text, cls=RuntimeDecoder)
    pubs = []
    for pub in decoded:
        evs, stds = (VALUES[how](np.asarray(pub.data[name])) for name in ("evs", "stds"))
        stds = stds if how == "one value less" else np.asarray(pub.data.stds)
        pubs.append(PubResult(DataBin(evs=evs, stds=stds, shape=evs.shape), pub.metadata))
    return json.dumps(PrimitiveResult(pubs, metadata=decoded.metadata), cls=RuntimeEncoder)


def _alter(text: str, change: Callable[[Fields], Fields]) -> str:
    decoded = json.loads(text, cls=RuntimeDecoder)
    pubs = []
    for pub in decoded:
        bits = {name: value.to_bool_array(order="little").astype(np.uint8) for name, value in pub.data.items()}
        fields = change(bits)
        arrays = {name: _packed(values) for name, values in fields.items()}
        shape = next(iter(arrays.values())).shape if arrays else pub.data.shape
        pubs.append(SamplerPubResult(DataBin(**arrays, shape=shape), pub.metadata))
    return json.dumps(PrimitiveResult(pubs, metadata=decoded.metadata), cls=RuntimeEncoder)


def _packed(values: np.ndarray) -> BitArray:
    """Pack bits; a value of 2 becomes a bit above the register's width."""
    packed = BitArray.from_bool_array(values > 0, order="little")
    if (values > 1).any():
        packed.array[..., 0] |= 1 << (packed.num_bits % 8)
    return packed


def _alter_executor(text: str, change: Callable[[Fields], Fields]) -> str:
    def altered(item: dict) -> dict:
        tensors = {name: CompressedTensorModel.model_validate(value) for name, value in item["results"].items()}
        fields = change({name: tensor.to_numpy() for name, tensor in tensors.items()})
        results = {name: CompressedTensorModel.from_numpy(values).model_dump() for name, values in fields.items()}
        return {**item, "results": results}

    return _reordered_executor(text, lambda items: [altered(item) for item in items])


def _reordered(text: str, change: Callable[[list], list]) -> str:
    decoded = json.loads(text, cls=RuntimeDecoder)
    return json.dumps(PrimitiveResult(change(list(decoded)), metadata=decoded.metadata), cls=RuntimeEncoder)


def _reordered_executor(text: str, change: Callable[[list], list]) -> str:
    model = json.loads(text)
    return json.dumps({**model, "data": change(model["data"])})
