"""What all pictures of the README share: palette, boxes, arrows, tables, and SVG as text.

Every picture is 480 units wide, to be legible on a phone, and is drawn on a card of its own, to be
legible on any page. Colours follow the reader's light or dark mode. A colour means the same in all
pictures:

    chars  characters and what is made of them      words  words and what is made of them
    lm     language models                          tags   CRF, tags and their scores
    gold   what to look at: the gold path, the winner
"""

import pathlib
import re
from xml.sax.saxutils import escape

WIDTH = 480
LEFT, RIGHT = 20, 460  # where what is drawn begins and ends
FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

# role: (light fill, light line, dark fill, dark line)
ROLES = {
    "chars": ("#d9f0ec", "#0f766e", "#123b38", "#5cc9bd"),
    "words": ("#dbe8fb", "#1d5fbf", "#16304f", "#7fb2f5"),
    "lm": ("#fbeccb", "#9a6700", "#42310d", "#e0b04c"),
    "tags": ("#ebe2fa", "#6f42c1", "#33234f", "#bd9cf5"),
    "gold": ("#fde0dc", "#c0311f", "#4f1d17", "#ff8f7f"),
    "plain": ("#f3f4f6", "#6b7280", "#262b33", "#9aa4b2"),
}
CARD = ("#ffffff", "#d4d8de", "#14181f", "#363d48")
INK, SOFT = ("#1b1f24", "#e8ecf1"), ("#59636e", "#a3adb9")


def style():
    """The style sheet: light, then what changes in dark mode."""
    rules = [
        f"text {{ font-family: {FONT}; font-size: 15px; fill: {INK[0]} }}",
        f".mono {{ font-family: {MONO} }}",
        ".bold { font-weight: 600 }",
        ".line { fill: none; stroke-width: 1.6 }",
        ".dashed { stroke-dasharray: 4 4 }",
    ]
    dark = [f"text {{ fill: {INK[1]} }}"]
    for rule, values in (("card", CARD), *ROLES.items()):
        for mode, (fill, stroke) in ((rules, values[:2]), (dark, values[2:])):
            mode.append(f".{rule} {{ fill: {fill}; stroke: {stroke} }}")
            mode.append(f".line.{rule} {{ fill: none; stroke: {stroke} }}")
            mode.append(f".head.{rule} {{ fill: {stroke}; stroke: none }}")
            mode.append(f"text.{rule} {{ fill: {stroke}; stroke: none }}")
    rules.append(f"text.soft {{ fill: {SOFT[0]} }}")
    dark.append(f"text.soft {{ fill: {SOFT[1]} }}")
    media = "@media (prefers-color-scheme: dark) {\n" + "\n".join(dark) + "\n}"
    return "\n".join([*rules, media])


