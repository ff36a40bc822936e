"""The parts of the network, one by one and together."""

import math
import os
import shutil
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from datasets import WCDataset, collate
from inference import ViterbiDecoder
from models import (
    CRF,
    LM_LSTM_CRF,
    Dropout,
    Highway,
    LanguageModelLoss,
    ViterbiLoss,
    WordEmbeddings,
    WordLSTM,
)
from utils import create_maps

SENTENCES = [
    "Dunston checks in at the Majestic Hotel .".split(),
    "Paris".split(),
    "the hotel in Paris is majestic".split(),
    ["x" * 60, "."],
]
TAGS = [["T"] * len(words) for words in SENTENCES]
MAPS = create_maps(SENTENCES, TAGS, 1, 1)
SMALL = dict(char_emb_dim=5, char_rnn_dim=6, word_emb_dim=7, word_rnn_dim=8)


def model_of(seed=0, **arguments):
    torch.manual_seed(seed)
    word_map, char_map, tag_map = MAPS
    sizes = dict(tagset_size=len(tag_map), charset_size=len(char_map))
    sizes |= dict(vocab_size=len(word_map), lm_vocab_size=len(word_map))
    return LM_LSTM_CRF(**sizes | SMALL | arguments)


def batch_of(*indices):
    dataset = WCDataset(SENTENCES, TAGS, *MAPS)
    return collate([dataset[i] for i in indices])


# Parts -------------------------------------------------------------------------------------------


def test_highway_is_its_equation():
    highway = Highway(4, num_layers=2).eval()
    x = torch.randn(3, 5, 4)
    expected = x
    for transform, gate in zip(highway.transforms, highway.gates, strict=True):
        g = torch.sigmoid(gate(expected))
        expected = g * F.relu(transform(expected)) + (1 - g) * expected
    torch.testing.assert_close(highway(x), expected)
    for gate in highway.gates:
        nn.init.constant_(gate.bias, -100)
    torch.testing.assert_close(highway(x), x)  # a closed gate lets the input pass untouched


def test_word_lstm_is_a_packed_bidirectional_lstm():
    torch.manual_seed(0)
    word_lstm = WordLSTM(5, 8, num_layers=2).eval()
    packed = nn.LSTM(5, 4, num_layers=2, bidirectional=True, batch_first=True)
    with torch.no_grad():
        for i in range(2):
            for ours, suffix in ((word_lstm.rightward[i], ""), (word_lstm.leftward[i], "_reverse")):
                for name, parameter in ours.named_parameters():
                    getattr(packed, name.replace("_l0", f"_l{i}{suffix}")).copy_(parameter)
    x, lengths = torch.randn(4, 9, 5), torch.tensor([3, 9, 1, 7])
    sequence = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(packed(sequence)[0], batch_first=True)
    found = word_lstm(x, lengths)
    for n, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[n, :length], expected[n, :length])


def test_an_odd_word_lstm_in_one_direction():
    lstm = WordLSTM(3, 5, num_layers=2, bidirectional=False)
    assert lstm(torch.randn(2, 4, 3), torch.tensor([4, 1])).shape == (2, 4, 5)


def test_odd_word_lstm_is_refused():
    with pytest.raises(ValueError, match="expected an even number.*found 7"):
        WordLSTM(5, 7)


def test_crf_adds_emission_and_transition():
    crf = CRF(6, 4)
    nn.init.normal_(crf.transition)
    features = torch.randn(2, 3, 6)
    scores = crf(features)
    assert scores.shape == (2, 3, 4, 4)
    for n, k, i, j in [(0, 0, 0, 0), (1, 2, 3, 1), (0, 1, 2, 3)]:
        expected = crf.emission(features[n, k])[j] + crf.transition[i, j]
        torch.testing.assert_close(scores[n, k, i, j], expected)


def test_word_embeddings_start_small():
    embeddings = model_of().word_embeddings.corpus
    bound = math.sqrt(3 / embeddings.embedding_dim)
    assert bound / 2 < embeddings.weight.abs().max() <= bound


