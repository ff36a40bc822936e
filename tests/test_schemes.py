"""IOB1, IOB2 and BIOES: detected, converted, and obeyed in decoding."""

import itertools
import random
import types

import pytest
import torch

import inference
import train
from inference import Tagger, ViterbiDecoder
from machinery.checkpoints import load_checkpoint
from machinery.errors import InputError
from machinery.spans import convert_scheme, detect_scheme, may_follow, scores, spans
from utils import read_words_tags

# Two places side by side, an entity at the start and at the end, a sentence without any.
WRITTEN = {
    "IOB1": ["I-PER O I-LOC I-LOC B-LOC I-PER", "O O", "", "I-LOC"],
    "IOB2": ["B-PER O B-LOC I-LOC B-LOC B-PER", "O O", "", "B-LOC"],
    "BIOES": ["S-PER O B-LOC E-LOC S-LOC S-PER", "O O", "", "S-LOC"],
}
WRITTEN = {scheme: [line.split() for line in lines] for scheme, lines in WRITTEN.items()}


@pytest.mark.parametrize("scheme", WRITTEN)
def test_detection_and_conversion(scheme):
    assert detect_scheme(WRITTEN[scheme]) == scheme
    for target in ("IOB2", "BIOES"):
        assert convert_scheme(WRITTEN[scheme], target) == WRITTEN[target]


@pytest.mark.parametrize("scheme", WRITTEN)
def test_tags_without_types(scheme):
    """Bare letters are one type, called ""; "B-" is another word for B."""
    written = {"IOB1": "I O I I B O", "IOB2": "B O B I B O", "BIOES": "S O B E S O"}
    bare = {name: [tags.split(), ["O"]] for name, tags in written.items()}
    assert detect_scheme(bare[scheme]) == scheme
    for target in ("IOB2", "BIOES"):
        assert convert_scheme(bare[scheme], target) == bare[target]
    assert spans(["O", "I", "I", "O"]) == spans(["O", "B-", "I", "O"]) == [("", 1, 3)]
    assert not may_follow("O", "I", "IOB2") and may_follow("B", "I", "IOB2")
    assert may_follow("B", "E", "BIOES") and not may_follow("B", "B", "BIOES")


def test_the_end_of_a_sentence_ends_its_entity():
    """Detection counts that step, too, and decoding may not leave an entity open."""
    open_ends = [["B-A", "I-A", "E-A"], ["S-A"], ["O", "B-A"], ["O", "B-A"], ["O", "B-A"]]
    assert detect_scheme(open_ends) == "IOB2"
    for tag in ("B-A", "I-A"):
        assert not may_follow(tag, "O", "BIOES") and may_follow(tag, "O", "IOB2")
    tag_map = {t: i for i, t in enumerate(("<start>", "B-A", "E-A", "O", "<end>"))}
    scores = torch.zeros(1, 2, 5, 5)
    scores[:, :, :, 1] = 9.0  # B-A is by far the best tag
    assert ViterbiDecoder(tag_map, "BIOES").decode(scores, torch.tensor([2])) == [[3]]
    assert ViterbiDecoder(tag_map).decode(scores, torch.tensor([2])) == [[1]]


def test_where_the_scheme_leaves_no_path_there_are_tags_all_the_same():
    """In IOB2, training data that have I-PER alone allow nothing at all."""
    tag_map = {"<start>": 0, "I-PER": 1, "<end>": 2}
    scores, lengths = torch.randn(2, 4, 3, 3), torch.tensor([4, 2])
    decoder = ViterbiDecoder(tag_map, "IOB2")
    assert decoder.decode(scores, lengths) == [[1, 1, 1], [1]]
    ((paths, probability),) = decoder.best_paths(scores[:1], lengths[:1], 1)[0]
    assert paths == [1, 1, 1] and probability == pytest.approx(1)


def test_detection_of_other_tags():
    assert detect_scheme([["NN", "DT"]]) is None
    assert detect_scheme([["O", "O"]]) is None
    assert detect_scheme([["B", "I", "O"]]) == "IOB2"


@pytest.mark.parametrize("scheme", WRITTEN)
def test_a_slip_does_not_change_what_is_detected(scheme):
    for slip in WRITTEN.values():
        assert detect_scheme(3 * WRITTEN[scheme] + slip[:1]) == scheme
    assert detect_scheme([["O", "I-PER"], ["B-LOC", "I-LOC"]]) == "IOB2"


