"""The sample corpus in data/: its form, its size, and that no split copies another."""

import collections
import re

import pytest

from utils import read_words_tags

MINIMUM = {"train": 1000, "valid": 200, "test": 250}
PENN_TREEBANK = set(
    """CC CD DT EX FW IN JJ JJR JJS LS MD NN NNS NNP NNPS PDT POS PRP PRP$ RB RBR RBS RP SYM TO UH
    VB VBD VBG VBN VBP VBZ WDT WP WP$ WRB . , : `` '' ( ) $ #""".split()
)
CONLL_2000 = set("NP VP PP ADVP ADJP SBAR PRT CONJP INTJ LST UCP".split())
ENTITIES = {"PER", "LOC", "ORG", "MISC"}


@pytest.fixture(scope="module")
def corpus(root):
    """{split: list of sentences, each a list of (word, POS, chunk, NER)}"""
    splits = {}
    for split in MINIMUM:
        columns = [read_words_tags(root / "data" / f"{split}.txt", 0, i)[1] for i in (1, 2, 3)]
        words, _ = read_words_tags(root / "data" / f"{split}.txt", 0, 3)
        splits[split] = [
            list(zip(*sentence, strict=True)) for sentence in zip(words, *columns, strict=True)
        ]
    return splits


def sentences(corpus):
    """(split, sentence) of all splits."""
    return [(split, sentence) for split in corpus for sentence in corpus[split]]


def test_every_line_has_four_columns_separated_by_one_space(root):
    for split in MINIMUM:
        lines = (root / "data" / f"{split}.txt").read_text(encoding="utf-8").split("\n")
        assert all(re.fullmatch(r"(\S+ \S+ \S+ \S+)?", line) for line in lines)


@pytest.mark.parametrize("split", MINIMUM)
def test_sizes(corpus, split):
    assert len(corpus[split]) >= MINIMUM[split]
    tokens = sum(map(len, corpus[split]))
    assert 12 <= tokens / len(corpus[split]) <= 15
    entities = collections.Counter(row[3][2:] for s in corpus[split] for row in s if row[3] != "O")
    assert set(entities) == ENTITIES


def test_parts_of_speech_are_known(corpus):
    used = {row[1] for _, sentence in sentences(corpus) for row in sentence}
    assert used <= PENN_TREEBANK


@pytest.mark.parametrize("column, types", [(2, CONLL_2000), (3, ENTITIES)])
def test_spans_are_well_formed_iob2(corpus, column, types):
    for _, sentence in sentences(corpus):
        before = "O"
        for row in sentence:
            tag = row[column]
            assert tag == "O" or (tag[:2] in ("B-", "I-") and tag[2:] in types), sentence
            assert not tag.startswith("I-") or before[2:] == tag[2:], sentence
            before = tag


def test_no_sentence_twice(corpus):
    spelled = [" ".join(row[0] for row in sentence).lower() for _, sentence in sentences(corpus)]
    assert [text for text, count in collections.Counter(spelled).items() if count > 1] == []


def pattern(sentence):
    """A sentence with its entities and numbers masked: what is left of a filled template."""
    masked = []
    for word, pos, _, entity in sentence:
        if entity.startswith("I-"):
            continue
        masked.append(entity[2:] if entity != "O" else "0" if pos == "CD" else word.lower())
    return masked


def test_no_near_copies_between_splits(corpus):
    """No sentence of validation or test shares its pattern with one of another split, nor more
    than half of its three-word sequences."""
    found = []
    index = collections.defaultdict(list)
    seen = {}
    grams_of = []
    for number, (split, sentence) in enumerate(sentences(corpus)):
        masked = pattern(sentence)
        padded = ["<s>", *masked, "</s>"]
        grams = set(zip(padded, padded[1:], padded[2:], strict=False))
        grams_of.append((split, grams))
        if len(masked) >= 5:
            other, text = seen.setdefault(tuple(masked), (split, sentence))
            if other != split:
                found.append((" ".join(masked), text))
            shared = collections.Counter(other for gram in grams for other in index[gram])
            for other, count in shared.items():
                other_split, other_grams = grams_of[other]
                if other_split != split and count / len(grams | other_grams) > 0.5:
                    found.append((" ".join(masked), other))
            for gram in grams:
                index[gram].append(number)
    assert found == []
