"""The few SVG pieces that all figures share: elements, a scale, an axis.

Figures are written as SVG text and not by a plotting library, because inline SVG takes its colours
and fonts from the page: one figure serves light, dark and printed pages, its text can be selected,
and its bytes depend on nothing but the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Child = str | Markup
WIDTH = 290  # of a panel, in user units; about as many pixels on a page
LEFT, RIGHT = 32, 282  # of a panel's plot


def el(tag: str, *children: Child, **attributes: object) -> Markup:
    """One element; text children and attribute values are escaped.

    Args:
        tag: Its name.
        children: Text or elements.
        attributes: `class_` is written as class, other underscores as hyphens; None is left out,
            numbers have at most one decimal.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(children)
    return Markup(f"<{tag}{written}>{inner}</{tag}>")


def _value(value: object) -> Markup:
    if isinstance(value, float):
        text = f"{value:.1f}"
        return Markup(text.removesuffix(".0") if text != "-0.0" else "0")
    return escape(value)


def figure(width: float, height: float, label: str, children: Iterable[Child]) -> Markup:
    """A whole figure, as wide as its place allows; `label` describes it to who cannot see it."""
    return el(
        "svg", *children, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label,
        style=f"max-width:{1.35 * width:.0f}px",
    )  # fmt: skip


def text(x: float, y: float, content: str, class_: str = "tick", anchor: str = "start") -> Markup:
    """A line of text."""
    return el("text", content, x=x, y=y, class_=class_, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return el("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def rect(
    x: float, y: float, width: float, height: float, class_: str, title: str = "", rx: float = 0
) -> Markup:
    """A box, with a note that shows when it is pointed at."""
    note = [el("title", title)] if title else []
    return el(
        "rect", *note, x=x, y=y, width=width, height=height, class_=class_, rx=rx or None
    )  # fmt: skip


def dot(x: float, y: float, radius: float, class_: str, title: str = "") -> Markup:
    """A disc, with a note that shows when it is pointed at."""
    note = [el("title", title)] if title else []
    return el("circle", *note, cx=x, cy=y, r=radius, class_=class_)


def path(points: Sequence[tuple[float, float]], class_: str, closed: bool = False) -> Markup:
    """A line through points, or the area inside them."""
    d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + ("Z" if closed else "")
    return el("path", d=d, class_=class_)


@dataclass(frozen=True)
class Scale:
    """Where a value lies in the drawing; values outside the domain are put at its ends.

    Attributes:
        low: Value at `start`.
        high: Value at `end`.
        start: Coordinate of the lowest value.
        end: Coordinate of the highest value.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The coordinate of a value."""
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def x_axis(scale: Scale, ticks: Sequence[float], top: float, bottom: float) -> list[Markup]:
    """Grid lines at the ticks, and their figures below."""
    out = []
    for tick in ticks:
        x = scale(tick)
        out.append(line(x, top, x, bottom, "grid"))
        out.append(text(x, bottom + 12, f"{tick:g}", anchor="middle"))
    return out


def y_axis(scale: Scale, ticks: Sequence[float], left: float, right: float) -> list[Markup]:
    """Grid lines at the ticks, and their figures to the left."""
    out = []
    for tick in ticks:
        y = scale(tick)
        out.append(line(left, y, right, y, "grid"))
        out.append(text(left - 5, y + 3.5, f"{tick:g}", anchor="end"))
    return out


def swatch(class_: str) -> Markup:
    """A sample of a fill, for a legend."""
    return el(
        "svg", rect(0, 0, 14, 10, class_), viewBox="0 0 14 10", class_="swatch", aria_hidden="true"
    )  # fmt: skip
