"""The sweep over models of several libraries: a ZO step, a backprop step, ``fit``, an export.

``python tests/helpers/zoo.py docs/your-model.md`` runs it and writes its table; each model in a
process of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TASKS = ("zo", "backprop", "fit", "export")
BEGIN, END = "<!-- zoo: generated -->", "<!-- end of zoo -->"

_SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
_TEXT = {"vocab_size": 120, "max_position_embeddings": 64}
HF = {  # name -> config.json
    "vit": {
        **{"model_type": "vit", "architectures": ["ViTForImageClassification"], **_SMALL},
        **{"image_size": 32, "patch_size": 8, "intermediate_size": 64, "num_labels": 5},
    },
    "bert": {
        **{"model_type": "bert", "architectures": ["BertForSequenceClassification"], **_SMALL},
        **{"intermediate_size": 64, "num_labels": 5, **_TEXT},
    },
    "distilbert": {
        **{"model_type": "distilbert", "architectures": ["DistilBertForSequenceClassification"]},
        **{"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "num_labels": 5, **_TEXT},
    },
    "gpt2": {
        **{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 120},
        **{"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "use_cache": False},
    },
    "llama": {
        **{"model_type": "llama", "architectures": ["LlamaForCausalLM"], **_SMALL, **_TEXT},
        **{"intermediate_size": 64, "use_cache": False},
    },
    "t5": {
        **{"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "vocab_size": 120},
        **{"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2},
    },
}
MODELS = (
    "torchvision:resnet18@3x64x64",
    "torchvision:mobilenet_v3_small@3x64x64",
    "torchvision:efficientnet_b0@3x64x64",
    "torchvision:densenet121@3x64x64",
    "torchvision:squeezenet1_1@3x64x64",
    "torchvision:shufflenet_v2_x0_5@3x64x64",
    "torchvision:googlenet@3x64x64",
    "torchvision:swin_t@3x64x64",
    "torchvision:r3d_18@3x4x32x32",
    "torchvision:lraspp_mobilenet_v3_large@3x64x64",
    "timm:resnet10t@3x64x64",
    "timm:mobilenetv3_small_050@3x64x64",
    "timm:vit_tiny_patch16_224",
    "timm:convnext_atto@3x64x64",
    "timm:mixer_s32_224",
    *(f"hf:{name}" for name in HF),
    *(
        f"zoo_models:{name}"
        for name in ("conv1d", "conv3d", "lstm", "gru", "embeddings", "encoder")
    ),
    *(f"zoo_models:{name}" for name in ("spectral", "shared", "complex_weights", "quantised")),
)


@dataclass
class Row:
    """What a model did: "" where it worked, else why it was refused; "!" begins a traceback."""

    model: str
    parameters: int = 0
    found: dict[str, str] = field(default_factory=dict)  # by task

    @property
    def works(self) -> bool:
        """Whether it takes a step of both kinds and its memory is predicted."""
        return all(self.found.get(task) == "" for task in TASKS[:3])

    @property
    def has_traceback(self) -> bool:
        """Whether anything ended in an error that names no cause."""
        return any(reason.startswith("!") for reason in self.found.values())


def run_model(model: str) -> Row:
    """Try one model in a process of its own, in a folder with the configs of transformers."""
    with tempfile.TemporaryDirectory() as folder:
        for name, config in HF.items():
            (Path(folder) / name).mkdir()
            (Path(folder) / name / "config.json").write_text(json.dumps(config))
        paths = [str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(Path(__file__)), "--one", model],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    if done.returncode:
        return Row(model, found=dict.fromkeys(TASKS, f"!{done.stderr.strip().splitlines()[-1]}"))
    return Row(**json.loads(done.stdout.splitlines()[-1]))


def try_model(model: str) -> Row:
    """Try all tasks on a model in this process, at batch 1."""
    import torch

    from bench.fit.prediction import predict_tensors
    from bench.models.load import load_model
    from bench.workloads.steps import bind_step
    from zo_core import parameters
    from zo_core.edge.export import export_model

    def step(method: str) -> None:
        loaded = load_model(model)
        x, y = loaded.batch(4)
        bind_step(loaded.module, x, y, method, micro_batch=4)()

    def export() -> None:
        loaded = load_model(model)
        x, y = loaded.batch(1)
        with tempfile.TemporaryDirectory() as folder:
            export_model(loaded.module, Path(folder), example=(x, y), name="zoo")

    torch.set_num_threads(1)
    tasks: dict[str, Any] = {
        "zo": lambda: step("zo"),
        "backprop": lambda: step("fedavg"),
        "fit": lambda: predict_tensors(model, ["zo", "fedavg"], [1], None),
        "export": export,
    }
    row = Row(model)
    for name, task in tasks.items():
        try:
            task()
            row.found[name] = ""
        except ValueError as error:  # a refusal
            row.found[name] = str(error).splitlines()[0]
        except Exception as error:
            row.found[name] = f"!{type(error).__name__}: {error}".splitlines()[0]
    try:
        row.parameters = parameters(load_model(model).module).num_elements
    except ValueError:
        row.parameters = 0
    return row


def _cells(row: Row) -> list[str]:
    """Write a row's results: each reason once, without the lists of known names."""
    cells: list[str] = []
    for task in TASKS:
        reason = re.split(r"; (?:known:|use one of|train it|replace it)", row.found[task])[0]
        cells.append("refused" if reason and reason in cells else reason or "works")
    return cells


def table(rows: list[Row]) -> str:
    """Write the rows as a table in Markdown."""
    head = f"| model | parameters | {' | '.join(TASKS)} |\n|---|---|{'---|' * len(TASKS)}"
    lines = [
        f"| `{row.model}` | {row.parameters or ''} | {' | '.join(_cells(row))} |" for row in rows
    ]
    count = sum(row.works for row in rows)
    words = (
        f"{count} of {len(rows)} models take both steps; the others are refused with the reason."
    )
    return f"{BEGIN}\n{words}\n\n{head}\n" + "\n".join(lines) + f"\n{END}"


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        print(json.dumps(asdict(try_model(sys.argv[2]))))
    else:
        rows = []
        for each in MODELS:
            rows.append(run_model(each))
            print(rows[-1], flush=True)
        path = Path(sys.argv[1])
        before, _, rest = path.read_text().partition(BEGIN)
        path.write_text(before + table(rows) + rest.partition(END)[2])
