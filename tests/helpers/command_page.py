"""The page of all commands and options, docs/command-line.md, made from the parsers.

`python tests/helpers/command_page.py` writes it again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

from bench.cli.commands import build_parser
from bench.cli.parser import CommandParser, Group

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
REFRESH = "python tests/helpers/command_page.py"
INTRODUCTION = f"""\
# Command line

All commands and options, as `zobench COMMAND --help` prints them. Written by `{REFRESH}`.

- An option cannot be abbreviated. A misspelt command, option or choice gets a suggestion.
- Every command takes `--json` (the result as JSON, all other output to stderr), `--quiet` (the
  result only) and `--verbose` (more; errors with traceback).
- Exit codes: 0 done; 1 a check or a threshold failed; 2 wrong usage; 3 something is not installed
  or not available on this machine; 130 interrupted.

## Options in a file

`zobench train --config FILE` and `zobench serve --config FILE` read options from a TOML file. Its
keys are the names of the options without the dashes. The command line overrides the file. An
unknown key is an error. `--dry-run` prints all options of a run as such a file:

```sh
zobench train --rounds 100 --split 50/50 --dry-run > run.toml
```

```sh
zobench train --config run.toml --run-seed 3
```

## Shell completion

[shtab](https://docs.iterative.ai/shtab/) writes the completion of bash, zsh, fish or tcsh:

```sh
pip install "zobench[completion]"
shtab --shell bash bench.__main__.build_parser > ~/.local/share/bash-completion/completions/zobench
```
"""


def page() -> str:
    commands = parsers()
    parts = [INTRODUCTION]
    seen: dict[str, tuple[str, set[str]]] = {}  # title of options -> command and rows
    for group in Group:
        parts.append(f"## {group.value}\n")
        for name, parser in sorted(commands.items()):
            if parser.group is group:
                parts += section(name, parser, seen)
    return "\n".join(parts)


def parsers() -> dict[str, CommandParser]:
    (commands,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(commands.choices)


def section(
    name: str, parser: CommandParser, seen: dict[str, tuple[str, set[str]]]
) -> Iterator[str]:
    usage = parser.format_usage().removeprefix("usage: ").strip()
    yield f"### zobench {name}\n\n```text\n{usage}\n```\n\n{parser.description}\n"
    for group in parser._action_groups:
        rows = [row(parser, a) for a in group._group_actions if is_shown(a)]
        if not rows:
            continue
        title = str(group.title)
        other, known = seen.setdefault(title, (name, set(rows)))
        if title in ("positional arguments", "options") or other == name:
            left = rows
        else:
            left = [row for row in rows if row not in known]
            yield f"Options “{title}” as of `zobench {other}`{', but:' if left else '.'}\n"
        if left:
            heading = "" if title in ("positional arguments", "options") else f"{title}:\n\n"
            yield f"{heading}| option | meaning |\n|---|---|\n" + "\n".join(left) + "\n"
    examples = dedent(str(parser.epilog).removeprefix("examples:\n")).rstrip()
    yield f"```text\n{examples}\n```\n"


def is_shown(action: argparse.Action) -> bool:
    return action.dest not in ("help", "json", "quiet", "verbose")


def row(parser: CommandParser, action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else parser._get_formatter()._format_args(action, "X")
    metavar = action.metavar or action.dest.upper()
    if action.choices and action.metavar is None:
        metavar = ",".join(map(str, action.choices))
    name = ", ".join(action.option_strings) or str(metavar)
    shown = f" {metavar}" if action.option_strings and value else ""
    text = (str(action.help) % {"prog": parser.prog}).replace("<", "&lt;")
    return f"| `{name}{shown}` | {text} |".replace("|dL|", "\\|dL\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