class Picture:
    """An SVG picture, drawn from top left; x goes right, y goes down.

    :param title: its name, for readers who cannot see it
    :param description: what it shows, likewise
    :param height: in the units of WIDTH
    """

    def __init__(self, title, description, height, width=WIDTH):
        self.title, self.description = title, description
        self.height, self.width = height, width
        self.parts = []

    def text(self, x, y, content, kind="", size=15, anchor="middle", turned=0):
        """A line of text, vertically centred on y; kind: a role, soft, bold, mono or several.

        :param turned: degrees around (x, y), clockwise
        """
        turn = f' transform="rotate({turned} {x:g} {y:g})"' if turned else ""
        self.parts.append(
            f'<text x="{x:g}" y="{y + 0.36 * size:g}" text-anchor="{anchor}" '
            f'style="font-size: {size}px" class="{kind}"{turn}>{escape(str(content))}</text>'
        )

    def box(self, x, y, width, height, role, *lines, size=15, kind="", radius=6):
        """A rectangle with lines of text in its middle."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" '
            f'class="{role}" stroke-width="1.4"/>'
        )
        step = 1.3 * size
        top = y + height / 2 - step * (len(lines) - 1) / 2
        for i, line in enumerate(lines):
            self.text(x + width / 2, top + i * step, line, kind, size)

    def line(self, *points, role="plain", dashed=False):
        """A line through points (x, y)."""
        path = " L ".join(f"{x:g} {y:g}" for x, y in points)
        kind = f"line {role}{' dashed' * dashed}"
        self.parts.append(f'<path d="M {path}" class="{kind}"/>')

    def arrow(self, *points, role="plain", dashed=False):
        """A line with a head at its last point."""
        (x0, y0), (x1, y1) = points[-2:]
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-9)
        dx, dy = (x1 - x0) / length, (y1 - y0) / length
        back = x1 - 8 * dx, y1 - 8 * dy
        self.line(*points[:-1], back, role=role, dashed=dashed)
        left = back[0] - 4.5 * dy, back[1] + 4.5 * dx
        right = back[0] + 4.5 * dy, back[1] - 4.5 * dx
        corners = " ".join(f"{x:g},{y:g}" for x, y in ((x1, y1), left, right))
        self.parts.append(f'<polygon points="{corners}" class="head {role}"/>')

    def cells(self, x, y, rows, width, height, role="plain", size=14, marked=()):
        """A table of values; `marked`: (row, column) pairs shown as gold, or {pair: role}."""
        marked = marked if isinstance(marked, dict) else dict.fromkeys(marked, "gold")
        places = [(i, j) for i, row in enumerate(rows) for j in range(len(row))]
        for i, j in sorted(places, key=marked.__contains__):  # their borders above the others'
            kind = "bold" if (i, j) in marked else ""
            where = x + j * width, y + i * height, width, height
            self.box(*where, marked.get((i, j), role), rows[i][j], size=size, kind=kind, radius=0)

    def circle(self, x, y, radius, role, content="", size=15, kind=""):
        """A circle around (x, y) with a line of text in it."""
        self.parts.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" class="{role}" stroke-width="1.4"/>'
        )
        if content:
            self.text(x, y, content, kind, size)

    def dashed_box(self, x, y, width, height, role, *lines, size=15, kind="", radius=6):
        """A box with a dashed border; the role "line plain" leaves it empty."""
        self.box(x, y, width, height, f"{role} dashed", *lines, size=size, kind=kind, radius=radius)

    def formula(self, x, y, content, kind="", size=15, anchor="middle"):
        """A line of text with indices: "W_t x", "L_{forward LM}"."""
        self.text(x, y, content, kind, size, anchor)
        shift, small = 0.25 * size, max(12, round(0.75 * size))

        def index(match):
            # Not every viewer shows a space that begins a tspan, so dx replaces it.
            space = f' dx="{0.3 * size:g}"' if match[3].startswith(" ") else ""
            return (
                f'<tspan dy="{shift:g}" style="font-size: {small}px">{match[1] or match[2]}</tspan>'
                f'<tspan dy="{-shift:g}"{space}>{match[3].lstrip()}</tspan>'
            )

        before, text, after = re.split(r"(?<=>)([^<]*)(?=</text>)", self.parts[-1])
        self.parts[-1] = before + re.sub(r"_(?:\{(.*?)\}|(\w))([^_]*)", index, text) + after

    def svg(self):
        """The picture as text."""
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" '
                f'height="{self.height}" viewBox="0 0 {self.width} {self.height}" role="img">',
                f"<title>{escape(self.title)}</title>",
                f"<desc>{escape(self.description)}</desc>",
                f"<style>\n{style()}\n</style>",
                f'<rect x="0.5" y="0.5" width="{self.width - 1}" height="{self.height - 1}" '
                'rx="10" class="card"/>',
                *self.parts,
                "</svg>\n",
            ]
        )


def number(value, digits=1):
    """A number as text, with a minus as wide as a plus, and none before a zero."""
    return f"{round(float(value), digits) + 0:.{digits}f}".replace("-", "−")


def heading(picture, y, title, note="", kind="bold", size=15):
    """A line over a part of the picture: its title at the left, a note at the right."""
    picture.text(LEFT, y, title, kind, size=size, anchor="start")
    if note:
        picture.text(RIGHT, y, note, "soft", size=13, anchor="end")


def save(pictures):
    """Write {name: Picture} into this folder, as name.svg."""
    for name, picture in pictures.items():
        path = pathlib.Path(__file__).with_name(f"{name}.svg")
        path.write_text(picture.svg(), encoding="utf-8")
