"""A drawn SVG as a part of a page: own ids, text as text, values on hover, the page's colours."""

from __future__ import annotations

import html
import re

# The counterpart of each colour on a dark page; a test checks that none is missing.
DARK = {
    "#ffffff": "#1c2024",
    "#1c2024": "#e4e6e3",
    "#000000": "#e4e6e3",
    "#dddddd": "#3a4047",
    "#555555": "#b5bcc2",
    "#6b7075": "#b5bcc2",
    "#999999": "#7d858c",
    "#0072b2": "#56b4e9",
    "#56b4e9": "#8cc9ef",
    "#d55e00": "#ff9a57",
    "#009e73": "#4fd0a5",
    "#e69f00": "#f0bc4b",
    "#cc79a7": "#dfa0c4",
    "#8b5a2b": "#c99a6b",
}
_HOVER = "hover:"
_FONTS = re.compile(r"'DejaVu Sans', [^;\"]*sans-serif")
_SIZE = re.compile(r" (width|height)=\"[^\"]*pt\"")  # the page's style has the size
_UNUSED = re.compile(r"<metadata>.*?</metadata>|<style type=\"text/css\">.*?</style>", re.DOTALL)
_REFERENCES = re.compile(r"(\bid=\"|href=\"#|url\(#)")


def hover_id(text: str) -> str:
    """Make the id by which a drawn artist carries the text that a page shows on hover."""
    return _HOVER + text


def with_hover(svg: str) -> str:
    """Turn the ids of :func:`hover_id` into titles, which browsers show on hover."""
    return re.sub(rf'<g id="{_HOVER}([^"]*)">', r"<g><title>\1</title>", svg)


def inline_svg(svg: str, name: str, alt: str) -> str:
    """Prepare a file's SVG for the inside of a page.

    Args:
        svg: as matplotlib writes it.
        name: of the plot; ids get it as prefix, since a page has several drawings.
        alt: read out in place of the drawing.
    """
    svg = _SIZE.sub("", _UNUSED.sub("", svg[svg.index("<svg ") :]), count=2)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(alt)}" ', 1)
    svg = _FONTS.sub("'DejaVu Sans', Verdana, sans-serif", svg)
    svg = _REFERENCES.sub(rf"\g<1>{name}-", svg)
    return re.sub(r"\n\s*", "\n", svg)


def dark_rules() -> str:
    """Write the style by which drawings follow the reader's colour scheme."""
    rules = "\n".join(
        f'[style*="{what}: {light}"], [{what}="{light}"] {{ {what}: {dark} !important }}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
    )
    return f"@media (prefers-color-scheme: dark) {{\n{rules}\n}}"
