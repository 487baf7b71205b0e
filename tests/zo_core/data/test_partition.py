"""Laws of the partition, and its slow obvious reference."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zo_core.data import Partition, dirichlet_partition
from zo_core.data.dirichlet import dirichlet_shares
from zo_core.data.partition import draw_labels
from zo_core.data.partition_stream import Use, client_words
from zo_core.philox import Purpose, random_permutation, random_uniform, random_words


def _labels(items: int, classes: int) -> np.ndarray:
    return np.arange(items) * 7 % classes


def _everything(shards: Partition) -> np.ndarray:
    return np.concatenate([shards.train.ravel(), shards.holdout.ravel(), shards.dropped])


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 20), st.integers(0, 11)),
    classes=st.integers(1, 6),
    alpha=st.sampled_from([1e-3, 0.1, 1.0, 1e6]),
    holdout_share=st.sampled_from([0.0, 0.1, 0.5, 0.99]),
    run_seed=st.integers(0, 2**64 - 1),
)
def test_every_item_stands_in_one_place_and_shards_are_equal(
    shape: tuple[int, int, int], classes: int, alpha: float, holdout_share: float, run_seed: int
) -> None:
    clients, per_client, remainder = shape
    labels = _labels(clients * per_client + remainder % clients, classes)
    shards = dirichlet_partition(
        labels, clients=clients, alpha=alpha, holdout_share=holdout_share, run_seed=run_seed
    )
    held = math.floor(per_client * holdout_share)
    assert shards.holdout.shape == (clients, held)
    assert shards.train.shape == (clients, per_client - held)
    assert shards.dropped.shape == (remainder % clients,)
    assert np.array_equal(np.sort(_everything(shards)), np.arange(len(labels)))
    own = np.concatenate([shards.train, shards.holdout], axis=1)
    counted = [np.bincount(labels[row], minlength=labels.max() + 1) for row in own]
    assert np.array_equal(shards.label_counts, counted)


def test_the_same_seed_gives_the_same_partition_and_another_seed_another() -> None:
    first, again, other = (
        dirichlet_partition(_labels(1000, 10), clients=9, alpha=0.1, run_seed=seed)
        for seed in (3, 3, 4)
    )
    assert np.array_equal(_everything(first), _everything(again))
    assert not np.array_equal(_everything(first), _everything(other))


def _slow_partition(
    labels: np.ndarray, *, clients: int, alpha: float, held: int, run_seed: int
) -> tuple[list[list[int]], list[list[int]], list[int]]:
    """One label at a time, from the rule's words: plain lists, no search, no runs."""
    classes = range(int(labels.max()) + 1)
    queues = {}
    for c in classes:
        members = [i for i, label in enumerate(labels) if label == c]
        order = random_permutation(run_seed, Purpose.PARTITION, len(members), a=c, b=Use.ITEM_ORDER)
        queues[c] = [members[i] for i in order]
    shares = dirichlet_shares(run_seed, clients=clients, classes=len(classes), alpha=alpha)
    train, holdout = [], []
    for k in range(clients):
        size = len(labels) // clients
        shard = []
        for u in random_uniform(run_seed, Purpose.PARTITION, size, a=k, b=Use.LABELS):
            weights = [float(shares[k, c]) if queues[c] else 0.0 for c in classes]
            if sum(weights) == 0.0:
                weights = [float(len(queues[c])) for c in classes]
            sums = list(itertools.accumulate(weights))
            shard.append(queues[next(c for c in classes if sums[c] > u * sums[-1])].pop(0))
        words = random_words(run_seed, Purpose.PARTITION, 2 * size, a=k, b=Use.HOLDOUT).tolist()
        keys = [words[2 * i] + 2**32 * words[2 * i + 1] for i in range(size)]
        mixed = [item for _, item in sorted(zip(keys, shard, strict=True))]
        train.append(mixed[held:])
        holdout.append(mixed[:held])
    return train, holdout, sorted(itertools.chain(*queues.values()))


