"""Entities: where they are in a text, and how probable they are."""

import collections
import functools
import itertools
import json
import math
import re

import torch

from machinery.errors import END, START
from machinery.spans import OF_SPAN, are_spans, spans
from machinery.text import several

UNSAFE = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # not every reader takes them as data


@torch.inference_mode()
def probable_spans(decoder, scores, lengths, tag_names):
    """The spans of each sentence's best path, and the probability of each.

    That is the sum of the probabilities of all paths that have exactly this span: the path may
    begin it with B-LOC or, where a scheme allows both, with I-LOC, but must end it where it ends.

    forward[t, i] sums the paths from <start> to tag i before word t, backward[t, i] those from
    there to <end>. Between the two, only the transitions that make the span are followed. In
    float64, since the log of a long sentence's sum is large and the differences are small.

    :param decoder: ViterbiDecoder
    :param scores: (N, L, m, m), as CRF gives them
    :param lengths: (N) words of each sentence, <end> included
    :param tag_names: {index: tag}
    :return: list of N lists of (type, begin, end, probability)
    """
    paths = decoder.decode(scores, lengths)
    found = [spans([tag_names[tag] for tag in path]) for path in paths]
    scores = decoder.constrain(scores)
    begins, continues = span_steps(tag_names)
    results = []
    for of_sentence, length, some in zip(scores, lengths.tolist(), found, strict=True):
        if not some:
            results.append([])
            continue
        steps = of_sentence[:length].cpu().double()  # (length, m, m)
        forward, backward = both_sums(steps, decoder.start, decoder.end)
        total = backward[0, decoder.start]
        probabilities = []
        for kind, begin, end in some:
            within = forward[begin]  # (m)
            for t in range(begin, end + 1):
                allowed = begins[kind] if t == begin else continues if t < end else ~continues
                step = steps[t].masked_fill(~allowed, -math.inf)
                if t < end:
                    within = torch.logsumexp(within.unsqueeze(1) + step, 0)
                else:
                    within = within.unsqueeze(1) + step + backward[t + 1]
            probabilities.append((torch.logsumexp(within.flatten(), 0) - total).exp().item())
        results.append([(*span, min(p, 1.0)) for span, p in zip(some, probabilities, strict=True)])
    return results


def span_steps(tag_names):
    """Which transitions begin a span, and which continue one, as `spans` reads them.

    :return: {type: (m, m) bool, whether a step from tag i to tag j begins one}; (m, m) bool,
        whether the step continues the span that tag i is in
    """
    names = ["O" if tag in (START, END) else tag for _, tag in sorted(tag_names.items())]
    first = [[span[0] for span in spans([name])] for name in names]  # its type, or nothing
    continues = torch.tensor(
        [[len(spans([i, j])) == 1 and j != "O" != i for j in names] for i in names]
    )
    begins = {
        kind: torch.tensor([of_tag == [kind] for of_tag in first]) & ~continues
        for (kind,) in filter(None, first)
    }
    return begins, continues


def both_sums(steps, start, end):
    """The forward and the backward recursion of one sentence.

    :param steps: (L, m, m) scores of its words and of <end>
    :return: forward and backward, both (L + 1, m)
    """
    length, m = steps.shape[:2]
    forward, backward = steps.new_full((2, length + 1, m), -math.inf)
    forward[0, start] = backward[length, end] = 0
    no_word = [start, end]
    for t in range(1, length):
        forward[t] = torch.logsumexp(forward[t - 1].unsqueeze(1) + steps[t - 1], 0)
        forward[t, no_word] = -math.inf
    for t in range(length - 1, -1, -1):
        backward[t] = torch.logsumexp(steps[t] + backward[t + 1], 1)
        if t > 0:
            backward[t, no_word] = -math.inf
    return forward, backward


def mark_spans(tagger):
    """Whether a model's tags mark spans; it does not tell how rare odd ones are."""
    names = set(tagger.tag_names.values()) - {START, END}
    has_scheme = tagger.scheme is not None and any(map(OF_SPAN.fullmatch, names))
    return has_scheme or are_spans(collections.Counter(names))


def find_entities(tagger, texts, places):
    """What Tagger.entities says of texts."""
    texts = list(several(texts, "texts"))
    where = [list(places(text)) if isinstance(text, str) else None for text in texts]
    sentences = [
        text if some is None else [text[start:end] for start, end in some]
        for text, some in zip(texts, where, strict=True)
    ]
    if mark_spans(tagger):
        function = functools.partial(probable_spans, tagger.decoder)
        name, found = "type", tagger.for_each(function, sentences, tagger.tag_names)
    else:
        name, pairs = "tag", tagger.tag_with_confidence(sentences)
        found = [[(tag, i, i + 1, p) for i, (tag, p) in enumerate(some)] for some in pairs]
    every = zip(texts, sentences, where, found, strict=True)
    return [described(*of_text, name) for of_text in every]


def described(text, words, places, found, name="type"):
    """Entities as dicts.

    :param text: string, or None if there are words alone
    :param places: (start, end) of each word in the text; None if there are words alone
    :param found: list of (type, begin, end, probability), places as numbers of words
    :param name: what the first of these is called
    :return: list of dicts
    """
    result = []
    for kind, begin, end, probability in found:
        start, stop = begin, end
        if places is not None:
            start, stop = places[begin][0], places[end - 1][1]
        some = list(words[begin:end])
        result.append(
            {
                name: kind,
                "text": " ".join(some) if places is None else text[start:stop],
                "start": start,
                "end": stop,
                "words": some,
                "probability": probability,
            }
        )
    return result


def as_json(value):
    """A value as JSON on one line, in plain characters, without those that end lines elsewhere or
    that UTF-8 cannot write."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return UNSAFE.sub(lambda character: f"\\u{ord(character[0]):04x}", text)


def show_entities(tagger, texts, arguments, places, show):
    """Find the entities of texts, and show(text, entities) each."""
    for text, found in zip(texts, tagger.entities(texts, places), strict=True):
        for entity in found:
            entity["probability"] = round(entity["probability"], 4)
        show(text, found)


def show_entities_of_rows(tagger, sentences, arguments, word_column, show):
    """The same for sentences of a column file, as column_sentences gives them: their text is the
    words with spaces between them, and the places are those of the columns, which may hold spaces.
    """
    sentences = [[fields[word_column] for _, fields in rows if fields] for rows in sentences]
    sentences = list(filter(None, sentences))
    where = []
    for words in sentences:
        ends = itertools.accumulate(len(word) + 1 for word in words)
        where.append(
            [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)]
        )
    where = iter(where)  # entities asks for one after the other
    texts = list(map(" ".join, sentences))
    show_entities(tagger, texts, arguments, lambda text: next(where), show)


def print_object(text, found):
    """Print a text and its entities as JSON."""
    print(as_json({"text": text, "entities": found}))
