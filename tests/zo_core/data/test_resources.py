"""Who has high resources."""

from __future__ import annotations

import pytest

from zo_core.data import assign_resources, parse_split


@pytest.mark.parametrize(
    ("text", "share"), [("10/90", 0.1), ("50/50", 0.5), ("0/100", 0.0), ("12.5/87.5", 0.125)]
)
def test_a_split_is_parsed_into_the_high_share(text: str, share: float) -> None:
    assert parse_split(text) == share


@pytest.mark.parametrize("text", ["", "10", "10/80", "ten/90", "10/90/0", "-10/110", "nan/nan"])
def test_a_split_that_does_not_parse_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=f"add up to 100, got {text!r}; for instance '10/90'"):
        parse_split(text)


def test_the_number_of_high_slots_is_the_share_and_the_seed_decides_which() -> None:
    first, again, other = (assign_resources(seed, 50, 0.1) for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == len(other) == 5
    assert first <= set(range(50))
    assert assign_resources(1, 50, 0.0) == frozenset()
    assert assign_resources(1, 50, 1.0) == set(range(50))


def test_each_slot_is_as_likely_as_any_other() -> None:
    runs, counts = 2000, [0] * 10
    for seed in range(runs):
        for slot in assign_resources(seed, 10, 0.3):
            counts[slot] += 1
    five_errors = 5 * (runs * 0.3 * 0.7) ** 0.5
    assert all(abs(count - 0.3 * runs) < five_errors for count in counts)


@pytest.mark.parametrize(
    ("clients", "share", "message"),
    [(50, 1.1, r"must be in \[0, 1\], got 1.1"), (3, 0.1, "of 3 clients rounds to no client")],
)
def test_a_share_that_cannot_be_is_an_error(clients: int, share: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        assign_resources(0, clients, share)