def test_word_embeddings_are_one_table_in_two_parts():
    table, words = torch.randn(9, 4), torch.arange(9).view(3, 3)
    for of_corpus in (9, 6, 1):
        embeddings = WordEmbeddings(9, of_corpus, 4)
        with torch.no_grad():
            embeddings.corpus.weight.copy_(table[:of_corpus])
            embeddings.others.weight.copy_(table[of_corpus:])
        assert embeddings(words).equal(table[words])


# The language models' loss -------------------------------------------------------------------


def test_language_model_loss_by_hand():
    word_map = MAPS[0]
    V = word_map["paris"] + 1  # whatever comes later in word_map counts as <unk>
    assert V < len(word_map)
    batch = batch_of(0, 1, 2)
    torch.manual_seed(0)
    forward, backward = torch.randn(2, *batch.words.shape, V)
    expected_forward, expected_backward = [], []
    for n, i in enumerate((0, 1, 2)):
        ids = [word_map[word.lower()] for word in SENTENCES[i]]
        ids = [id_ if id_ < V else word_map["<unk>"] for id_ in ids]
        for k in range(len(ids)):
            following = (*ids, word_map["<end>"])[k + 1]
            preceding = (word_map["<end>"], *ids)[k]
            expected_forward.append(-forward[n, k].log_softmax(0)[following])
            expected_backward.append(-backward[n, k].log_softmax(0)[preceding])
    assert any(id_ >= V for id_ in word_map.values())
    expected = torch.stack(expected_forward).mean() + torch.stack(expected_backward).mean()
    torch.testing.assert_close(LanguageModelLoss(word_map, V)(forward, backward, batch), expected)


def test_no_language_model_sees_what_it_predicts():
    """Other words on one side leave the scores for that side as they were."""
    word_map, char_map, tag_map = MAPS
    model = model_of(dropout=0.0)
    sentences = ["in Paris is the".split(), "in Paris Dunston checks".split()]
    dataset = WCDataset(sentences, None, *MAPS)
    _, forward, _ = model(collate([dataset[0], dataset[1]]))
    torch.testing.assert_close(forward[0, :2], forward[1, :2])
    assert not torch.allclose(forward[0, 2], forward[1, 2])
    dataset = WCDataset([words[::-1] for words in sentences], None, *MAPS)
    _, _, backward = model(collate([dataset[0], dataset[1]]))
    torch.testing.assert_close(backward[0, 2:4], backward[1, 2:4])
    assert not torch.allclose(backward[0, 1], backward[1, 1])


# The whole model ---------------------------------------------------------------------------------


def test_shapes_and_language_models_in_training_only():
    model, batch = model_of(), batch_of(0, 1, 2)
    m, V = len(MAPS[2]), len(MAPS[0])
    crf_scores, forward, backward = model.train()(batch)
    assert crf_scores.shape == (3, 9, m, m)
    assert forward.shape == backward.shape == (3, 9, V)

    computed = []
    for name in ("forward_lm_highway", "backward_lm_highway", "forward_lm_out", "backward_lm_out"):
        getattr(model, name).register_forward_hook(lambda *_: computed.append(1))
    crf_scores, forward, backward = model.eval()(batch)
    assert crf_scores.shape == (3, 9, m, m)
    assert forward is None and backward is None and not computed


def test_sizes_as_described():
    model = LM_LSTM_CRF(5, 80, 1000, 900, 950)
    assert model.char_embeddings.embedding_dim == 30
    assert model.forward_char_lstm.hidden_size == model.backward_char_lstm.hidden_size == 300
    assert model.word_embeddings.corpus.weight.shape == (950, 100)
    assert model.word_embeddings.others.weight.shape == (50, 100)
    assert model.crf.emission.in_features == 300
    assert model.word_lstm.rightward[0].hidden_size == 150
    assert model.word_lstm.rightward[0].input_size == 100 + 600
    assert model.forward_lm_out.weight.shape == (900, 300)
    highways = [model.forward_lm_highway, model.backward_lm_highway, model.subword_highway]
    assert [len(highway.gates) for highway in highways] == [1, 1, 1]
    assert model.dropout.p == 0.5


