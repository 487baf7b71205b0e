"""mkdocs hook: links to files outside docs/ lead to the repository, or become plain text.

On GitHub such links work as they are. The site contains docs/ only; without ``repo_url`` in
mkdocs.yml it has no address for the other files.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from posixpath import normpath
from typing import Any

_LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)\s]+)\)")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Rewrite the links of a page that leave docs/."""
    folder = PurePosixPath("docs", page.file.src_uri).parent

    def rewritten(link: re.Match[str]) -> str:
        words, target = link.groups()
        path = normpath(folder / target)
        if path.startswith("docs/"):
            return link.group()
        return f"[{words}]({config.repo_url}/blob/HEAD/{path})" if config.repo_url else words

    return _LINK.sub(rewritten, markdown)
