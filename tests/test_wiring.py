"""How train.main puts the parts together: every constant reaches its place, every loss is the mean
that it claims to be. Each test runs main() with constants far from their defaults and computes by
hand what must come of them."""

import collections
import inspect
import itertools

import pytest
import torch
from common import equal
from constants_table import others
from torch import nn

import datasets
import inference
import models
from inference import Tagger
from machinery.checkpoints import load_checkpoint
from models import LanguageModelLoss, ViterbiLoss
from utils import create_input_tensors

# The tag first, then a column of no use, then the word.
CORPUS = """\
B-PER x Dunston
O x checks
O x in
O x at
O x Paris

B-PER x Jones
I-PER x Jones
O x checks
O x Checks

O x In
B-LOC x Paris
O x in
B-LOC x Lima

O x at
O x at
O x in
O x Zürich

B-PER x Jones

O x checks
O x paris

B-PER x Dunston
O x is
O x here
O x at
O x Zürich
O x .
"""
# A validation file whose second and third sentence have tags that training lacks. In batches of
# two, by length, it is At and Lima, in Paris and Lima Lima, and the last alone.
VALIDATION = """\
O x in
B-LOC x Paris

B-ORG x Lima

B-LOC x Lima
B-ORG x Lima

O x At

O x in
O x in
O x in
O x Zürich
"""


@pytest.fixture
def unusual_train(tiny_train, monkeypatch, tmp_path, on_cpu):
    """train.py with constants far from their defaults, for CORPUS."""
    (tmp_path / "corpus.txt").write_text(CORPUS, encoding="utf-8")
    (tmp_path / "validation.txt").write_text(VALIDATION, encoding="utf-8")
    constants = dict(
        train_file=str(tmp_path / "corpus.txt"),
        val_file=str(tmp_path / "validation.txt"),
        word_column=2,
        tag_column=0,
        min_word_freq=2,
        min_lm_freq=3,
        min_char_freq=4,
        batch_size=3,
        eval_batch_size=2,
        seed=7,
        epochs=2,
    )
    constants |= others("caseless char_rnn_layers word_rnn_layers highway_layers attention_heads")
    constants |= others("dropout")
    for name, value in constants.items():
        monkeypatch.setattr(tiny_train, name, value)
    return tiny_train


@pytest.fixture
def seen(monkeypatch):
    """What the model is given and the losses give, in training and in validation: a list of
    (training, module class, arguments, result)."""
    calls = []
    for kind in (models.LM_LSTM_CRF, LanguageModelLoss, ViterbiLoss):

        def spy(self, *arguments, kind=kind, forward=kind.forward):
            result = forward(self, *arguments)
            scores = result[0] if isinstance(result, tuple) else result
            calls.append((scores.requires_grad, kind, arguments, result))
            return result

        monkeypatch.setattr(kind, "forward", spy)
    return calls


def sentences_of(text):
    """(words, tags) of a corpus as above."""
    rows = [[line.split() for line in part.splitlines()] for part in text.strip().split("\n\n")]
    return [[r[2] for r in s] for s in rows], [[r[0] for r in s] for s in rows]


def test_maps_and_batches_are_what_the_constants_say(unusual_train, monkeypatch, seen):
    monkeypatch.setattr(unusual_train, "unk_rate", 0)
    unusual_train.main()
    state = load_checkpoint(unusual_train.last_file)
    words, tags = sentences_of(CORPUS)
    assert list(state["word_map"])[:3] == ["<pad>", "<end>", "<unk>"]
    counts = collections.Counter(word for sentence in words for word in sentence)
    frequent = {word for word, count in counts.items() if count >= 2}
    assert "Checks" in counts and set(list(state["word_map"])[3:]) == frequent
    chars = collections.Counter("".join(f"{word} " for sentence in words for word in sentence))
    assert set(list(state["char_map"])[3:]) == {c for c, count in chars.items() if count >= 4}
    assert list(state["tag_map"]) == ["<start>", "B-LOC", "B-PER", "I-PER", "O", "<end>"]
    arguments = state["model_arguments"]
    assert arguments["lm_vocab_size"] == 3 + sum(count >= 3 for count in counts.values())
    assert state["rare_from"] == len(state["word_map"])  # no word that occurs once has a row

    maps = state["word_map"], state["char_map"], state["tag_map"]
    data = datasets.WCDataset(words, tags, *maps, caseless=False)
    expected = []
    for epoch in range(2):
        sampler = datasets.LengthBatchSampler(data.char_lengths(), 3, shuffle=True, seed=7)
        sampler.set_epoch(epoch)
        expected += [
            datasets.collate([create_input_tensors(words[i], tags[i], *maps, False) for i in batch])
            for batch in sampler
        ]
    read = [args[0] for train, kind, args, _ in seen if train and kind is models.LM_LSTM_CRF]
    assert [len(batch.words) for batch in read] == [len(batch.words) for batch in expected]
    assert {len(batch.words) for batch in read} == {1, 3}
    assert all(equal(tuple(a), tuple(b)) for a, b in zip(read, expected, strict=True))
    assert Tagger(unusual_train.last_file).dataset([["Paris", "paris"]])[0][0].tolist() == [
        state["word_map"]["Paris"],
        state["word_map"]["<unk>"],  # occurs once
        state["word_map"]["<end>"],
    ]
    scores = [args[0] for _, kind, args, _ in seen if kind is LanguageModelLoss]
    assert len(scores) == 6 and {s.size(2) for s in scores} == {arguments["lm_vocab_size"]}


