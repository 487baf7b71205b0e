"""``zobench serve`` with small limits of its broker: ``served_command.py LIMITS WORDS...``.

LIMITS is JSON of :class:`zo_core.federation.mqtt.limits.Limits`.  At its end the program prints the
largest resident memory that it had, in MiB, and what the broker turned away, as JSON.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Any

from bench.__main__ import main
from bench.cli import embedded
from bench.workloads.wire import peak_mib
from zo_core.federation.mqtt.broker import EmbeddedBroker
from zo_core.federation.mqtt.limits import Limits

brokers: list[EmbeddedBroker] = []


def limited(*arguments: Any, limits: Limits, **options: Any) -> EmbeddedBroker:
    brokers.append(EmbeddedBroker(*arguments, limits=limits, **options))
    return brokers[0]


if __name__ == "__main__":
    chosen = Limits(**json.loads(sys.argv[1]))
    embedded.EmbeddedBroker = partial(limited, limits=chosen)  # type: ignore[misc, assignment]
    status = main(sys.argv[2:])
    print(json.dumps({"peak_mib": peak_mib("self"), "turned_away": brokers[0].turned_away}))
    sys.exit(status)
