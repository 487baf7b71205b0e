"""A payload class declares its fields; the codec does the rest, without a copy of what is large."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pytest

from zo_core.payloads.core import (
    DenseWeights,
    NotFiniteError,
    Payload,
    PayloadError,
)
from zo_core.payloads.encoding import payload
from zo_core.payloads.fields import U32, Array, Floats

RUN: dict[str, Any] = {"run_id": 1, "round_index": 2}
LARGE = 1 << 20


@payload(kind=201)
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sketch(Payload):
    """What a new method might send: nothing but this declaration knows of it."""

    slot: U32
    chosen: Annotated[npt.NDArray[np.bool_], Array(np.bool_, "H")]
    table: Annotated[Floats, Array(np.float32, "H", "H", counted=True)]


SKETCH = Sketch(
    **RUN,
    slot=3,
    chosen=np.array([True, False, True]),
    table=np.arange(6, dtype=np.float32).reshape(2, 3),
)
BODY = SKETCH.encode()


def test_a_declaration_is_all_that_a_new_payload_needs() -> None:
    header = struct.pack("<2sBBQIIHHH", b"ZO", 1, 201, 1, 2, 3, 3, 2, 3)
    assert header + b"\5" + struct.pack("<6f", *range(6)) == BODY
    assert Payload.decode(BODY) == SKETCH
    assert SKETCH.num_bytes == len(BODY) == 4 + 8 + 4 + 4 + 3 * 2 + 1 + 6 * 4
    assert SKETCH.scalar_bytes == 6 * 4


def test_a_refusal_names_the_class_and_the_field() -> None:
    with pytest.raises(PayloadError, match=r"Sketch\.table: the payload is truncated: 24 bytes"):
        Payload.decode(BODY[:-1])
    with pytest.raises(PayloadError, match=r"Sketch\.chosen: the bitmap has bits beyond"):
        Payload.decode(BODY.replace(b"\5", b"\x0d"))
    with pytest.raises(NotFiniteError, match=r"Sketch\.table: .* not finite"):
        Payload.decode(replace(SKETCH, table=np.full_like(SKETCH.table, np.nan)).encode())


def test_an_array_has_the_axes_that_were_declared() -> None:
    with pytest.raises(ValueError, match="longer"):
        replace(SKETCH, table=SKETCH.table[0]).encode()


def test_two_classes_cannot_have_one_kind() -> None:
    with pytest.raises(ValueError, match=r"kind 1 is DenseWeights's; Sketch needs one not in \[1,"):
        payload(kind=1)(Sketch)
    assert isinstance(Payload.decode(BODY), Sketch)


def test_a_field_that_does_not_say_how_it_is_encoded_is_refused() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True, eq=False)
    class Bare(Payload):
        slot: int

    with pytest.raises(TypeError, match=r"Bare\.slot must be Annotated with a Field, got .*int"):
        payload(kind=202)(Bare)


def peak_bytes(call: Callable[[], Any]) -> int:
    tracemalloc.start()
    result = call()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del result
    return peak


DENSE = DenseWeights(**RUN, slot=0, samples=1, values=np.ones(LARGE, np.float32))


def test_the_size_of_a_dense_payload_is_known_without_its_bytes() -> None:
    assert peak_bytes(lambda: (DENSE.num_bytes, DENSE.scalar_bytes)) < 1 << 14
    assert DENSE.num_bytes == 32 + 4 * LARGE


def test_encoding_allocates_the_body_and_no_more() -> None:
    assert 0 <= peak_bytes(DENSE.encode) - DENSE.num_bytes < 1 << 14


def test_decoded_arrays_are_views_of_the_body() -> None:
    body = DENSE.encode()
    decoded = Payload.decode(body)
    assert isinstance(decoded, DenseWeights)
    assert np.shares_memory(decoded.values, np.frombuffer(body, np.uint8))


@pytest.mark.parametrize("values", [np.ones(8, np.float64), np.ones((8, 2), np.float32)[:, 0]])
def test_other_floats_and_strides_have_the_same_bytes(values: Any) -> None:
    expected = replace(DENSE, values=np.ones(8, np.float32))
    other = replace(DENSE, values=values)
    assert (other.encode(), other.num_bytes) == (expected.encode(), expected.num_bytes)