def test_processes_share_the_work(unusual_train, monkeypatch):
    """If each computed all of a batch, the result would be the same, but no faster."""
    loaders = []
    signature = inspect.signature(unusual_train.data_loader)

    def data_loader(*args, **kwargs):
        loaders.append(signature.bind(*args, **kwargs).arguments)
        return datasets.data_loader(*args, **kwargs)

    for module in (unusual_train, inference):
        monkeypatch.setattr(module, "data_loader", data_loader)
    unusual_train.main()
    training, *scoring = loaders
    assert training["shuffle"] and training["device"] == torch.device("cpu")
    assert [arguments["shuffle"] for arguments in scoring] == [False] * 3  # two epochs, the best
    assert all(arguments["shared"] for arguments in loaders)


def test_vectors_are_looked_up_as_the_constants_say(unusual_train, monkeypatch, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("paris 1 1\nZürich 2 2\nLima 3 3\nUnseen 4 4\n", encoding="utf-8")
    monkeypatch.setattr(unusual_train, "emb_file", str(path))
    monkeypatch.setattr(unusual_train, "fine_tune_word_embeddings", False)
    monkeypatch.setattr(unusual_train, "epochs", 1)
    rows = []
    for expand, caseless in itertools.product((True, False), repeat=2):
        monkeypatch.setattr(unusual_train, "expand_vocab", expand)
        monkeypatch.setattr(unusual_train, "caseless", caseless)
        unusual_train.main()
        state = load_checkpoint(unusual_train.last_file)
        weights = [
            state["model"][f"word_embeddings.{part}.weight"] for part in ("corpus", "others")
        ]
        table, numbers = torch.cat(weights), state["word_map"]
        rows.append([w in numbers and table[numbers[w]].tolist() for w in
                     ("Paris", "paris", "Zürich", "zürich", "Unseen", "unseen")])  # fmt: skip
    zurich, unseen = [2.0, 2.0], [4.0, 4.0]
    assert rows[0] == [False, [1.0, 1.0], False, zurich, False, unseen]
    assert rows[1][1:] == [[1.0, 1.0], zurich, False, unseen, False] and rows[1][0]
    assert rows[2] == [False, [1.0, 1.0], False, zurich, False, False]
    assert rows[3][1:] == [False, zurich, False, False, False] and rows[3][0] not in (False, [1, 1])


def test_losses_are_means_over_sentences(unusual_train, monkeypatch, seen):
    """Of batches of unequal size, and in validation of those sentences whose tags are known."""
    unusual_train.main()
    history = load_checkpoint(unusual_train.last_file)["history"]
    assert len(history) == 2
    sizes = [len(args[0].words) for train, kind, args, _ in seen
             if train and kind is models.LM_LSTM_CRF]  # fmt: skip
    assert sorted(sizes[:3]) == [1, 3, 3]
    for kind, name in ((LanguageModelLoss, "lm_loss"), (ViterbiLoss, "tag_loss")):
        results = [result.item() for train, k, _, result in seen if train and k is kind]
        for epoch, entry in enumerate(history):
            pairs = list(zip(results, sizes, strict=True))[3 * epoch : 3 * epoch + 3]
            mean = sum(loss * size for loss, size in pairs) / 7
            assert entry[name] == pytest.approx(mean, rel=1e-5)
            assert entry[name] != pytest.approx(sum(loss for loss, _ in pairs) / 3, rel=1e-5)

    state = load_checkpoint(unusual_train.last_file)
    model, loss = unusual_train.restore_model(state).eval(), ViterbiLoss(state["tag_map"])
    data = unusual_train.encode(unusual_train.val_file, sentences_of(VALIDATION), state)
    each = []
    for i in (0, 3, 4):  # the sentences whose tags are known
        batch = datasets.collate([data[i]])
        with torch.no_grad():
            each.append(loss(model(batch)[0], batch.tags, batch.word_lengths).item())
    assert history[-1]["val_loss"] == pytest.approx(sum(each) / 3, rel=1e-5)
    assert len({round(loss, 2) for loss in each}) == 3


def test_every_dropout_has_its_rate(unusual_train, monkeypatch):
    """Between any two parts, in training only; a two-layer model has each of its places."""
    called = collections.Counter()

    def spy(self, x, dropout=models.Dropout.forward):
        y = dropout(self, x)
        if self.training:
            assert x.numel() < 500 or (y == 0).float().mean().item() == pytest.approx(0.25, abs=0.1)
            called[id(self)] += 1
        else:
            assert y is x or torch.equal(x, y)
        return y

    monkeypatch.setattr(models.Dropout, "forward", spy)
    built = []

    def spy_on_init(self, *args, init=models.LM_LSTM_CRF.__init__, **kwargs):
        init(self, *args, **kwargs)
        built.append(self)

    monkeypatch.setattr(models.LM_LSTM_CRF, "__init__", spy_on_init)
    monkeypatch.setattr(unusual_train, "epochs", 1)
    unusual_train.main()
    model, steps = built[0], 3
    assert all(m.p == 0.25 for m in model.modules() if isinstance(m, nn.Dropout))
    assert model.forward_char_lstm.dropout == model.backward_char_lstm.dropout == 0.25
    found = {name: called[id(m)] / steps for name, m in model.named_modules() if called[id(m)]}
    assert found == {
        "dropout": 7,  # words, two character LSTMs, sub-words, two language models, features
        "subword_highway.dropout": 1,
        "forward_lm_highway.dropout": 1,
        "backward_lm_highway.dropout": 1,
        "word_lstm.dropout": 1,
        "attention.dropout": 1,
    }


@pytest.fixture
def weights_after_steps(monkeypatch):
    """A list that gets the trained weights after every step of the optimiser."""
    found = []

    def spy(self, *args, step=torch.optim.AdamW.step, **kwargs):
        result = step(self, *args, **kwargs)
        groups = [p.detach().clone() for group in self.param_groups for p in group["params"]]
        found.append((self, groups))
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    return found


@pytest.mark.parametrize("decay", [0.3, 0.9])  # reached within the run, and not
def test_the_average_is_that_of_its_equation(
    unusual_train, monkeypatch, weights_after_steps, decay
):
    monkeypatch.setattr(unusual_train, "averaging", decay)
    unusual_train.main()
    state = load_checkpoint(unusual_train.last_file)
    average = None
    for step, (_, weights) in enumerate(weights_after_steps):
        kept = min(decay, (1 + step) / (10 + step))
        average = [
            w if average is None else kept * a + (1 - kept) * w
            for w, a in zip(weights, average or weights, strict=True)
        ]
    model = unusual_train.restore_model(state)
    words = model.word_embeddings.corpus.weight
    others = [p for p in model.parameters() if p.requires_grad and p is not words]
    for found, expected in zip([words, *others], average, strict=True):
        torch.testing.assert_close(found.data, expected)
    last = weights_after_steps[-1][1]
    assert not torch.allclose(words, last[0])  # tagged with: the average
    weights = sorted(w.flatten()[0].item() for w in state["weights"])  # to go on with
    assert weights == sorted(w.flatten()[0].item() for w in last)


def test_settings_of_the_optimiser(unusual_train, monkeypatch, weights_after_steps):
    norms = []
    clip = nn.utils.clip_grad_norm_
    monkeypatch.setattr(
        nn.utils, "clip_grad_norm_", lambda p, norm: norms.append(norm) or clip(p, norm)
    )
    for name, value in dict(momentum=0.7, lr=0.001, lr_decay=1, grad_clip=3).items():
        monkeypatch.setattr(unusual_train, name, value)
    unusual_train.main()
    groups = weights_after_steps[0][0].param_groups
    assert {group["betas"] for group in groups} == {(0.7, 0.99)} and norms == [3] * 6
    assert {group["lr"] for group in groups} == {0.0005}  # in the second epoch
    assert len(weights_after_steps) == 6
    norms.clear()
    monkeypatch.setattr(unusual_train, "grad_clip", None)
    unusual_train.main()
    assert norms == []


def test_what_is_changed_on_resuming_takes_effect(unusual_train, monkeypatch, weights_after_steps):
    unusual_train.main()
    rates = set()

    def spy(self, x):
        rates.add(self.p)
        return x

    monkeypatch.setattr(models.Dropout, "forward", spy)
    new = dict(momentum=0.7, lr=0.001, weight_decay=0.3, dropout=0.125, epochs=3)
    for name, value in dict(new, checkpoint=unusual_train.last_file).items():
        monkeypatch.setattr(unusual_train, name, value)
    weights_after_steps.clear()
    unusual_train.main()
    words, others = weights_after_steps[0][0].param_groups
    assert words["betas"] == others["betas"] == (0.7, 0.99)
    assert words["lr"] == others["lr"] == 0.001
    assert (words["weight_decay"], others["weight_decay"]) == (0, 0.3)
    assert rates == {0.125}
    state = load_checkpoint(unusual_train.last_file)
    assert state["settings"]["dropout"] == 0.125 and "dropout" not in state["model_arguments"]


def test_gradients_of_a_step_are_of_its_batch_alone(unusual_train, monkeypatch):
    """With a learning rate of 0 and nothing random, an epoch's gradients depend on no other's."""
    gradients = []

    def spy(self, *args, **kwargs):
        groups = self.param_groups
        gradients.append([p.grad.clone() for group in groups for p in group["params"]])

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    for name, value in dict(dropout=0, unk_rate=0, batch_size=7, grad_clip=None).items():
        monkeypatch.setattr(unusual_train, name, value)
    unusual_train.main()
    first, second = gradients  # one batch an epoch
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b)


