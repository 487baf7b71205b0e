"""``zobench run``: the suite, the same as ``pytest --benchmark``."""

from __future__ import annotations

import argparse
from typing import Any

from bench.scales import SCALES
from bench.suite import GROUPS

EXAMPLES = """examples:
  zobench run                           everything at the default scale, about five minutes
  zobench run --scale smoke             the quickest look
  zobench run --only memory,formulas    a part of it
  zobench run --model my.models:tiny --input-shape 3,32,32     your own model
"""
_PYTEST_USAGE = 4


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = commands.add_parser(
        "run",
        help="measure this device and write a report",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scale", default="default", help=f"one of {', '.join(SCALES)}")
    parser.add_argument("--only", metavar="GROUPS", help=f"comma-separated: {', '.join(GROUPS)}")
    parser.add_argument("--out", metavar="DIR", help="default: zobench-results/<time>")
    parser.add_argument(
        "--model", help="in place of the scale's: NAME, torchvision:NAME, or package.module:factory"
    )
    parser.add_argument("--input-shape", metavar="SHAPE", help="of --model, e.g. 3,224,224")
    parser.add_argument("--device", help="where steps run: auto, cpu (default) or cuda")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Hand over to pytest."""
    import pytest

    # pytest warns that the plug-in's package is loaded already, which this command must do; a
    # folder whose pytest settings make errors of warnings would end the run there
    words = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    words += ["--benchmark", "--scale", arguments.scale]
    for option in ("only", "out", "model", "input_shape", "device"):
        if getattr(arguments, option) is not None:
            words += [f"--{option.replace('_', '-')}", getattr(arguments, option)]
    code = int(pytest.main(words))
    return 2 if code == _PYTEST_USAGE else code
