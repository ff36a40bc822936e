"""What a file was taken for: the scheme of its tags, and its first sentence as it was read."""

import itertools
import re

from machinery.errors import visible
from machinery.spans import (
    OF_SPAN,
    READ_AS,
    are_spans,
    count_tags,
    detect_scheme,
    may_follow,
    odd_tags,
    rewritten,
    spans,
)

MOST_BROKEN = 0.02  # share of spans that may break a scheme which the tags are said to follow
MOST_NAMED = 5  # odd words or tags of a file
QUOTED = re.compile(r'"([^"]|"")+"')  # as in CSV, where """" is a quotation mark
UNSEEN = r"\s\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"  # not joiners of letters
UNSEEN = re.compile(rf"[\x00-\x1f\x7f-\x9f]|^[{UNSEEN}]|[{UNSEEN}]$")


def recognise_scheme(tags):
    """Which scheme the tags follow, if hardly a span breaks it and it allows every tag.

    :param tags: list of sentences, each a list of tags
    :return: "IOB1", "IOB2", "BIOES" or None; and what the tags were taken for and why, in words
    """
    scheme = detect_scheme(tags)
    if scheme is None:
        return None, f"labels of words, not of spans{_near_spans(tags)}: no entity F1"
    broken, count = _broken_spans(tags, scheme)
    lost = _unreachable({tag for sentence in tags for tag in sentence}, scheme)
    why = f"{broken:,} of {count:,} spans break it"
    if broken > MOST_BROKEN * count:
        return None, f"spans in no known scheme (of {scheme}, the nearest, {why}): no constraints"
    if lost:
        return None, f"{scheme}, {why}, but it never allows {min(lost)}: no constraints"
    return scheme, f"{scheme}, {why}"


def _near_spans(tags):
    """In words, a tag that looks like one of a span, but is not read as such."""
    others = odd_tags(count_tags(tags))
    letter = "[BIESMLU]"
    near = re.compile(rf"{letter}[-_./:|]\w.*|.*\w[-_./:|]{letter}", re.IGNORECASE)
    for tag in others:
        if near.fullmatch(tag):
            return f" (expected tags such as B-PER, found {visible(tag)!r})"
    return ""


def _broken_spans(tags, scheme):
    """How many spans take a step that the scheme forbids, and how many spans there are."""
    broken = count = 0
    for sentence in tags:
        padded = ["O", *sentence, "O"]
        allowed = [may_follow(*step, scheme) for step in itertools.pairwise(padded)]
        for _, begin, end in spans(sentence):
            count += 1
            # The step behind a span is the next span's, if one follows at once.
            broken += not all(allowed[begin : end + (padded[end + 1] == "O")])
    return broken, count


def _unreachable(names, scheme):
    """The tags that no sentence can have in which the scheme is kept."""

    def reached(follows):
        """The tags on a way from "O", where `follows` tells of single steps."""
        found, new = set(), {"O"}
        while new:
            new = {t for t in names - found if any(follows(previous, t) for previous in new)}
            found |= new
        return found

    forwards = reached(lambda previous, tag: may_follow(previous, tag, scheme))
    return names - (forwards & reached(lambda after, tag: may_follow(tag, after, scheme)))


def same_scheme(gold, scheme, names):
    """Gold tags as a model writes them, if they follow another scheme or spell it otherwise.

    :param gold: list of sentences, each a list of tags
    :param scheme: the model's, as recognise_scheme gives it
    :param names: the model's tags
    :return: the same shape
    """
    found, _ = recognise_scheme(gold) if scheme is not None else (None, None)
    known = {name[0] for name in names if OF_SPAN.fullmatch(name)}
    letters = {tag[0] for tag in count_tags(gold) if OF_SPAN.fullmatch(tag)}
    if found is None or (found == scheme and letters & {*"IES", *READ_AS} <= known):
        return gold
    spelled = {READ_AS[letter]: letter for letter in known & READ_AS.keys()}
    return [
        [
            spelled.get(tag[0], tag[0]) + tag[1:] if OF_SPAN.fullmatch(tag) else tag
            for tag in rewritten(sentence, scheme)
        ]
        for sentence in gold
    ]


def is_odd(cell):
    """Whether a word or tag looks damaged: quoted as in CSV, or with characters at its ends, or
    controls anywhere, that are not seen."""
    if cell[-1] == '"' and QUOTED.fullmatch(cell):
        return True
    return not cell.isprintable() and UNSEEN.search(cell) is not None


def name_odd_cells(path, what, lines):
    """Say which words or tags look damaged.

    :param lines: {cell: the first line that has it}, of those that are odd
    """
    path = visible(str(path))
    for cell, line in itertools.islice(lines.items(), MOST_NAMED):
        looks = "is quoted, as in CSV" if QUOTED.fullmatch(cell) else "holds unseen characters"
        print(f"{path}, line {line}: {what} {cell[:60]!r} {looks}; it counts as it is written")
    if len(lines) > MOST_NAMED:
        print(f"{path}: {len(lines) - MOST_NAMED:,} more such {what}s")


def name_odd_tags(path, tags, lines):
    """Say which tags are odd among tags of spans: slips, as a rule, or a row that is no word. Of
    other tags, only those that look damaged.

    :param tags: list of sentences, each a list of tags
    :param lines: {tag: the first line that has it}
    """
    path, counts = visible(str(path)), count_tags(tags)
    odd = sorted(odd_tags(counts), key=lines.get) if are_spans(counts) else []
    name_odd_cells(path, "tag", {t: n for t, n in lines.items() if is_odd(t) and t not in odd})
    usual = next((tag for tag, _ in counts.most_common() if OF_SPAN.fullmatch(tag)), None)
    for tag in odd[:MOST_NAMED]:
        entity_type = tag.partition("-")[2]
        reading = "O, or right after an entity as one without a type"
        if tag == "B-":
            reading = "B without a type"
        elif entity_type:
            reading = f"an entity of type {visible(entity_type)!r}"
        print(
            f"{path}, line {lines[tag]}: tag {visible(tag)!r} is not of the form of the others, "
            f"such as {usual}; it counts as {reading}"
        )
    if len(odd) > MOST_NAMED:
        print(f"{path}: {len(odd) - MOST_NAMED:,} more such tags")


def first_sentence(words, tags, width=80):
    """A line that shows the first sentence as it was read, so that wrong columns are seen."""
    pairs = zip(words[0], tags[0], strict=True)
    shown = visible(" ".join(f"{word}/{tag}" for word, tag in itertools.islice(pairs, width)))
    return f"    begins: {shown[:width]}{'...' * (len(shown) > width)}"


def print_reading(path, words, tags, wanted=None):
    """Say how much a file has, what its tags were taken for, and how it begins.

    :param words, tags: as read_words_tags gives them
    :param wanted: the scheme that the tags are then written in, or None
    """
    found, why = recognise_scheme(tags)
    print(
        f"{visible(str(path))}: {len(words):,} sentences, {sum(map(len, words)):,} words, "
        f"tags taken for {why}"
        f"{'' if wanted in (None, found) else f'; read as {wanted}'}"
    )
    print(first_sentence(words, tags))
