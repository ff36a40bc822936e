"""Spans, tag schemes and scores."""

import collections
import functools
import re

from machinery.errors import InputError

READ_AS = {"M": "I", "L": "E", "U": "S"}  # other letters of BMES and BILOU for the same
OF_SPAN = re.compile(r"[BIESMLU](-.+)?")
# How many words may have odd tags (a 0 for O, a header row) among tags of spans: a share of the
# words with a span's tag; in a small file, as many as have one with a type, but no more than these.
ODD_SHARE, ODD_WORDS = 0.01, 5


def spans(tags):
    """The entities of one sentence, read as the CoNLL scorer reads them.

    B and S begin an entity; I and E continue one of the same type, and begin one where there is
    none to continue, so that ill-formed sequences (O I-PER) have entities too. E and S end it.
    An odd tag, such as 0, has a type, too, if only the empty one: it is like O after O; where the
    type changes, it begins an entity.

    >>> spans(["B-PER", "O", "I-LOC", "I-LOC", "B-LOC"])
    [('PER', 0, 1), ('LOC', 2, 4), ('LOC', 4, 5)]

    :param tags: list of tags in IOB1, IOB2 or BIOES
    :return: list of (type, index of the first word, index after the last)
    """
    found, type_before = [], ""
    open_type = None  # of the entity that the next word may continue
    for position, tag in enumerate(tags):
        prefix, _, entity_type = tag.partition("-")
        prefix = READ_AS.get(prefix, prefix)
        is_odd = prefix not in ("B", "I", "E", "S")
        if prefix in ("O", "."):  # the scorer knows a full stop, too
            open_type = None
        elif entity_type == open_type and (is_odd or prefix in ("I", "E")):
            found[-1][2] = position + 1
        elif not is_odd or entity_type != type_before:
            found.append([entity_type, position, position + 1])
            open_type = entity_type
        if prefix in ("E", "S"):
            open_type = None
        type_before = entity_type
    return [tuple(span) for span in found]


def odd_tags(tags):
    """Those of a set of tags that are not of the form O, B-PER or B, in alphabetical order."""
    return sorted(tag for tag in tags if tag != "O" and not OF_SPAN.fullmatch(tag))


def count_tags(*parts):
    """Counter of the words with each tag; a part is a list of sentences, each a list of tags."""
    return collections.Counter(tag for tags in parts for sentence in tags for tag in sentence)


def are_spans(tags):
    """Whether tags mark spans (O, B-PER, I-PER ...) rather than, say, parts of speech.

    :param tags: a Counter, as count_tags gives it, where a few odd ones change nothing; or a set
    """
    odd = odd_tags(tags)
    if not odd or not isinstance(tags, collections.Counter):
        return not odd and set(tags) != {"O"}
    odd_words = sum(tags[tag] for tag in odd)
    words = tags.total() - odd_words - tags["O"]
    typed = sum(count for tag, count in tags.items() if OF_SPAN.fullmatch(tag) and "-" in tag)
    return odd_words <= max(ODD_SHARE * words, min(ODD_WORDS, typed))


def detect_scheme(tags):
    """Which scheme the tags of a corpus follow.

                  Dunston  Majestic  Hotel  and  Ritz   Paris    (the last two are two places)
        IOB1      I-PER    I-LOC     I-LOC  O    I-LOC  B-LOC
        IOB2      B-PER    B-LOC     I-LOC  O    B-LOC  B-LOC
        BIOES     S-PER    B-LOC     E-LOC  O    S-LOC  S-LOC

    :param tags: list of sentences, each a list of tags
    :return: "IOB1", "IOB2" or "BIOES"; None where the tags do not mark spans
    """
    if not are_spans(count_tags(tags)):
        return None
    steps = collections.Counter()
    for sentence in tags:
        steps.update(zip(("O", *sentence), (*sentence, "O"), strict=True))

    def violations(scheme):
        """How many steps from one tag to the next a scheme forbids."""
        return sum(count for step, count in steps.items() if not may_follow(*step, scheme))

    # The scheme whose rules are broken least often: a slip in a large file changes nothing.
    return min(("IOB2", "IOB1", "BIOES"), key=violations)


def convert_scheme(tags, scheme):
    """Write the same spans in another scheme; nothing is lost on the way there and back.

    Ill-formed sequences come out well-formed, with the spans that the CoNLL scorer sees in them.

    A few odd tags stay as they are; next to them is O.

    :param tags: list of sentences, each a list of tags in IOB1, IOB2 or BIOES
    :param scheme: "IOB2" or "BIOES"
    :return: the same shape
    :raises InputError: the scheme is unknown, or the tags do not mark spans
    """
    if scheme not in ("IOB2", "BIOES"):
        raise InputError(f"tag_scheme: expected None, 'IOB2' or 'BIOES', found {scheme!r}")
    if not are_spans(every := count_tags(tags)) and set(every) - {"O"}:
        found = odd_tags(every)[0]
        raise InputError(f"tag_scheme = {scheme!r}: expected tags such as B-PER, found {found!r}")
    return [rewritten(sentence, scheme) for sentence in tags]


