"""griffe extension: doctests become code blocks, and Sphinx roles become code."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_DOCTEST = re.compile(r"(?:^[ ]*>>> .*\n?(?:^(?![ ]*>>> )[ ]*\S.*\n?)*)+", flags=re.MULTILINE)
_ROLE = re.compile(r":(?:func|class|meth|mod|attr|data):`~?([^`]+)`")


def readable(text: str) -> str:
    """Fence the doctests of a docstring and replace its roles by code."""
    fenced = _DOCTEST.sub(lambda doctest: f"```pycon\n{doctest.group().rstrip()}\n```\n", text)
    return _ROLE.sub(r"`\1`", fenced)


class ReadableDocstrings(Extension):
    """Make each docstring readable as Markdown."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Rewrite an object's docstring when it is loaded."""
        if obj.docstring is not None:
            obj.docstring.value = readable(obj.docstring.value)
