"""Training algorithms: one method per file and one row per algorithm.

``steps`` contains what methods share, ``methods`` the paper's methods, ``baselines`` what they are
compared with.  The registry loads an algorithm's file when it is first used.  Nothing below imports
the registry, so this package resolves its names when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zo_core.algorithms.configs import taken_by, train_config
    from zo_core.algorithms.registry import ALGORITHMS, build_algorithm

__all__ = ["ALGORITHMS", "build_algorithm", "taken_by", "train_config"]

_OF_CONFIGS = ("taken_by", "train_config")


def __getattr__(name: str) -> Any:
    if name in __all__:
        from zo_core.algorithms import configs, registry

        return getattr(configs if name in _OF_CONFIGS else registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