def test_there_are_as_many_layers_as_the_arguments_say():
    model = model_of(char_rnn_layers=2, word_rnn_layers=3, highway_layers=4)
    assert [model.forward_char_lstm.num_layers, model.backward_char_lstm.num_layers] == [2, 2]
    assert [len(model.word_lstm.rightward), len(model.word_lstm.leftward)] == [3, 3]
    highways = [model.forward_lm_highway, model.backward_lm_highway, model.subword_highway]
    assert [len(highway.gates) for highway in highways] == [4, 4, 4]


@pytest.mark.parametrize(
    "arguments", [{}, dict(char_rnn_layers=2, word_rnn_layers=2, highway_layers=2)]
)
@pytest.mark.parametrize("training", [True, False])
def test_a_sentence_does_not_depend_on_its_batch(arguments, training):
    """Nor on its place: the scores come in the caller's order."""
    model = model_of(dropout=0.0, **arguments).train(training)
    together = model(batch_of(1, 3, 0, 2))
    for row, i in enumerate((1, 3, 0, 2)):
        alone = model(batch_of(i))
        words = len(SENTENCES[i]) + 1
        for batched, single in zip(together, alone, strict=True):
            if training or single is not None:
                torch.testing.assert_close(
                    batched[row, :words], single[0, :words], rtol=1e-4, atol=1e-6
                )


def test_gradients_do_not_depend_on_pads():
    model = model_of(dropout=0.0)

    def gradients(batch):
        model.zero_grad()
        scores, *_ = model(batch)
        scores[0, :2].sum().backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    short, padded = batch_of(1), batch_of(1, 3)
    for alone, batched in zip(gradients(short), gradients(padded), strict=True):
        torch.testing.assert_close(alone, batched, rtol=1e-4, atol=1e-6)


def test_case_reaches_the_model_through_the_characters():
    word_map, char_map, tag_map = MAPS
    dataset = WCDataset([["Paris"], ["paris"]], None, word_map, char_map, tag_map)
    batch = collate([dataset[0], dataset[1]])
    assert torch.equal(batch.words[0], batch.words[1])
    scores, _, _ = model_of().eval()(batch)
    assert not torch.allclose(scores[0, 0], scores[1, 0])


@pytest.mark.parametrize("fine_tune", [False, True])
@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD])
def test_which_rows_of_given_embeddings_are_trained(fine_tune, optimizer):
    """Those of the training data's words: all, or only those that the file lacks."""
    words = len(MAPS[0])
    model = model_of(vocab_size=words + 2, corpus_vocab_size=words)
    given = torch.randn(words + 2, SMALL["word_emb_dim"])
    model.init_word_embeddings(given)
    has_vector = torch.arange(words + 2) % 2 == 0
    model.fine_tune_word_embeddings(fine_tune, has_vector)
    batch = batch_of(0)
    words_seen = batch.words[:, ::2].unique()
    batch = batch._replace(words=batch.words.masked_fill(batch.words == words_seen[0], words + 1))
    arguments = dict(weight_decay=0.0) if optimizer is torch.optim.AdamW else dict(momentum=0.9)
    step = optimizer([p for p in model.parameters() if p.requires_grad], lr=0.1, **arguments)
    for _ in range(2):
        step.zero_grad()
        model(batch)[0].sum().backward()
        step.step()

    embeddings = model.word_embeddings
    now = torch.cat((embeddings.corpus.weight, embeddings.others.weight)).detach()
    moved = (now != given).any(1)
    expected = torch.zeros_like(moved)
    expected[batch.words.unique()] = True
    expected[words:] = False
    if not fine_tune:
        expected &= ~has_vector
    assert 1 < expected.sum() < words and moved.equal(expected)
    assert embeddings.others.weight.grad is None  # as large as the file, it would take much memory


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_what_the_cpu_gives():
    model, batch = model_of(dropout=0.0).train(), batch_of(0, 1, 2, 3)
    expected = model(batch)
    on_cuda = model.to("cuda")(batch.to("cuda"))
    for found, on_cpu in zip(on_cuda, expected, strict=True):
        torch.testing.assert_close(found.cpu(), on_cpu, rtol=1e-3, atol=1e-4)
    targets, lengths = batch.tags, batch.word_lengths
    loss, decoder = ViterbiLoss(MAPS[2]), ViterbiDecoder(MAPS[2])
    on_cpu = loss(expected[0], targets, lengths)
    found = loss.to("cuda")(on_cuda[0], targets.to("cuda"), lengths.to("cuda"))
    torch.testing.assert_close(found.cpu(), on_cpu, rtol=1e-3, atol=1e-4)
    paths = decoder.decode(expected[0].to("cuda"), lengths.to("cuda"))
    assert paths == decoder.decode(expected[0], lengths)