def test_there_and_back_again():
    generator = random.Random(0)
    starts = {"O": ["O", "B-A", "B-B"]}
    starts |= {f"{prefix}-{kind}": [*starts["O"], f"I-{kind}"] for prefix in "BI" for kind in "AB"}
    tags = []
    for _ in range(200):
        sentence = ["O"]
        for _ in range(generator.randrange(12)):
            sentence.append(generator.choice(starts[sentence[-1]]))
        tags.append(sentence)
    there = convert_scheme(tags, "BIOES")
    assert there != tags and convert_scheme(there, "IOB2") == tags
    assert list(map(spans, there)) == list(map(spans, tags))


def test_what_cannot_be_converted():
    with pytest.raises(InputError, match="expected None, 'IOB2' or 'BIOES', found 'IOB1'"):
        convert_scheme([["O"]], "IOB1")
    with pytest.raises(InputError, match="expected tags such as B-PER, found 'NN'"):
        convert_scheme([["O", "NN"]], "BIOES")
    assert convert_scheme([["O"], []], "BIOES") == [["O"], []]


@pytest.mark.parametrize("scheme", WRITTEN)
def test_what_may_follow_is_what_spans_can_be_written_as(scheme):
    """All sequences of four tags: allowed if and only if rewriting their spans changes nothing."""
    prefixes = "BIES" if scheme == "BIOES" else "BI"
    tags = ["O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in "AB")]
    count = 0
    for sequence in itertools.product(tags, repeat=4):
        steps = itertools.pairwise(("O", *sequence, "O"))
        allowed = all(may_follow(previous, tag, scheme) for previous, tag in steps)
        if scheme == "IOB1":
            well_formed = iob1(spans(sequence), 4) == list(sequence)
        else:
            well_formed = convert_scheme([sequence], scheme) == [list(sequence)]
        assert allowed == well_formed, sequence
        count += allowed
    assert 0 < count < len(tags) ** 4


def iob1(found, length):
    """Tags of spans in IOB1."""
    tags, end_before = ["O"] * length, (None, None)
    for kind, begin, end in found:
        tags[begin:end] = [f"I-{kind}"] * (end - begin)
        if end_before == (kind, begin):
            tags[begin] = f"B-{kind}"
        end_before = (kind, end)
    return tags


def test_training_in_another_scheme(tiny_train, monkeypatch, capsys):
    monkeypatch.setattr(tiny_train, "tag_scheme", "BIOES")
    tiny_train.main()
    out = capsys.readouterr().out
    assert "tags taken for IOB2, 0 of" in out and "spans break it; read as BIOES\n" in out
    state = load_checkpoint(tiny_train.last_file)
    assert state["scheme"] == "BIOES"
    assert {"S-PER", "B-LOC", "E-LOC"} <= set(state["tag_map"])
    tags = Tagger(tiny_train.last_file).tag([["Dunston", "in", "Paris"] * 5])
    assert convert_scheme(convert_scheme(tags, "IOB2"), "BIOES") == tags
    # Validation is in it, too: gold tags in IOB2 would never equal S-PER.
    words, gold = read_words_tags(tiny_train.val_file)
    found = Tagger(tiny_train.last_file).tag(words)
    expected = scores(convert_scheme(gold, "BIOES"), found)
    assert state["history"][-1]["accuracy"] == expected["accuracy"]
    assert state["history"][-1]["macro_f1"] == expected["macro_f1"]


@pytest.mark.parametrize("wanted, expected", [(None, "I"), ("IOB2", "B"), ("BIOES", "S")])
def test_ill_formed_tags_are_mended_where_a_scheme_is_wanted(tiny_corpus, wanted, expected):
    """Also where it is the scheme that the file has otherwise."""
    with open(tiny_corpus, "a", encoding="utf-8") as file:
        file.write("\nParis I-LOC\nis O\n")
    constants = types.SimpleNamespace(word_column=0, tag_column=-1, tag_scheme=wanted)
    assert train.read(str(tiny_corpus), constants)[1][-1] == [f"{expected}-LOC", "O"]


@pytest.mark.parametrize("constrain", [True, False])
def test_constrain_tags_counts_in_training_and_tagging(tiny_train, monkeypatch, constrain):
    decoders = []

    def predict(model, dataset, batch_size, decoder, *arguments, **more):
        decoders.append(decoder)
        return inference.predict(model, dataset, batch_size, decoder, *arguments, **more)

    monkeypatch.setattr(tiny_train, "predict", predict)
    monkeypatch.setattr(tiny_train, "constrain_tags", constrain)
    tiny_train.main()
    decoders.append(Tagger(tiny_train.last_file).decoder)
    assert len(decoders) == 3
    assert [decoder.step_penalty is not None for decoder in decoders] == [constrain] * 3
