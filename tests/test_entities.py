"""Entities: their places in a text, and how probable they are."""

import json
import math

import pytest
import torch
from oracle import all_paths

from inference import Tagger, ViterbiDecoder
from machinery.entities import as_json, probable_spans
from machinery.spans import spans

ODD = "Dunston  \u201cchecks\u201d\tin at Cafe\u0301 👍🏽 Majestic\u00a0Hotel 🇫🇷, Paris!"


@pytest.fixture(scope="module")
def tagger(tiny_checkpoint):
    return Tagger(str(tiny_checkpoint), "cpu")


TAGS = {
    "IOB1": ["O", "I-A", "B-A", "I-B", "B-B"],
    "IOB2": ["O", "B-A", "I-A", "B-B", "I-B"],
    "BIOES": ["O", "B-A", "I-A", "E-A", "S-A"],
    None: ["O", "B-A", "E-A", "I-A", "B", "I"],  # no rules, also without a type
}


@pytest.mark.parametrize("scheme", TAGS)
@pytest.mark.parametrize("seed", range(4))
def test_the_probability_of_a_span_is_that_of_all_paths_with_it(scheme, seed):
    names = ["<start>", *TAGS[scheme], "<end>"]
    tag_map = {tag: index for index, tag in enumerate(names)}
    torch.manual_seed(seed)
    lengths = torch.tensor([6, 4, 2, 1])
    scores = 2 * torch.randn(4, 6, len(names), len(names), dtype=torch.float64)
    scores[..., tag_map["O"]] -= 1
    decoder = ViterbiDecoder(tag_map, scheme)
    found = probable_spans(decoder, scores, lengths, dict(enumerate(names)))
    assert sum(map(len, found)) > 2 and found[3] == []
    constrained = decoder.constrain(scores)
    for of_sentence, length, some in zip(constrained, lengths.tolist(), found, strict=True):
        paths = all_paths(of_sentence, length, tag_map)
        most = max(paths.values())
        weights = {path: math.exp(score - most) for path, score in paths.items()}
        for *span, probability in some:
            having = (
                weight
                for path, weight in weights.items()
                if tuple(span) in spans([names[tag] for tag in path])
            )
            assert probability == pytest.approx(sum(having) / sum(weights.values()), abs=1e-9)


def test_a_long_sentence(tagger):
    """Logs of sums grow with it; probabilities must stay what they are."""
    words = ["Dunston", "checks", "in", "."] * 400
    found = tagger.entities([words])[0] + tagger.entities([" ".join(words)])[0]
    assert all(0 <= entity["probability"] <= 1 for entity in found)


@pytest.mark.parametrize("text", [ODD, "", " ", "a\ud800b Paris", "\u0301 Paris\ufeff"])
def test_a_string_s_entities_are_where_they_say(tagger, text, monkeypatch):
    # Whatever the model finds: here, everything from the second word on.
    monkeypatch.setattr(
        "machinery.entities.probable_spans",
        lambda decoder, scores, lengths, names: [
            [("A", i, i + 1 + i % 2, 0.5) for i in range(0, n - 2, 2)] for n in lengths.tolist()
        ],
    )
    for entity in tagger.entities([text])[0]:
        assert text[entity["start"] : entity["end"]] == entity["text"]
        assert "".join(entity["words"]) == "".join(entity["text"].split())


def test_lists_of_words_get_the_numbers_of_words(tagger):
    words = ["Majestic", "Hotel", ",", "Paris"]
    raw, listed = tagger.entities(["Majestic  Hotel, Paris", words])
    tags = tagger.tag([words])[0]
    assert [(e["type"], e["start"], e["end"]) for e in listed] == spans(tags)
    assert [e["words"] for e in raw] == [e["words"] for e in listed]
    assert [e["probability"] for e in raw] == [e["probability"] for e in listed]
    for entity in listed:
        assert words[entity["start"] : entity["end"]] == entity["words"]


def test_tags_without_spans_are_given_word_by_word(tagger, monkeypatch):
    names = {index: f"X{index}" for index in tagger.tag_names}
    monkeypatch.setattr(tagger, "tag_names", names)
    (found,) = tagger.entities(["It's old."])
    assert [(e["text"], e["start"], e["end"]) for e in found] == [
        ("It", 0, 2),
        ("'s", 2, 4),
        ("old", 5, 8),
        (".", 8, 9),
    ]
    assert all(e["tag"].startswith("X") and 0 < e["probability"] <= 1 for e in found)


@pytest.mark.parametrize(
    "word, shown",
    [(math.nan, "nan"), (None, "None"), (b"x", "b'x'"), (["x"], r"\['x'\]"), (3, "3")],
)
def test_words_that_are_no_strings_are_refused_by_name(tagger, word, shown):
    methods = tagger.tag, tagger.tag_with_confidence, tagger.entities
    for method in (*methods, lambda some: tagger.nbest(some, 2), lambda s: list(tagger.stream(s))):
        with pytest.raises(TypeError, match=f"sentence 2, word 3: expected a .*, found {shown}"):
            method([["a"], ["a", "b", word]])
    if not isinstance(word, list):
        with pytest.raises(TypeError, match=f"sentence 2: expected a list of words, found {shown}"):
            tagger.tag([["a"], word])


def test_json_is_one_object_in_a_line(run_inference, tagger, tiny_checkpoint, tmp_path):
    lines = [ODD, "", "Paris \u2028 \x85 Jones", "é\u200d"]
    file = tmp_path / "columns.txt"
    file.write_text("Majestic Hotel\tB-LOC\n,\tO\n\nParis\tO\n", encoding="utf-8")
    given = ("--checkpoint", tiny_checkpoint, "--json")
    cases = [
        ((), lines),
        (("--tokenized",), lines),
        (("--conll", file), ["Majestic Hotel ,", "Paris"]),
    ]
    for arguments, texts in cases:
        stdin = None if "--conll" in arguments else "".join(f"{t}\n" for t in lines).encode()
        status, errors, output = run_inference(*given, *arguments, stdin=stdin)
        assert status == 0, errors
        found = list(map(json.loads, output.rstrip("\n").split("\n")))
        assert output.count("\n") == len(output.splitlines()) == len(texts)
        assert [one["text"] for one in found] == texts
        for one in found:
            for entity in one["entities"]:
                assert one["text"][entity["start"] : entity["end"]] == entity["text"]
        if not arguments:
            expected = [round(e["probability"], 4) for e in tagger.entities([ODD])[0]]
            assert [e["probability"] for e in found[0]["entities"]] == expected
    assert "Cafe\u0301 👍🏽" in as_json([ODD])  # readable


@pytest.mark.parametrize("text", ["\ud800", "\u2028\x85\x7f\x1b", 'é"\\'])
def test_json_can_always_be_written_and_read(text):
    line = as_json({"text": text})
    assert json.loads(line.encode()) == {"text": text} and len(line.splitlines()) == 1


@pytest.mark.parametrize("text", ["Paris is old.", b"Paris"])
def test_one_text_is_no_list_of_texts(tagger, text):
    with pytest.raises(TypeError, match="expected a list of texts, found one: b?'Paris"):
        tagger.entities(text)
