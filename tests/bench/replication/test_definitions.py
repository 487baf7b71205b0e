from __future__ import annotations

import pytest

from bench.replication.definitions import TABLES
from bench.replication.printed import TABLE_2
from bench.replication.rates import read_rates
from bench.replication.scales import TABLE_SCALES
from bench.replication.search import FIRST_SEED
from bench.replication.spec import Row, cells_of
from bench.replication.table_checks import check, names_at
from bench.sweeps.cell import Cell
from zo_core.algorithms import ALGORITHMS
from zo_core.data import DATASETS
from zo_core.models import MODELS


def cells(table: str, scale: str, runs: int = 1) -> list[tuple[Row, str, Cell]]:
    chosen = TABLE_SCALES[scale]
    return list(cells_of(TABLES[table], chosen, read_rates(chosen.rates), runs=runs))


@pytest.mark.parametrize("scale", TABLE_SCALES)
def test_every_cell_of_every_scale_has_a_config_that_can_be_trained(scale: str) -> None:
    for table in names_at(scale):
        check(table, scale)
        for _, _, cell in cells(table, scale):
            config = cell.config
            assert config.algorithm in ALGORITHMS
            assert config.dataset in DATASETS
            assert config.model in MODELS
            assert config.pivot % config.eval_every == 0, (table, config.pivot)  # a gain needs it
            assert config.run_seed < FIRST_SEED


def test_the_papers_recipe_is_what_the_paper_says() -> None:
    (config,) = {
        cell.config
        for row, split, cell in cells("table2", "paper")
        if row.name == "zowarmup" and split == "10/90"
    }
    assert (config.dataset, config.model, config.norm) == ("cifar10", "resnet18", "batch")
    assert (config.clients, config.warmup_cohort, config.alpha) == (50, 10, 0.1)
    assert (config.rounds, config.pivot) == (500, 200)
    assert config.high_share == 0.1
    papers = {"batch_size": 64, "local_epochs": 3, "directions": 3, "tau": 0.75, "epsilon": 1e-4}
    assert (papers | {"literal_tau": True}).items() <= config.to_json().items()


def test_both_distributions_share_their_warm_up_to_the_last_field() -> None:
    """What differs matters from the pivot on, so the warm-up models are the same bits."""
    for row, _, cell in cells("table6", "default", runs=3):
        other = next(
            c
            for r, _, c in cells("table6", "default", runs=3)
            if r != row and c.config.run_seed == cell.config.run_seed
        )
        ours, theirs = cell.config.to_json(), other.config.to_json()
        assert {name for name in ours if ours[name] != theirs[name]} == {"distribution"}


def test_tables_share_the_cells_that_they_have_in_common() -> None:
    keys = {
        name: {cell.key for _, _, cell in cells(name, "default")}
        for name in ("table2", "fig3", "fig4", "table3", "table7", "fig7")
    }
    assert keys["fig3"] <= keys["table2"]
    for name in ("fig4", "table3", "table7", "fig7"):
        assert keys[name] & keys["table2"], name


def test_a_method_that_knows_no_groups_is_trained_once_for_all_splits() -> None:
    scratch = {cell.key for row, _, cell in cells("table2", "default") if row.name == "fedkseed"}
    assert len(scratch) == 1


def test_seeds_come_one_after_the_other_so_that_a_part_of_a_table_is_fair() -> None:
    seeds = [cell.config.run_seed for _, _, cell in cells("table2", "default", runs=3)]
    assert seeds == sorted(seeds)


def test_a_table_is_refused_where_it_cannot_be_run() -> None:
    with pytest.raises(ValueError, match="table5 runs only at scale paper"):
        check("table5", "smoke")


def test_the_papers_values_stand_where_the_paper_has_them() -> None:
    assert TABLE_2["zowarmup"]["10/90"].mean == 54.3
    assert TABLE_2["heterofl"]["90/10"].std == 3.4
    assert TABLE_2["fedkseed"] == {}
