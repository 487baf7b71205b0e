"""zo-stream/1: known answers, and laws against a slow scalar implementation."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import slow_stream
from hypothesis import given, settings
from hypothesis import strategies as st

from zo_core import directions, philox, seeds
from zo_core.kernels.whole_direction import whole_direction
from zo_core.philox import Purpose
from zo_core.seeds import check_seeds, derive_round_seeds

SEED = 0xFEDCBA9876543210
ONES = 0xFFFFFFFF
WORDS = st.integers(0, ONES)
SEEDS = st.integers(0, 2**64 - 1)

KNOWN_ANSWERS = [  # Random123's kat_vectors for philox4x32-10
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_philox_gives_the_published_words(
    counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    assert tuple(int(w) for w in philox.philox4x32(counter, key)) == words  # type: ignore[arg-type]
    assert slow_stream.philox(counter, key) == words  # the reference of this test stands too


@given(st.tuples(WORDS, WORDS, WORDS, WORDS), st.tuples(WORDS, WORDS))
@settings(max_examples=60)
def test_philox_equals_the_scalar_implementation(
    counter: tuple[int, int, int, int], key: tuple[int, int]
) -> None:
    assert tuple(map(int, philox.philox4x32(counter, key))) == slow_stream.philox(counter, key)


@pytest.mark.parametrize("seed", [0, 1, 0xFFFFFFFF, 1 << 32, SEED, 2**64 - 1])
@pytest.mark.parametrize("tensor", [0, 1, ONES])
def test_signs_lie_as_the_standard_says(seed: int, tensor: int) -> None:
    assert directions.rademacher(seed, tensor, 261).tolist() == slow_stream.signs(seed, tensor, 261)


def test_signs_are_int8_of_plus_and_minus_one() -> None:
    z = directions.rademacher(SEED, 3, 1000)
    assert z.dtype == np.int8
    assert set(z.tolist()) == {-1, 1}


@given(SEEDS, st.integers(0, 700), st.integers(0, 300))
@settings(max_examples=40)
def test_signs_can_be_had_from_any_start(seed: int, start: int, n: int) -> None:
    whole = directions.rademacher(seed, 5, 1000)
    assert np.array_equal(directions.rademacher(seed, 5, n, start), whole[start : start + n])


@pytest.mark.parametrize("chunk", [1, 31, 32, 33, 127, 128, 129, 500])
def test_chunks_make_up_the_whole(chunk: int) -> None:
    starts = range(0, 700, chunk)
    for draw in (directions.rademacher, directions.gaussian):
        parts = [draw(SEED, 2, min(chunk, 700 - start), start) for start in starts]
        assert np.array_equal(np.concatenate(parts), draw(SEED, 2, 700))


@pytest.mark.parametrize("start", [2**39 - 3, 128 * 2**32 - 130, 2**60 + 7])
def test_blocks_beyond_2_to_the_32_carry_into_the_second_counter_word(start: int) -> None:
    expected = [slow_stream.sign(SEED, 9, start + i) for i in range(200)]
    assert directions.rademacher(SEED, 9, 200, start).tolist() == expected


def test_tensors_have_different_signs() -> None:
    drawn = {directions.rademacher(SEED, tensor, 128).tobytes() for tensor in range(200)}
    assert len(drawn) == 200


def test_signs_are_balanced_and_uncorrelated_within_five_sigma() -> None:
    n, count = 1 << 16, 6
    z = np.stack([directions.rademacher(seed, 0, n) for seed in range(count)]).astype(np.int64)
    products = [z[i] @ z[j] for i, j in itertools.combinations(range(count), 2)]
    lagged = [row[:-lag] @ row[lag:] for row in z for lag in (1, 32, 128)]
    assert max(map(abs, [*z.sum(axis=1), *products, *lagged])) < 5 * math.sqrt(n)


# --- seeds ---------------------------------------------------------------------------------------


@given(SEEDS, WORDS, WORDS, WORDS)
@settings(max_examples=60)
def test_derive_seed_is_the_first_two_words(
    run_seed: int, round_index: int, client: int, direction: int
) -> None:
    derived = seeds.derive_seed(
        run_seed, round_index=round_index, client_id=client, direction=direction
    )
    assert derived == slow_stream.direction_seed(run_seed, round_index, client, direction)


@given(SEEDS, WORDS, st.lists(WORDS, max_size=4), st.integers(0, 4))
@settings(max_examples=30)
def test_a_rounds_seeds_are_those_of_each_client_and_direction(
    run_seed: int, round_index: int, clients: list[int], directions: int
) -> None:
    derived = derive_round_seeds(
        run_seed, round_index=round_index, client_ids=clients, directions=directions
    )
    assert derived == [
        slow_stream.direction_seed(run_seed, round_index, client, direction)
        for client, direction in itertools.product(clients, range(directions))
    ]


@pytest.mark.parametrize("clients", [[0, -1], [1 << 32, 5], [1.5]])
def test_a_rounds_clients_out_of_range_are_refused_not_masked(clients: list[Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        derive_round_seeds(1, round_index=0, client_ids=clients, directions=2)


@pytest.mark.parametrize("seeds", [[0, -1], [1 << 64], [1, 1.5], [True, "2"]])
def test_seeds_out_of_range_are_refused_not_masked(seeds: list[Any]) -> None:
    with pytest.raises(ValueError, match="seed must be"):
        check_seeds(seeds)


def test_neighbouring_rounds_clients_and_directions_never_share_a_seed() -> None:
    derived = {
        seeds.derive_seed(run, round_index=r, client_id=c, direction=d)
        for run, r, c, d in itertools.product((0, 1), range(10), range(10), range(10))
    }
    assert len(derived) == 2000


ARGUMENTS = {"run_seed": 64, "round_index": 32, "client_id": 32, "direction": 32}


@pytest.mark.parametrize(("name", "bits"), ARGUMENTS.items())
def test_derive_seed_takes_the_ends_of_each_range_and_nothing_beyond(name: str, bits: int) -> None:
    good: dict[str, Any] = dict.fromkeys(ARGUMENTS, 0)
    for value in (0, (1 << bits) - 1):
        seeds.derive_seed(**{**good, name: value})
    for value in (-1, 1 << bits, 1 << 80):
        with pytest.raises(ValueError, match=rf"{name} must be in"):
            seeds.derive_seed(**{**good, name: value})


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("value", [1.5, 1.0, float("nan"), "1"])
def test_derive_seed_refuses_what_is_no_integer(name: str, value: object) -> None:
    """1.5 masked to 1 would give two clients one direction."""
    good: dict[str, Any] = dict.fromkeys(ARGUMENTS, 0)
    with pytest.raises(ValueError, match=rf"{name} must be an integer"):
        seeds.derive_seed(**{**good, name: value})


def test_derive_seed_takes_numpy_integers() -> None:
    plain = seeds.derive_seed(7, round_index=1, client_id=2, direction=3)
    assert plain == seeds.derive_seed(
        np.uint64(7),  # type: ignore[arg-type]
        round_index=np.int32(1),  # type: ignore[arg-type]
        client_id=np.int64(2),  # type: ignore[arg-type]
        direction=np.uint8(3),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (-1, 0, 4, 0),
        (1 << 64, 0, 4, 0),
        (0, -1, 4, 0),
        (0, 1 << 32, 4, 0),
        (0, 0, -1, 0),
        (0, 0, 4, -1),
        (0, 0, 4, 1 << 63),
    ],
)
def test_a_stream_argument_out_of_range_is_an_error(arguments: tuple[int, int, int, int]) -> None:
    for draw in (directions.rademacher, directions.gaussian):
        with pytest.raises(ValueError, match="must be in"):
            draw(*arguments)


# --- Gaussian and sphere -------------------------------------------------------------------------


def test_gaussians_are_box_muller_rounded_to_two_to_the_minus_16() -> None:
    z = directions.gaussian(SEED, 4, 403)
    scalar = np.array([slow_stream.gaussian_element(SEED, 4, i) for i in range(403)])
    assert np.array_equal(z, np.rint(z * 65536) / 65536)
    assert np.abs(z - scalar).max() <= 2.0**-17 * (1 + 1e-9)  # half a quantum, and libm's last bit


def test_gaussians_have_the_moments_of_a_standard_normal() -> None:
    n = 1 << 16
    z = directions.gaussian(SEED, 0, n)
    assert abs(z.sum()) < 5 * math.sqrt(n)
    assert abs((z**2).sum() - n) < 5 * math.sqrt(2 * n)
    assert abs((z**4).sum() - 3 * n) < 5 * math.sqrt(96 * n)


def test_a_gaussian_is_no_function_of_the_signs_words() -> None:
    signs = slow_stream.philox((0, 0, 0, 0), slow_stream.key_of(SEED))
    assert signs != slow_stream.philox((0, 0, 0, 1), slow_stream.key_of(SEED))


@pytest.mark.parametrize("sizes", [(1,), (5, 0, 3), (1000, 17, 128, 3000)])
def test_a_sphere_direction_has_the_norm_root_d(sizes: tuple[int, ...]) -> None:
    factor = directions.sphere_factor(SEED, sizes)
    z = [directions.sphere(SEED, t, n, factor=factor) for t, n in enumerate(sizes)]
    d = sum(sizes)
    norm = math.sqrt(math.fsum(float(v) ** 2 for part in z for v in part))
    assert abs(norm - math.sqrt(d)) <= 2.0**-17 * math.sqrt(d) * 1.01
    assert all(np.array_equal(part, np.rint(part * 65536) / 65536) for part in z)


def test_the_sphere_factor_does_not_depend_on_the_chunk() -> None:
    factors = {
        directions.sphere_factor(SEED, (100, 7, 900), chunk=chunk) for chunk in (1, 33, 5000)
    }
    assert len(factors) == 1


@pytest.mark.parametrize("sizes", [(1,), (5, 0, 3), (1000, 17, 128, 3001)])
@pytest.mark.parametrize("seed", [0, SEED, 2**64 - 1])
def test_a_direction_drawn_whole_has_the_bits_of_its_tensors(
    seed: int, sizes: tuple[int, ...]
) -> None:
    factor = directions.sphere_factor(seed, sizes)
    expected = {
        "gaussian": [directions.gaussian(seed, t, n) for t, n in enumerate(sizes)],
        "sphere": [directions.sphere(seed, t, n, factor=factor) for t, n in enumerate(sizes)],
    }
    for distribution, parts in expected.items():
        whole = whole_direction(distribution, seed, sizes)
        assert len(whole) == len(parts)
        for found, part in zip(whole, parts, strict=True):
            assert found.dtype == part.dtype
            assert np.array_equal(found, part)


# --- other purposes ------------------------------------------------------------------------------


def test_the_purposes_are_the_standards_four_letters() -> None:
    names = {Purpose.COHORT: "COHO", Purpose.PARTITION: "PART", Purpose.INITIAL_WEIGHTS: "INIT"}
    names |= {Purpose.SHUFFLE: "SHUF", Purpose.CANDIDATE_SEEDS: "KSED"}
    names |= {Purpose.DIRECTION_SEED: "ZOSE", Purpose.WIDTH: "WIDT"}
    assert {p: int.from_bytes(name.encode(), "big") for p, name in names.items()} == {
        p: int(p) for p in Purpose
    }


def test_words_are_those_of_block_a_b_purpose() -> None:
    words = philox.random_words(SEED, Purpose.SHUFFLE, 10, a=3, b=4)
    blocks = [slow_stream.philox((i, 3, 4, 0x53485546), slow_stream.key_of(SEED)) for i in range(3)]
    assert words.tolist() == [word for block in blocks for word in block][:10]


def test_purposes_never_coincide() -> None:
    drawn = [philox.random_words(SEED, purpose, 400, a=1, b=2) for purpose in Purpose]
    words = np.concatenate(drawn).tolist()
    pairs = set(zip(words[::2], words[1::2], strict=True))  # 64 bits: a chance hit is hopeless
    assert len(pairs) == len(words) // 2


@pytest.mark.parametrize("argument", ["a", "b"])
@pytest.mark.parametrize("value", [-1, 1 << 32])
def test_a_free_counter_word_out_of_range_is_an_error(argument: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{argument} must be in"):
        philox.random_words(0, Purpose.COHORT, 4, **{argument: value})


def test_uniforms_lie_strictly_between_0_and_1_and_are_exact() -> None:
    u = philox.random_uniform(SEED, Purpose.PARTITION, 1000)
    words = philox.random_words(SEED, Purpose.PARTITION, 1000)
    assert [(int(w) * 2 + 1) / 2**33 for w in words] == u.tolist()
    assert 0 < u.min() < u.max() < 1


@given(SEEDS, st.integers(0, 60), st.integers(1, 5))
@settings(max_examples=30)
def test_permutations_are_permutations(seed: int, n: int, rows: int) -> None:
    orders = philox.random_permutations(seed, Purpose.SHUFFLE, n, rows=rows)
    assert orders.shape == (rows, n)
    assert all(sorted(row.tolist()) == list(range(n)) for row in orders)


def test_rows_of_permutations_do_not_depend_on_later_rows_and_differ() -> None:
    few = philox.random_permutations(SEED, Purpose.SHUFFLE, 20, rows=2)
    many = philox.random_permutations(SEED, Purpose.SHUFFLE, 20, rows=50)
    assert np.array_equal(few, many[:2])
    assert np.array_equal(philox.random_permutation(SEED, Purpose.SHUFFLE, 20), many[0])
    assert len({row.tobytes() for row in many}) == 50


def test_all_permutations_of_three_are_equally_likely_within_five_sigma() -> None:
    rows = 6000
    orders = philox.random_permutations(SEED, Purpose.COHORT, 3, rows=rows)
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 6
    assert np.abs(counts - rows / 6).max() < 5 * math.sqrt(rows * 5 / 36)