def test_training_is_in_training_mode_and_scoring_is_not(unusual_train, seen):
    unusual_train.main()
    forward = [(train, result) for train, kind, _, result in seen if kind is models.LM_LSTM_CRF]
    modes = [train for train, _ in forward]
    assert modes == ([True] * 3 + [False] * 3) * 2 + [False] * 3  # the last: the best is scored
    for train, (_, forward_lm, backward_lm) in forward:
        assert (forward_lm is not None) == (backward_lm is not None) == train


def test_the_seed_decides_the_weights_and_the_order(unusual_train, monkeypatch, seen):
    for name, value in dict(lr=0, unk_rate=0, epochs=1).items():
        monkeypatch.setattr(unusual_train, name, value)
    found = []
    for seed in (1, 2):
        monkeypatch.setattr(unusual_train, "seed", seed)
        seen.clear()
        unusual_train.main()
        batches = [
            args[0].words.tolist()
            for train, k, args, _ in seen
            if train and k is unusual_train.LM_LSTM_CRF
        ]
        weights = load_checkpoint(unusual_train.last_file)["model"]["forward_lm_out.weight"]
        found.append((batches, weights))
    (first, weights), (other, different) = found
    assert first != other and not torch.equal(weights, different)


def test_patience_s_default(unusual_train, monkeypatch):
    """The paper's code stops after 15 epochs without a better score."""
    monkeypatch.setattr(unusual_train, "epochs", 30)
    monkeypatch.setattr(unusual_train, "train_epoch", lambda *_: dict(lm_loss=1.0, tag_loss=1.0))
    monkeypatch.setattr(unusual_train, "predict", lambda *_, **__: ([["O"]], 1.0))
    same = dict.fromkeys(("accuracy", "macro_f1", "entity_f1", "precision", "recall"), 0.5)
    monkeypatch.setattr(unusual_train, "scores", lambda *_: same)
    monkeypatch.setattr(unusual_train, "score_file", lambda *_: ({}, None))
    unusual_train.main()
    assert load_checkpoint(unusual_train.last_file)["epoch"] == 16
