"""What a run prints."""

import collections

from machinery.errors import visible


def duration(seconds):
    """48 s, 1 min 36 s or 2 h 5 min"""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def summary(result):
    """The scores in a few words."""
    line = f"accuracy {result['accuracy']:.2%}, macro F1 {result['macro_f1']:.2%}"
    if "entity_f1" in result:
        line += (
            f", entity F1 {result['entity_f1']:.2%} (precision {result['precision']:.2%}, "
            f"recall {result['recall']:.2%})"
        )
    return line


def report_unknown_tags(path, dataset):
    """Say which tags of a file the model does not know."""
    counts = collections.Counter(tag for tags in dataset.tags for tag in tags)
    unknown = [f"{tag} ({count})" for tag, count in counts.items() if tag not in dataset.tag_map]
    if unknown:
        print(
            f"{path}: tags that training never had count as wrong, and their sentences are "
            f"left out of the loss: {visible(', '.join(sorted(unknown)))}"
        )


def print_scores(name, result):
    """A line of scores, and one for each type of entity.

    :param name: what was scored, such as a file
    :param result: dict, as `scores` gives it
    """
    print(f"{name}: {summary(result)}")
    for kind, of_kind in result.get("types", {}).items():
        print(
            f"    {visible(kind):12} precision {of_kind['precision']:7.2%}  "
            f"recall {of_kind['recall']:7.2%}  F1 {of_kind['f1']:7.2%}  "
            f"({of_kind['gold']:,} gold, {of_kind['predicted']:,} found)"
        )


def aligned(rows):
    """Lines of text, the columns of the rows aligned.

    :param rows: list of lists of strings, of the same length
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