def test_dropout_keeps_the_mean():
    torch.manual_seed(0)
    dropout = Dropout(0.2)
    x = torch.ones(100_000)
    found = dropout(x)
    assert set(found.unique().tolist()) == {0.0, 1.25}
    assert found.mean().item() == pytest.approx(1, abs=0.01)
    assert Dropout(0.0)(x).equal(x) and dropout.eval()(x).equal(x)


# On its own --------------------------------------------------------------------------------------

# Each word is the letter x or y; its tag says which letter came before, or none.
TOY = """
import collections
import itertools
import sys

import torch
from models import LM_LSTM_CRF, LanguageModelLoss, ViterbiLoss

Batch = collections.namedtuple(
    "Batch",
    "words forward_chars backward_chars forward_markers backward_markers tags "
    "word_lengths char_lengths",
)
word_map = {"<pad>": 0, "<end>": 1, "<unk>": 2, "x": 3, "y": 4}
char_map = {"<pad>": 0, "<end>": 1, "<unk>": 2, " ": 3, "x": 4, "y": 5}
tag_map = {"<start>": 0, "none": 1, "x": 2, "y": 3, "<end>": 4}

rows = []
for words in itertools.product("xy", repeat=4):
    tags = ["<start>", "none", *words[:-1], "<end>"]
    spelled = [char_map[char] for word in words for char in (word, " ")]
    backward = [char_map[char] for word in reversed(words) for char in (word, " ")]
    rows.append((
        [word_map[word] for word in words] + [word_map["<end>"]],
        spelled + [char_map["<end>"]],
        backward + [char_map["<end>"]],
        [1, 3, 5, 7, 8],
        [7, 5, 3, 1, 8],
        [tag_map[i] * len(tag_map) + tag_map[j] for i, j in itertools.pairwise(tags)],
        5,
        9,
    ))
batch = Batch(*map(torch.tensor, zip(*rows)))

torch.manual_seed(0)
model = LM_LSTM_CRF(
    len(tag_map), len(char_map), len(word_map), len(word_map), char_emb_dim=4, char_rnn_dim=8,
    word_emb_dim=4, word_rnn_dim=8, dropout=0.0,
)
lm_loss, viterbi_loss = LanguageModelLoss(word_map, len(word_map)), ViterbiLoss(tag_map)
for _ in range(80):
    scores, forward_lm, backward_lm = model(batch)
    loss = lm_loss(forward_lm, backward_lm, batch)
    loss = loss + viterbi_loss(scores, batch.tags, batch.word_lengths)
    model.zero_grad()
    loss.backward()
    for parameter in filter(lambda p: p.requires_grad, model.parameters()):
        parameter.data -= 0.02 * parameter.grad.sign()  # PyTorch's optimisers take long to import

model.eval()
with torch.no_grad():
    scores, *_ = model(batch)
    _, before = viterbi_loss.forward_algorithm(scores)
    steps = viterbi_loss.step_probabilities(scores, before, batch.word_lengths)
print((steps.sum(2).argmax(2) == batch.tags % len(tag_map)).float().mean().item())
print({"machinery", "datasets", "utils"} & set(sys.modules))
"""


def test_a_copy_of_the_file_works_elsewhere(root, tmp_path):
    """Alone in a folder, in a new process, it learns a toy task."""
    shutil.copy(root / "models.py", tmp_path)
    (tmp_path / "toy.py").write_text(TOY)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "toy.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["1.0", "set()"]
