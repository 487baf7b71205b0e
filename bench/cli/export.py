"""``zobench export``: export a model for clients that train without torch.

The folder contains the graph (ONNX, with every weight as an input), the weights (safetensors) and a
manifest with the checksums of both. The client needs the base install and the extra [edge].
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli import Group, add_command, print_json, status_console, user_errors
from bench.format import format_bytes
from zo_core.model_names import model_label, with_input_shape

if TYPE_CHECKING:
    from zo_core.edge.manifest import Manifest

EXAMPLES = """\
  zobench export --model cnn --out exported/cnn       a model of the suite
  zobench export --model torchvision:mobilenet_v3_small --input-shape 3,64,64 --out exported/mobile
  zobench export --model my.models:tiny --input-shape 3,32,32 --out exported/tiny
"""


def register(commands: Any) -> None:
    """Add the sub-command's parser."""
    parser = add_command(commands, "export", __doc__, EXAMPLES, group=Group.TRAIN)
    parser.add_argument(
        "--model",
        required=True,
        metavar="NAME",
        help="model to export: NAME, torchvision:NAME, timm:NAME, hf:FOLDER or"
        " package.module:factory",
    )
    parser.add_argument(
        "--input-shape",
        metavar="SHAPE",
        help="shape of one input, e.g. 3,224,224; default: the model's own",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--plain",
        action="store_true",
        help="keep the exact weights, not rounded to the grid",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Build the model, export it and print what was written."""
    from rich.text import Text

    console = status_console(arguments)
    with user_errors(), console.status(Text(f"exporting {arguments.model}")):
        manifest = _export(arguments)
    files = {path.name: path.stat().st_size for path in sorted(arguments.out.iterdir())}
    if arguments.json:
        print_json({"folder": str(arguments.out), "digest": manifest.digest, "files": files})
        return 0
    for name, count in files.items():
        console.print(f"{name:<22}{format_bytes(count):>10}")
    print(
        f"{arguments.out}: {len(manifest.parameters)} trainable tensors, digest "
        f"{manifest.digest[:16]}"
    )
    return 0


def _export(arguments: argparse.Namespace) -> Manifest:
    from bench.models.load import load_model
    from zo_core import snap_
    from zo_core.edge.export import export_model

    model = with_input_shape(arguments.model, arguments.input_shape)
    loaded = load_model(model)
    return export_model(
        loaded.module,
        arguments.out,
        example=loaded.batch(2),
        name=model_label(model),
        grid=None if arguments.plain else snap_(loaded.module),
    )
