"""The ladder in steps/: each script runs, stays short, and computes what the rest computes."""

import importlib.util
import random
import sys
import types
from pathlib import Path

import oracle
import pytest
import torch

from datasets import WCDataset, collate
from inference import ViterbiDecoder
from machinery.spans import scores, spans
from models import LM_LSTM_CRF, LanguageModelLoss, ViterbiLoss

root = Path(__file__).parent.parent
names = ["1_lstm", "2_blstm", "3_crf", "4_characters", "5_language_models"]
sample = [
    (["dunston", "checks", "in"], ["B-PER", "O", "O"]),
    (["Paris"], ["B-LOC"]),
    (["Anna", "Lee", "saw", "dunston", "in", "Rome"], "B-PER I-PER O B-PER O B-LOC".split()),
]


def load(name):
    """The script as a module: its name begins with a digit, so `import` cannot say it."""
    spec = importlib.util.spec_from_file_location(f"step_{name}", root / "steps" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", names)
def test_trains_and_scores(name, monkeypatch, capsys):
    step = load(name)
    monkeypatch.chdir(root)
    monkeypatch.setattr(step, "sentences", 4)
    monkeypatch.setattr(step, "epochs", 1)
    threads = torch.get_num_threads()
    step.main()
    torch.set_num_threads(threads)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("epoch 1  loss ") and lines[-1].startswith("test entity F1 ")


@pytest.mark.parametrize("name", names)
def test_stays_short_and_needs_torch_alone(name):
    lines = (root / "steps" / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert 60 <= len(lines) <= 200
    imported = {line.split()[1].split(".")[0] for line in lines if line[:5] in ("impor", "from ")}
    assert "torch" in imported and imported - {"torch"} <= sys.stdlib_module_names


@pytest.mark.parametrize("name", names)
def test_entities_are_those_of_the_conll_scorer(name):
    step, chance = load(name), random.Random(1)
    tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    gold, predicted = (
        [[chance.choice(tags) for _ in range(1 + n % 7)] for n in range(300)] for _ in range(2)
    )
    assert all(step.entities(part) == set(spans(part)) for part in gold + predicted)
    expected = 100 * scores(gold, predicted)["entity_f1"]
    answers = types.SimpleNamespace(eval=lambda: None, tag=lambda number: predicted[number])
    assert step.evaluate(answers, list(enumerate(gold))) == pytest.approx(expected)


@pytest.mark.parametrize("name", names[2:])
@pytest.mark.parametrize("length", [2, 3, 5])
def test_crf_equals_enumeration(name, length):
    model = load(name).Tagger(sample * 2).double()
    tags, m = model.tags, len(model.tags)
    generator = torch.Generator().manual_seed(length)
    scores = torch.randn(length, m, m, dtype=torch.float64, generator=generator)
    log_z = model.forward_algorithm(scores)[-1].item()
    assert log_z == pytest.approx(oracle.log_partition(scores, length, tags))
    best = oracle.best_path(scores, length, tags)
    assert model.viterbi(scores) == best
    expected = torch.zeros(length - 1, m - 2, dtype=torch.float64)
    for path, score in oracle.all_paths(scores, length, tags).items():
        for t, tag in enumerate(path):
            expected[t, tag - 1] += torch.tensor(score - log_z).double().exp()
    torch.testing.assert_close(model.marginals(scores), expected)


def same_weights(step, predictable):
    """An LM_LSTM_CRF without dropout, with the weights of step 5."""
    sizes = len(step.tags), len(step.chars), len(step.words), predictable
    dims = dict(char_emb_dim=30, char_rnn_dim=100, word_emb_dim=100, word_rnn_dim=200, dropout=0.0)
    model = LM_LSTM_CRF(*sizes, **dims).double()
    pairs = [
        (model.char_embeddings, step.char_embeddings),
        (model.forward_char_lstm, step.forward_chars),
        (model.backward_char_lstm, step.backward_chars),
        (model.forward_lm_out, step.forward_lm),
        (model.backward_lm_out, step.backward_lm),
        (model.word_embeddings.corpus, step.embeddings),
        (model.word_lstm.rightward[0], step.rightward),
        (model.word_lstm.leftward[0], step.leftward),
        (model.crf.emission, step.emission),
    ]
    for ours, theirs in (
        (model.subword_highway, step.subword_highway),
        (model.forward_lm_highway, step.forward_highway),
        (model.backward_lm_highway, step.backward_highway),
    ):
        pairs += [(ours.transforms[0], theirs.transform), (ours.gates[0], theirs.gate)]
    for ours, theirs in pairs:
        ours.load_state_dict(theirs.state_dict())
    torch.nn.init.normal_(step.transition)
    model.crf.transition.data.copy_(step.transition.data)
    return model


def test_last_step_equals_the_model_for_every_sentence_of_a_batch(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)  # all in float64
    torch.manual_seed(1)
    script = load(names[-1])
    monkeypatch.setattr(script, "V", 5)  # of 10 words
    step = script.Tagger(sample * 2).double().eval()
    assert len(step.words) == 10
    model = same_weights(step, 5).train()  # the language models are computed in training only
    words, tags = zip(*sample, strict=True)
    dataset = WCDataset(words, tags, step.words, step.chars, step.tags)
    batch = collate([dataset[i] for i in range(len(sample))])
    crf, forward_lm, backward_lm = model(batch)
    viterbi_loss = ViterbiLoss(step.tags).double()
    lm_loss = LanguageModelLoss(step.words, 5)
    decoder = ViterbiDecoder(step.tags)
    alpha, before = viterbi_loss.forward_algorithm(crf)
    steps = viterbi_loss.step_probabilities(crf, before, batch.word_lengths)
    paths = decoder.decode(crf, batch.word_lengths)
    for i, (words, tags) in enumerate(sample):
        row, length = slice(i, i + 1), len(words) + 1
        lengths = batch.word_lengths[row]
        tagging = viterbi_loss(crf[row], batch.tags[row], lengths)
        one = type(batch)(*(part[row] for part in batch))
        predicting = lm_loss(forward_lm[row], backward_lm[row], one)
        own, *states = step(words)
        found = step.language_model_loss(words, *states)
        torch.testing.assert_close(found, predicting)
        torch.testing.assert_close(step.loss(words, tags) - found, tagging)
        torch.testing.assert_close(own, crf[i, :length])
        torch.testing.assert_close(step.marginals(own), steps[i, : length - 1, :, 1:-1].sum(1))
        assert step.viterbi(own) == paths[i]