def rewritten(tags, scheme):
    """The tags of one sentence in a scheme, "IOB1" too; odd ones stay as they are."""
    odd = {tag: tag for tag in odd_tags(set(tags))}
    new = [odd.get(tag, "O") for tag in tags]
    before = None  # the type of a span, and where it ends
    for entity_type, begin, end in spans(["O" if tag in odd else tag for tag in tags]):
        # A scheme without types has bare letters for tags.
        suffix = f"-{entity_type}" if entity_type else ""
        new[begin:end] = [f"I{suffix}"] * (end - begin)
        if scheme != "IOB1" or before == (entity_type, begin):
            new[begin] = f"B{suffix}"
        if scheme == "BIOES":
            new[end - 1] = f"{'S' if end - begin == 1 else 'E'}{suffix}"
        before = (entity_type, end)
    return new


@functools.lru_cache(1024)
def _in_scheme(tag):
    """A tag with the letter that the schemes have for it; an odd one may stand where O may."""
    return READ_AS.get(tag[0], tag[0]) + tag[1:] if OF_SPAN.fullmatch(tag) else "O"


def may_follow(previous, tag, scheme):
    """Whether a tag may follow another in a scheme; before and after a sentence is "O".

    >>> may_follow("O", "I-PER", "IOB2")
    False
    """
    previous, tag = _in_scheme(previous), _in_scheme(tag)
    same_type = previous[1:] == tag[1:] and previous != "O"
    if scheme != "BIOES" and tag[0] in "ES":
        return False
    if scheme == "BIOES":
        return (same_type and tag[0] in "IE") if previous[0] in "BI" else tag[0] in "BSO"
    if scheme == "IOB2":
        return same_type or tag[0] != "I"
    return same_type or tag[0] != "B"  # IOB1: B only separates two spans of one type


def _precision_recall_f1(correct, predicted, gold):
    """Scores from counts; 0 where there is nothing to divide by, as the CoNLL scorer has it."""
    return {
        "correct": correct,
        "predicted": predicted,
        "gold": gold,
        "precision": correct / predicted if predicted else 0.0,
        "recall": correct / gold if gold else 0.0,
        "f1": 2 * correct / (predicted + gold) if predicted + gold else 0.0,
    }


def _scores_by_kind(gold, predicted):
    """{kind: its scores}; both are iterables of sentences, each a list of (kind, where)."""
    correct_counts, predicted_counts, gold_counts = (collections.Counter() for _ in range(3))
    for gold_items, predicted_items in zip(gold, predicted, strict=True):
        correct_counts.update(kind for kind, *_ in set(gold_items) & set(predicted_items))
        predicted_counts.update(kind for kind, *_ in predicted_items)
        gold_counts.update(kind for kind, *_ in gold_items)
    return {
        kind: _precision_recall_f1(correct_counts[kind], predicted_counts[kind], gold_counts[kind])
        for kind in sorted(gold_counts | predicted_counts)
    }


def _total(by_kind):
    """The scores of all kinds together."""
    names = ("correct", "predicted", "gold")
    return _precision_recall_f1(*(sum(s[name] for s in by_kind.values()) for name in names))


def _placed(tags):
    """[(tag, its position)]"""
    return [(tag, position) for position, tag in enumerate(tags)]


def scores(gold, predicted):
    """Score predicted tags against gold ones over a whole corpus.

    :param gold: list of sentences, each a list of tags
    :param predicted: the same shape
    :return: a dict with
        "accuracy": share of words with the right tag
        "macro_f1": mean over the tags that occur in gold or prediction of each tag's F1
        and, where the tags mark spans, the CoNLL scorer's exact-span scores
        "entity_f1", "precision", "recall": micro-averaged over all entities
        "types": for every entity type its precision, recall, f1 and the counts behind them
    :raises ValueError: the shapes differ
    """
    if list(map(len, gold)) != list(map(len, predicted)):
        raise ValueError("expected as many predicted tags as gold tags in every sentence")

    by_tag = _scores_by_kind(*([_placed(tags) for tags in part] for part in (gold, predicted)))
    result = {
        "accuracy": _total(by_tag)["recall"],  # every word has one gold tag
        "macro_f1": sum(of_tag["f1"] for of_tag in by_tag.values()) / max(len(by_tag), 1),
    }
    if are_spans(count_tags(gold)) or are_spans(count_tags(gold, predicted)):
        types = _scores_by_kind(map(spans, gold), map(spans, predicted))
        overall = _total(types)
        result["entity_f1"] = overall["f1"]
        result["precision"], result["recall"] = overall["precision"], overall["recall"]
        result["types"] = types
    return result


def find_criterion(name, *files):
    """The score that `name` means for some files: "f1" is the entities' where there are any.

    :param files: for each the Counter of its tags, as count_tags gives it; odd ones must be few in
        each, since a small file may have no others
    :raises InputError: these tags have no such score
    """
    together = sum(files, collections.Counter())
    odd = [tags for tags in (*files, together) if odd_tags(tags) and not are_spans(tags)]
    marks_spans = not odd and are_spans(together)
    if name == "f1":
        return "entity_f1" if marks_spans else "macro_f1"
    if name == "entity_f1" and not marks_spans:
        found = odd_tags(odd[0])[0] if odd else "O"
        raise InputError(f"criterion = 'entity_f1': expected tags such as B-PER, found {found!r}")
    return name
