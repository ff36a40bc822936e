"""Spans and scores, against seqeval and by hand."""

import random

import pytest

from machinery.spans import are_spans, scores, spans

PREFIXES = {"IOB": "IB", "BIOES": "BIES"}


def random_tags(generator, prefixes, length):
    """Tags in any order: most of the sequences are ill-formed."""
    tags = ["O", "O"] + [f"{prefix}-{kind}" for prefix in prefixes for kind in ("PER", "LOC-X")]
    return [generator.choice(tags) for _ in range(length)]


@pytest.mark.parametrize("prefixes", PREFIXES.values(), ids=PREFIXES.keys())
def test_spans_and_entity_scores_are_seqevals(prefixes):
    from seqeval.metrics import f1_score, precision_score, recall_score  # takes seconds
    from seqeval.metrics.sequence_labeling import get_entities

    generator = random.Random(0)
    gold, predicted = [], []
    for _ in range(2000):
        length = generator.randint(1, 12)
        gold.append(random_tags(generator, prefixes, length))
        predicted.append(random_tags(generator, prefixes, length))
        expected = [(kind, begin, end + 1) for kind, begin, end in get_entities(gold[-1])]
        assert spans(gold[-1]) == expected
    result = scores(gold, predicted)
    assert result["entity_f1"] == pytest.approx(f1_score(gold, predicted))
    assert result["precision"] == pytest.approx(precision_score(gold, predicted))
    assert result["recall"] == pytest.approx(recall_score(gold, predicted))
    for kind, of_kind in result["types"].items():
        only = [[[t if kind in t else "O" for t in s] for s in part] for part in (gold, predicted)]
        assert of_kind["f1"] == pytest.approx(f1_score(*only))


def conlleval_starts(tags):
    """The types of the entities that the CoNLL scorer counts, as its rules for a beginning are."""
    starts, before, type_before = [], "O", ""
    for tag in tags:
        chunk, _, kind = tag.partition("-")
        begins = chunk == "B" and before in "BIO" or chunk == "I" and before == "O"
        if begins or (chunk not in ("O", ".") and kind != type_before):
            starts.append(kind)
        before, type_before = chunk, kind
    return starts


def test_odd_tags_count_as_in_the_conll_scorer():
    generator = random.Random(0)
    tags = ["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "0", "NER", "_", "-", ".", "X-ORG"]
    for _ in range(3000):
        sentence = [generator.choice(tags) for _ in range(generator.randint(1, 8))]
        assert [kind for kind, *_ in spans(sentence)] == conlleval_starts(sentence), sentence


@pytest.mark.parametrize(
    "tags, expected",
    [
        (["O", "I-PER", "I-PER"], [("PER", 1, 3)]),
        (["B-PER", "I-LOC"], [("PER", 0, 1), ("LOC", 1, 2)]),
        (["B-PER", "B-PER"], [("PER", 0, 1), ("PER", 1, 2)]),
        (["S-PER", "I-PER"], [("PER", 0, 1), ("PER", 1, 2)]),
        (["B-PER", "E-PER", "E-PER"], [("PER", 0, 2), ("PER", 2, 3)]),
        (["0", "O", "0", "B-PER"], [("PER", 3, 4)]),
        (["B-PER", "0", "I-PER", "O"], [("PER", 0, 1), ("", 1, 2), ("PER", 2, 3)]),
        (["B-PER", "0", "_", "O", "NER"], [("PER", 0, 1), ("", 1, 3)]),
        ([], []),
    ],
)
def test_spans_by_hand(tags, expected):
    assert spans(tags) == expected


def test_scores_are_counted_over_the_corpus_not_averaged():
    gold = [["B-A"], ["B-A"] * 9]
    predicted = [["O"], ["B-A"] * 9]
    result = scores(gold, predicted)
    assert result["recall"] == pytest.approx(9 / 10)  # the mean over sentences would be 1 / 2
    assert result["precision"] == 1
    assert result["accuracy"] == pytest.approx(9 / 10)


def test_macro_f1_is_the_mean_over_the_tags_of_gold_or_prediction():
    # N: 2 right of 3 gold, 2 predicted -> 4/5. V: 1 right of 1 gold, 2 predicted -> 2/3. X: 0.
    gold = [["N", "N", "V"], ["N"]]
    predicted = [["N", "V", "V"], ["N"]]
    assert scores(gold, predicted)["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    predicted = [["N", "V", "V"], ["X"]]
    # N: 1 right of 3 gold, 1 predicted -> 1/2. X is only predicted, and counts.
    assert scores(gold, predicted)["macro_f1"] == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)


def test_macro_f1_counts_o_like_any_other_tag():
    gold, predicted = [["O", "O", "B-A", "O"]], [["O", "O", "O", "O"]]
    o, b = 2 * 3 / (4 + 3), 0
    assert scores(gold, predicted)["macro_f1"] == pytest.approx((o + b) / 2)


def test_entity_scores_only_where_tags_mark_spans():
    assert "entity_f1" not in scores([["NN", "O"]], [["NN", "O"]])
    assert are_spans({"B-A", "I-A", "O"}) and are_spans({"S-A", "O"}) and are_spans({"B", "I", "O"})
    assert not are_spans({"NN", "B-A"}) and not are_spans({"O"})


def test_nothing_to_find_and_nothing_found():
    result = scores([["B-A"], ["O"]], [["O"], ["O"]])
    assert result["precision"] == result["recall"] == result["entity_f1"] == 0
    assert result["types"]["A"]["gold"] == 1 and result["types"]["A"]["predicted"] == 0


def test_sentences_of_different_length_are_a_programming_error():
    with pytest.raises(ValueError):
        scores([["O", "O"]], [["O"]])
