"""What is true of any sentence: generated ones are read, encoded, decoded and tagged."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets import WCDataset, collate
from inference import Tagger
from machinery.errors import visible
from machinery.runs import fingerprint
from machinery.spans import scores, spans
from machinery.text import split_words, word_places
from utils import create_maps, read_words_tags

# The same examples in every run, without time limits.
settings.register_profile(
    "tests",
    derandomize=True,
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("tests")

# Anything that UTF-8 can hold except what separates lines and columns.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\n\t")
WORDS = st.text(CHARACTERS, min_size=1, max_size=12).filter(
    lambda word: word.strip(" ") == word and not word.startswith(("-DOCSTART-", "\ufeff"))
)
TAGS = st.sampled_from(["O", "B-PER", "I-PER", "E-PER", "S-LOC", "I-LOC"])
SENTENCES = st.lists(st.lists(st.tuples(WORDS, TAGS), min_size=1, max_size=6), max_size=6)


def parts(sentences):
    """The words and the tags of sentences of pairs."""
    words = [[word for word, _ in sentence] for sentence in sentences]
    return words, [[tag for _, tag in sentence] for sentence in sentences]


@given(SENTENCES.filter(bool), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_what_is_written_is_read(tmp_path, sentences, end, bom, blank_line_last):
    text = (end * 2).join(
        end.join(f"{word}\t{tag}" for word, tag in sentence) for sentence in sentences
    )
    path = tmp_path / "corpus.txt"
    path.write_bytes(("\ufeff" * bom + text + end * 2 * blank_line_last).encode())
    assert read_words_tags(path) == parts(sentences)


@given(SENTENCES.filter(bool), SENTENCES.filter(bool))
def test_fingerprints_tell_sentences_apart(first, second):
    assert (fingerprint(*parts(first)) == fingerprint(*parts(second))) == (first == second)


@given(SENTENCES, SENTENCES.filter(bool), st.integers(1, 3), st.booleans())
def test_encoded_sentences_can_be_decoded(known, sentences, min_freq, caseless):
    """Maps of some sentences, the encoding of others."""
    words, tags = parts(sentences)
    word_map, char_map, tag_map = create_maps(*parts(known), min_freq, min_freq, caseless)
    data = WCDataset(words, tags, word_map, char_map, tag_map, caseless)
    batch = collate([data[i] for i in range(len(data))])
    assert batch.word_lengths.tolist() == [len(sentence) + 1 for sentence in words]
    assert batch.char_lengths.tolist() == data.char_lengths().tolist()
    entries, names = list(word_map), list(tag_map)
    for i, sentence in enumerate(words):
        for k, word in enumerate(sentence):
            forward, backward = batch.forward_markers[i, k], batch.backward_markers[i, k]
            spelled = [char_map.get(char, char_map["<unk>"]) for char in word]
            assert batch.forward_chars[i, forward - len(word) : forward].tolist() == spelled
            assert (
                batch.backward_chars[i, backward - len(word) : backward].tolist() == (spelled[::-1])
            )
            entry = entries[batch.words[i, k]]
            assert entry in (word.lower() if caseless else word, "<unk>")
            if batch.tags[i, k] >= 0:
                assert names[batch.tags[i, k] % len(names)] == tags[i][k]
            else:
                assert not {tags[i][k], *tags[i][k - 1 : k]} <= tag_map.keys()


@given(st.lists(TAGS, max_size=12))
def test_every_word_with_a_tag_but_o_is_in_one_entity(tags):
    covered = [i for _, begin, end in spans(tags) for i in range(begin, end)]
    assert covered == [i for i, tag in enumerate(tags) if tag != "O"]
    for kind, begin, end in spans(tags):
        assert {tag[2:] for tag in tags[begin:end]} == {kind}
        assert not any(tag[0] in "BS" for tag in tags[begin + 1 : end])
    if tags:
        assert scores([tags], [tags])["accuracy"] == 1


@pytest.fixture(scope="module")
def tagger(tiny_checkpoint):
    return Tagger(tiny_checkpoint, device="cpu")


@given(sentences=st.lists(st.lists(st.text(max_size=12), max_size=6), max_size=4))
@settings(max_examples=25)
def test_any_sentence_is_tagged(tagger, sentences):
    """Even with empty words, spaces and lone surrogates; alone or among others."""
    found = tagger.tag(sentences)
    assert list(map(len, found)) == list(map(len, sentences))
    assert found == [tagger.tag([sentence])[0] for sentence in sentences]


@given(
    st.text(
        st.characters() | st.sampled_from(".,'-/@:&’ nt\n\x1b\u202e\u0301😂🏽🇫\u200d\ufe0f₹"),
        max_size=60,
    )
)
def test_splitting_loses_nothing_but_spaces_and_nothing_shown_breaks_a_line(text):
    words = split_words(text)
    assert "".join(words) == "".join(text.split())
    assert words == [text[start:end] for start, end in word_places(text)]
    for word in words:
        shown = visible(word)
        assert len(shown.splitlines()) == 1 and shown.encode()
        assert shown == word or "\\" in shown
