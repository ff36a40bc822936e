"""Spans, tag schemes and scores."""

import collections
import re

from machinery.errors import InputError

READ_AS = {"M": "I", "L": "E", "U": "S"}  # other letters of BMES and BILOU for the same


def spans(tags):
    """The entities of one sentence, read as the CoNLL scorer reads them.

    B and S begin an entity; I and E continue one of the same type, and begin one where there is
    none to continue, so that ill-formed sequences (O I-PER) have entities too. E and S end it.

    >>> spans(["B-PER", "O", "I-LOC", "I-LOC", "B-LOC"])
    [('PER', 0, 1), ('LOC', 2, 4), ('LOC', 4, 5)]

    :param tags: list of tags in IOB1, IOB2 or BIOES
    :return: list of (type, index of the first word, index after the last)
    """
    found, open_type = [], None  # open_type: of the entity that the next word may continue
    for position, tag in enumerate(tags):
        prefix, _, entity_type = tag.partition("-")
        prefix = READ_AS.get(prefix, prefix)
        if prefix == "O":
            open_type = None
            continue
        if prefix in "IE" and entity_type == open_type:
            found[-1][2] = position + 1
        else:
            found.append([entity_type, position, position + 1])
        open_type = None if prefix in "ES" else entity_type
    return [tuple(span) for span in found]


def are_spans(tags):
    """Whether a set of tags marks spans (O, B-PER, I-PER ...) rather than, say, parts of speech."""
    return set(tags) != {"O"} and all(re.fullmatch(r"O|[BIESMLU](-.+)?", tag) for tag in tags)


def detect_scheme(tags):
    """Which scheme the tags of a corpus follow.

                  Dunston  Majestic  Hotel  and  Ritz   Paris    (the last two are two places)
        IOB1      I-PER    I-LOC     I-LOC  O    I-LOC  B-LOC
        IOB2      B-PER    B-LOC     I-LOC  O    B-LOC  B-LOC
        BIOES     S-PER    B-LOC     E-LOC  O    S-LOC  S-LOC

    :param tags: list of sentences, each a list of tags
    :return: "IOB1", "IOB2" or "BIOES"; None where the tags do not mark spans
    """
    if not are_spans({tag for sentence in tags for tag in sentence}):
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

    :param tags: list of sentences, each a list of tags in IOB1, IOB2 or BIOES
    :param scheme: "IOB2" or "BIOES"
    :return: the same shape
    :raises InputError: the scheme is unknown, or the tags do not mark spans
    """
    if scheme not in ("IOB2", "BIOES"):
        raise InputError(f"tag_scheme: expected None, 'IOB2' or 'BIOES', found {scheme!r}")
    if not are_spans(every := {tag for sentence in tags for tag in sentence} | {"O", "B"}):
        found = min(tag for tag in every if not are_spans({tag, "B"}))
        raise InputError(f"tag_scheme = {scheme!r}: expected tags such as B-PER, found {found!r}")
    converted = []
    for sentence in tags:
        new = ["O"] * len(sentence)
        for entity_type, begin, end in spans(sentence):
            # A scheme without types has bare letters for tags.
            suffix = f"-{entity_type}" if entity_type else ""
            new[begin:end] = [f"I{suffix}"] * (end - begin)
            new[begin] = f"B{suffix}"
            if scheme == "BIOES":
                new[end - 1] = f"{'S' if end - begin == 1 else 'E'}{suffix}"
        converted.append(new)
    return converted


def may_follow(previous, tag, scheme):
    """Whether a tag may follow another in a scheme; before and after a sentence is "O".

    >>> may_follow("O", "I-PER", "IOB2")
    False
    """
    previous, tag = (READ_AS.get(t[0], t[0]) + t[1:] for t in (previous, tag))
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
        and, where all tags mark spans, the CoNLL scorer's exact-span scores
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
    if are_spans(by_tag):
        types = _scores_by_kind(map(spans, gold), map(spans, predicted))
        overall = _total(types)
        result["entity_f1"] = overall["f1"]
        result["precision"], result["recall"] = overall["precision"], overall["recall"]
        result["types"] = types
    return result


def find_criterion(name, tags):
    """The score that `name` means for a set of tags: "f1" is the entities' where there are any.

    :raises InputError: these tags have no such score
    """
    if name == "f1":
        return "entity_f1" if are_spans(tags) else "macro_f1"
    if name == "entity_f1" and not are_spans(tags):
        found = min(tag for tag in tags | {"O"} if not are_spans({tag, "B"}) or len(tags) == 1)
        raise InputError(f"criterion = 'entity_f1': expected tags such as B-PER, found {found!r}")
    return name
