"""Pages to look at: tagged text in colour, and the mistakes of a tagger. One file each, that needs
no other and no network.

The data is JSON inside the page, and its script makes what is seen of it as one scrolls, always as
text: whatever a word is, it is not read as HTML.
"""

import collections
import html
import pathlib
import re

from machinery.entities import as_json
from machinery.errors import visible

TEMPLATE = pathlib.Path(__file__).with_name("page.html")


def page(title, data):
    """A page.

    :param title: string
    :param data: what the script of page.html shows
    :return: HTML
    """
    # So that no `</script>` and no `<!--` in the data ends it.
    safe = as_json(data).replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
    parts = {"title": html.escape(visible(title)), "data": safe}
    template = TEMPLATE.read_text(encoding="utf-8")
    return re.sub(r"{{(title|data)}}", lambda found: parts[found[1]], template)


def tagged_page(name, texts):
    """The page of `--html`.

    :param name: where the texts are from
    :param texts: list of (text, entities as Tagger.entities gives them)
    """
    rows, counts = [], collections.Counter()
    for text, found in texts:
        if not text.strip():
            continue
        pieces, last = [], 0
        for entity in found:
            kind = entity["type"] if "type" in entity else entity["tag"]
            counts[kind] += 1
            pieces.append(text[last : entity["start"]])
            pieces.append([kind, entity["text"], entity["probability"]])
            last = entity["end"]
        rows.append({"pieces": [*pieces, text[last:]]})
    return page(f"Tagged: {name}", {"rows": rows, "types": sorted(counts), "of_type": counts})


def mistakes_page(name, total, sentences, counts, caption, table):
    """The page of `--errors`.

    :param name: what was scored
    :param total: how many sentences it has
    :param sentences: those with mistakes: list of (number, words, probability of the least
        probable tag, pieces as `compare` gives them, {(begin, end): probability of what was found})
    :param counts: list of (kind of mistake, how often)
    :param caption, table: of confusions, strings
    """
    rows, of_type = [], collections.Counter()
    for number, words, least, pieces, probabilities in sentences:
        shown = []
        for what, gold, found in pieces:
            probability = found and round(probabilities[found[1:]], 4)
            shown.append((what, gold, found, probability))
            if what:
                of_type.update({piece[0] for piece in (gold, found) if piece})
        least = round(least, 4)
        rows.append({"number": number, "least": least, "words": words, "pieces": shown})
    every = {piece[0] for row in rows for _, *some, _ in row["pieces"] for piece in some if piece}
    data = {
        "rows": rows,
        "types": sorted(every, key=lambda kind: (-of_type[kind], kind)),
        "of_type": {kind: of_type[kind] for kind in sorted(every)},
        "counts": counts,
        "caption": caption,
        "table": table,
        "about": f" of {total:,} sentences have mistakes",
    }
    return page(f"Mistakes: {name}", data)