@pytest.mark.parametrize("alpha", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize(("items", "clients"), [(60, 5), (143, 7), (40, 40)])
def test_partition_equals_the_slow_reference(items: int, clients: int, alpha: float) -> None:
    labels, held = _labels(items, 6), items // clients // 4
    expected = _slow_partition(labels, clients=clients, alpha=alpha, held=held, run_seed=11)
    shards = dirichlet_partition(
        labels, clients=clients, alpha=alpha, holdout_share=0.25, run_seed=11
    )
    found = (shards.train.tolist(), shards.holdout.tolist(), shards.dropped.tolist())
    assert found == expected


def test_where_no_share_is_left_items_are_drawn_uniformly() -> None:
    labels = draw_labels(np.array([1.0, 0.0, 0.0]), np.array([2, 1, 3]), np.full(6, 0.5))
    # two of class 0; then 1 + 3 items: the middle is class 2, until 1 + 1 items: class 2 again
    assert labels.tolist() == [0, 0, 2, 2, 2, 1]


def test_shares_have_the_dirichlets_moments() -> None:
    clients, classes, alpha = 20_000, 10, 0.1
    shares = dirichlet_shares(1, clients=clients, classes=classes, alpha=alpha)
    variance = (1 / classes) * (1 - 1 / classes) / (classes * alpha + 1)
    four_errors = 4 * math.sqrt(variance / clients)
    assert np.abs(shares.mean(axis=0) - 1 / classes).max() < four_errors
    # a share is Beta(0.1, 0.9): its square's standard error is below 0.24 / sqrt(clients)
    assert np.abs(shares.var(axis=0) - variance).max() < 4 * 0.24 / math.sqrt(clients)
    assert np.abs(shares.sum(axis=1) - 1.0).max() < 1e-12


@pytest.mark.parametrize("alpha", [0.1, 0.5, 3.0])
def test_each_share_follows_its_beta_law(alpha: float) -> None:
    from scipy import stats

    shares = dirichlet_shares(2, clients=4000, classes=5, alpha=alpha)
    for share in shares.T:
        assert stats.kstest(share, stats.beta(alpha, 4 * alpha).cdf).pvalue > 1e-3


def test_with_unlimited_pools_label_shares_match_the_clients_draw() -> None:
    draws, plenty = 20_000, np.full(10, 10**9)
    shares = dirichlet_shares(5, clients=8, classes=10, alpha=0.1)
    for k, share in enumerate(shares):
        labels = draw_labels(share, plenty, random_uniform(5, Purpose.PARTITION, draws, a=k))
        deviation = np.sqrt(share * (1 - share) / draws)
        found = np.bincount(labels, minlength=10) / draws
        assert (np.abs(found - share) <= 4.5 * deviation + 1 / draws).all()


def test_a_clients_draw_does_not_depend_on_how_many_others_there_are() -> None:
    few, many = (dirichlet_shares(9, clients=k, classes=10, alpha=0.1) for k in (3, 500))
    assert np.array_equal(few, many[:3])


def test_small_alpha_is_skewed_and_large_alpha_is_even() -> None:
    largest = [
        dirichlet_partition(_labels(20_000, 10), clients=50, alpha=alpha, run_seed=0)
        .label_counts.max(axis=1)
        .mean()
        / 400
        for alpha in (0.1, 1e6)
    ]
    assert largest[0] > 0.5
    assert largest[1] < 0.2


def test_client_words_are_the_streams_words() -> None:
    rows = client_words(13, clients=4, n=11, use=Use.HOLDOUT)
    expected = [random_words(13, Purpose.PARTITION, 11, a=k, b=Use.HOLDOUT) for k in range(4)]
    assert np.array_equal(rows, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0.0}, "alpha must be > 0 and finite, got 0.0"),
        ({"alpha": -1.0}, "alpha must be > 0 and finite, got -1.0"),
        ({"alpha": math.nan}, "alpha must be > 0 and finite, got nan"),
        ({"clients": 101}, "at most the number of training samples, 100, got 101"),
        ({"clients": 0}, "clients must be >= 1, got 0"),
        ({"holdout_share": 1.0}, r"holdout_share must be in \[0, 1\), got 1.0"),
        ({"holdout_share": -0.1}, r"holdout_share must be in \[0, 1\), got -0.1"),
        ({"run_seed": -1}, "seed must be in"),
    ],
)
def test_a_partition_that_cannot_be_is_an_error(arguments: dict[str, float], message: str) -> None:
    good = {"clients": 10, "alpha": 0.1, "holdout_share": 0.1, "run_seed": 0}
    with pytest.raises(ValueError, match=message):
        dirichlet_partition(_labels(100, 10), **{**good, **arguments})
