"""train.main(): learning, stopping, embeddings, the history, scoring. Resuming has its own file."""

import gc
import itertools
import os
import re
import weakref

import pytest
import torch
from common import differences, equal, rows, save_only

import datasets
import train
from inference import Tagger
from machinery import checkpoints, errors, files, report, runs, spans
from machinery.average import WeightAverage
from machinery.checkpoints import load_checkpoint
from utils import read_words_tags

# Learning and stopping ---------------------------------------------------------------------------


def test_a_tiny_corpus_is_learned_by_heart(learned):
    """What it tags then, test_inference.py knows."""
    assert [learned[1][name] for name in ("accuracy", "entity_f1", "macro_f1")] == [1, 1, 1]


@pytest.mark.parametrize("patience", [1, 3])
def test_training_stops_after_epochs_without_improvement(tiny_train, monkeypatch, capsys, patience):
    for name, value in dict(epochs=20, lr=0.0, patience=patience).items():
        monkeypatch.setattr(tiny_train, name, value)
    tiny_train.main()  # learns nothing: the first epoch stays the best
    last = load_checkpoint(tiny_train.last_file)
    assert last["epoch"] == 1 + patience and last["epochs_since_best"] == patience
    assert load_checkpoint(tiny_train.best_file)["epoch"] == 1
    assert f"no better entity F1 for {patience} epoch" in capsys.readouterr().out

    monkeypatch.setattr(tiny_train, "checkpoint", tiny_train.last_file)
    tiny_train.main()  # there is no patience left to resume with
    assert load_checkpoint(tiny_train.last_file)["epoch"] == 1 + patience


@pytest.mark.parametrize("criterion", ["macro_f1", "entity_f1", "accuracy"])
def test_the_criterion_decides_which_epoch_is_best(tiny_train, monkeypatch, criterion):
    made_up = iter([(0.3, 0.1, 0.1), (0.1, 0.3, 0.2), (0.2, 0.2, 0.3)])
    keys = ("macro_f1", "entity_f1", "accuracy")

    def scores(gold, predicted):
        values = next(made_up, (0.0, 0.0, 0.0))
        return dict(zip(keys, values, strict=True), precision=0.0, recall=0.0)

    scored = []

    def score_file(model, *arguments):
        scored.append({name: value.clone().cpu() for name, value in model.state_dict().items()})
        return {}, []

    monkeypatch.setattr(tiny_train, "scores", scores)
    monkeypatch.setattr(tiny_train, "score_file", score_file)
    monkeypatch.setattr(tiny_train, "epochs", 3)
    monkeypatch.setattr(tiny_train, "criterion", criterion)
    tiny_train.main()
    best = load_checkpoint(tiny_train.best_file)
    assert best["epoch"] == 1 + keys.index(criterion) and best["best_score"] == 0.3
    assert load_checkpoint(tiny_train.last_file)["epoch"] == 3
    assert equal(scored[-1], dict(best["model"]))  # the best model is scored, not the last


def test_each_epoch_has_an_order_of_its_own(tiny_train, monkeypatch):
    epochs = []
    set_epoch = datasets.LengthBatchSampler.set_epoch

    def spy(self, epoch):
        epochs.append(epoch)
        set_epoch(self, epoch)

    monkeypatch.setattr(datasets.LengthBatchSampler, "set_epoch", spy)
    tiny_train.main()
    monkeypatch.setattr(tiny_train, "checkpoint", tiny_train.last_file)
    monkeypatch.setattr(tiny_train, "epochs", 4)
    tiny_train.main()
    assert epochs == [0, 1, 2, 3]


@pytest.fixture
def steps(monkeypatch):
    """What every step of an optimiser is given: a list of dicts of the groups' settings."""
    seen = []

    def spy(step):
        def stepped(self, *args, **kwargs):
            groups = [{k: v for k, v in g.items() if k != "params"} for g in self.param_groups]
            seen.append((type(self), groups))
            return step(self, *args, **kwargs)

        return stepped

    for optimizer in (torch.optim.SGD, torch.optim.AdamW):
        monkeypatch.setattr(optimizer, "step", spy(optimizer.step))
    return seen


def test_our_recipe(tiny_train, monkeypatch, steps):
    """AdamW with a constant learning rate; word embeddings do not decay."""
    monkeypatch.setattr(tiny_train, "weight_decay", 0.03)
    tiny_train.main()
    assert {kind for kind, _ in steps} == {torch.optim.AdamW}
    for group, decay in ((0, 0.0), (1, 0.03)):  # word embeddings, and all else
        assert {groups[group]["lr"] for _, groups in steps} == {0.002}
        assert {groups[group]["weight_decay"] for _, groups in steps} == {decay}
        assert {groups[group]["betas"] for _, groups in steps} == {(0.9, 0.99)}


def test_the_paper_s_recipe(tiny_train, monkeypatch, steps):
    for name, value in dict(optimizer="sgd", min_word_freq=None, epochs=3).items():
        monkeypatch.setattr(tiny_train, name, value)
    tiny_train.main()
    assert {kind for kind, _ in steps} == {torch.optim.SGD}
    expected = [0.015 / (1 + 0.05 * epoch) for epoch in (0, 0, 1, 1, 2, 2)]
    assert [groups[0]["lr"] for _, groups in steps] == pytest.approx(expected)
    assert steps[0][1][0]["momentum"] == 0.9 and not steps[0][1][0]["nesterov"]
    assert steps[0][1][0]["weight_decay"] == 0
    state = load_checkpoint(tiny_train.last_file)
    assert state["settings"]["min_word_freq"] == 5 and len(state["word_map"]) == 3
    assert state["weights"] == [] and state["averaged"] == 0
    settings = state["settings"]
    assert (settings["grad_clip"], settings["unk_rate"], settings["averaging"]) == (5, 0, 0)


@pytest.mark.parametrize("rate", [0, 0.25, 1])
def test_rare_words_are_read_as_unknown(tiny_train, monkeypatch, rate):
    """Those that training has once, now and then; what the language models predict stays."""
    epochs = 40 if 0 < rate < 1 else 2
    for name, value in dict(unk_rate=rate, epochs=epochs, min_lm_freq=2, val_file=None).items():
        monkeypatch.setattr(tiny_train, name, value)
    save_only(monkeypatch, epochs)
    read, targets = [], []
    forward, lm = tiny_train.LM_LSTM_CRF.forward, tiny_train.LanguageModelLoss.forward

    def spy(self, batch):
        read.extend(batch.words.flatten().tolist() if self.training else ())
        return forward(self, batch)

    def spy_on_loss(self, forward_scores, backward_scores, batch):
        targets.append(batch.words.clone())
        return lm(self, forward_scores, backward_scores, batch)

    monkeypatch.setattr(tiny_train.LM_LSTM_CRF, "forward", spy)
    monkeypatch.setattr(tiny_train.LanguageModelLoss, "forward", spy_on_loss)
    tiny_train.main()
    state = load_checkpoint(tiny_train.last_file)
    word_map, first = state["word_map"], state["rare_from"]
    once = {"checks", "at", "welcomes", "is", "majestic", "left"} & set(word_map)
    assert min(word_map[word] for word in once - {"majestic"}) == first
    assert word_map["paris"] < first  # occurs twice
    unknown = read.count(word_map["<unk>"])
    rare = unknown + sum(index >= first for index in read)
    assert unknown / rare == pytest.approx(rate, abs=0.1) and (rate in (0, 1)) == (
        unknown in (0, rare)
    )
    assert all((words != word_map["<unk>"]).all() for words in targets)


def test_words_of_one_sentence_are_forgotten_one_by_one():
    batch = datasets.collate([])._replace(words=torch.arange(5, 1005).unsqueeze(0))
    read = train.forget_rare_words(batch, rare_from=505, unk=2, rate=0.5).words
    assert torch.equal(read[:, :500], batch.words[:, :500])
    forgotten = (read[:, 500:1000] == 2).double().mean().item()
    assert forgotten == pytest.approx(0.5, abs=0.15)


def test_no_step_leaves_anything_in_memory(tiny_train, monkeypatch):
    """Neither tensors nor what a gradient needs."""
    for name, value in dict(batch_size=1, epochs=2, val_file=None).items():
        monkeypatch.setattr(tiny_train, name, value)
    kept, counts = weakref.WeakSet(), []

    class Kept:
        """What a gradient needs."""

        def __init__(self, tensor):
            self.tensor = tensor.detach()
            kept.add(self)

    def update(average, update=WeightAverage.update):
        update(average)
        gc.collect()
        tensors = sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())
        counts.append((len(kept), tensors))

    monkeypatch.setattr(WeightAverage, "update", update)
    gc.freeze()  # all that is there already need not be looked at eight times
    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda saved: saved.tensor):
        tiny_train.main()
    gc.unfreeze()
    assert len(counts) == 8 and len(set(counts[1:4])) == len(set(counts[5:])) == 1


def test_gradients_are_clipped_by_their_norm(tiny_train, monkeypatch):
    steps = []
    step = torch.optim.AdamW.step

    def spy(self, *args, **kwargs):
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        steps.append(torch.stack([g.norm() for g in gradients if g is not None]).norm().item())
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    tiny_train.main()
    assert max(steps) > 0.1
    steps.clear()
    monkeypatch.setattr(tiny_train, "grad_clip", 0.1)
    tiny_train.main()
    assert max(steps) == pytest.approx(0.1, rel=1e-3)


def test_the_loss_is_the_sum_of_the_three(tiny_train, monkeypatch, on_cpu):
    """With a learning rate of 0 and no dropout, the gradient is that of lm + crf."""
    seen = {}

    def clip(parameters, norm):
        seen["gradients"] = [p.grad.clone() for p in parameters if p.requires_grad]

    monkeypatch.setattr(tiny_train.nn.utils, "clip_grad_norm_", clip)
    for name, value in dict(lr=0.0, dropout=0.0, epochs=1, batch_size=4, unk_rate=0).items():
        monkeypatch.setattr(tiny_train, name, value)
    tiny_train.main()

    state = load_checkpoint(tiny_train.last_file)
    model = tiny_train.restore_model(state, dropout=0.0).train()
    words_tags = read_words_tags(tiny_train.train_file)
    data = tiny_train.encode(tiny_train.train_file, words_tags, state)
    sampler = tiny_train.data_loader(data, 4, shuffle=True, seed=tiny_train.seed)
    batch = next(iter(sampler))
    crf_scores, forward, backward = model(batch)
    lm_vocab_size = state["model_arguments"]["lm_vocab_size"]
    assert lm_vocab_size < len(state["word_map"])
    lm = tiny_train.LanguageModelLoss(state["word_map"], lm_vocab_size)
    crf = tiny_train.ViterbiLoss(state["tag_map"])
    loss = lm(forward, backward, batch) + crf(crf_scores, batch.tags, batch.word_lengths)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, trained)
    for found, expected in zip(seen["gradients"], gradients, strict=True):
        torch.testing.assert_close(found, expected)


def test_test_file_is_scored_with_the_best_model(tiny_train, monkeypatch, tmp_path, capsys):
    path = tmp_path / "test.txt"
    path.write_text("Dunston B-PER\nchecks O\nin I-TIME\n\nParis B-LOC\n")
    monkeypatch.setattr(tiny_train, "test_file", str(path))
    result = tiny_train.main()
    words, tags = read_words_tags(path)
    expected = spans.scores(tags, Tagger(tiny_train.best_file).tag(words))
    assert result == expected
    output = capsys.readouterr().out
    assert "I-TIME (1)" in output  # a tag unseen in training is named, and counts as wrong
    assert result["types"]["TIME"]["gold"] == 1 and result["types"]["TIME"]["f1"] == 0
    assert re.search(r"PER +precision", output) and re.search(r"LOC +precision", output)
    end = output[output.index("The model of epoch") :]
    assert re.findall(r"(?m)^(\S+): accuracy", end) == [tiny_train.val_file, str(path)]


def test_same_seed_same_run(tiny_train, monkeypatch, tmp_path, on_cpu):
    for name in "ab":
        monkeypatch.setattr(tiny_train, "last_file", str(tmp_path / f"{name}.pt"))
        tiny_train.main()
    assert differences(tmp_path / "a.pt", tmp_path / "b.pt") == []


# Embeddings --------------------------------------------------------------------------------------


def rows_of(state):
    """The word embeddings of a checkpoint, (V, word_emb_dim)."""
    names = ("word_embeddings.corpus.weight", "word_embeddings.others.weight")
    return torch.cat([state["model"][name] for name in names])


def test_rare_words_are_looked_up_by_their_vectors(with_embeddings):
    with_embeddings.main()
    state = load_checkpoint(with_embeddings.last_file)
    rows, arguments = rows_of(state), state["model_arguments"]
    assert rows.size(1) == 3
    for word, value in {"hotel": 1, "left": 2, "zebra": 3}.items():
        assert rows[state["word_map"][word]].tolist() == [value] * 3
    assert state["word_map"]["hotel"] < arguments["corpus_vocab_size"]  # occurs twice
    assert state["word_map"]["left"] >= arguments["corpus_vocab_size"]  # once, but has a vector
    assert "welcomes" not in state["word_map"]  # occurs once, and has none
    assert len(state["model"]["forward_lm_out.weight"]) == arguments["lm_vocab_size"]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_only_rows_without_a_vector_are_trained(with_embeddings, monkeypatch, optimizer):
    monkeypatch.setattr(with_embeddings, "optimizer", optimizer)
    rows = []
    for epochs in (1, 3):
        monkeypatch.setattr(with_embeddings, "epochs", epochs)
        with_embeddings.main()
        state = load_checkpoint(with_embeddings.last_file)
        rows.append(rows_of(state))
    same = (rows[0] == rows[1]).all(1)
    for word in ("hotel", "left", "zebra"):
        assert same[state["word_map"][word]]
    for word in ("paris", "<end>", "<unk>"):
        assert not same[state["word_map"][word]]


def test_without_expansion_only_frequent_words_are_kept(with_embeddings, monkeypatch):
    monkeypatch.setattr(with_embeddings, "expand_vocab", False)
    with_embeddings.main()
    assert "zebra" not in load_checkpoint(with_embeddings.best_file)["word_map"]


def test_fine_tuning_moves_the_vectors(with_embeddings, monkeypatch):
    monkeypatch.setattr(with_embeddings, "fine_tune_word_embeddings", None)  # as in our recipe
    with_embeddings.main()
    state = load_checkpoint(with_embeddings.best_file)
    assert rows_of(state)[state["word_map"]["hotel"]].tolist() != [1] * 3
    for word, value in {"left": 2, "zebra": 3}.items():  # not in training, so not trained
        assert rows_of(state)[state["word_map"][word]].tolist() == [value] * 3


def test_embeddings_from_scratch_are_trained(tiny_train, monkeypatch):
    weights = []
    for epochs in (1, 3):
        monkeypatch.setattr(tiny_train, "epochs", epochs)
        tiny_train.main()
        weights.append(rows_of(load_checkpoint(tiny_train.last_file)))
    assert not torch.equal(*weights)


# The history, and what is printed -----------------------------------------------------------------


def test_the_history_has_every_epoch(tiny_train, monkeypatch, tmp_path):
    monkeypatch.setattr(tiny_train, "epochs", 3)
    tiny_train.main()
    state = load_checkpoint(tiny_train.last_file)
    table = rows(tmp_path / "last.csv")
    assert [int(row["epoch"]) for row in table] == [1, 2, 3]
    assert [list(row) for row in table] == [list(runs.HISTORY)] * 3
    for row, entry in zip(table, state["history"], strict=True):
        assert {name: float(value) for name, value in row.items()} == entry
        assert entry["lr"] == pytest.approx(0.002)
        assert entry["seconds"] > 0
    # The last entry, computed once more from what was saved: the model's scores of the file.
    words, tags = read_words_tags(tiny_train.val_file)
    expected = spans.scores(tags, Tagger(tiny_train.last_file).tag(words))
    names = ("accuracy", "macro_f1", "entity_f1", "precision", "recall")
    assert [state["history"][-1][name] for name in names] == [expected[name] for name in names]
    best = [entry for entry in state["history"] if entry["best"]][-1]
    assert state["best_score"] == best["entity_f1"]
    assert state["best_score"] == max(entry["entity_f1"] for entry in state["history"])
    assert load_checkpoint(tiny_train.best_file)["history"] == state["history"][: best["epoch"]]


def test_without_language_models_or_spans_the_history_is_narrower(
    tiny_train, monkeypatch, tmp_path
):
    (tmp_path / "pos.txt").write_text("a DT\nhotel NN\n")
    constants = dict.fromkeys(("train_file", "val_file"), str(tmp_path / "pos.txt"))
    for name, value in (constants | dict(co_training=False)).items():
        monkeypatch.setattr(tiny_train, name, value)
    tiny_train.main()
    absent = {"lm_loss", "entity_f1", "precision", "recall"}
    assert set(rows(tmp_path / "last.csv")[0]) == set(runs.HISTORY) - absent


def test_the_history_is_renamed_with_its_checkpoint(tiny_train, tmp_path, capsys):
    (tmp_path / "last.1.csv").write_text("taken")
    (tmp_path / "best.csv").write_text("not ours")
    tiny_train.main()
    before = (tmp_path / "last.csv").read_text()
    tiny_train.main()
    assert (tmp_path / "last.2.csv").read_text() == before
    assert (tmp_path / "last.2.pt").exists() and not (tmp_path / "last.1.pt").exists()
    assert (
        f"last.csv is from another run: kept as {tmp_path / 'last.2.csv'}"
        in capsys.readouterr().out
    )
    os.remove(tmp_path / "last.pt")
    before = (tmp_path / "last.csv").read_text()
    tiny_train.main()  # a history without its checkpoint is somebody's work, too
    assert (tmp_path / "last.3.csv").read_text() == before
    assert (tmp_path / "best.csv").read_text() == "not ours"


def test_a_history_that_cannot_be_written_does_not_stop_a_run(
    tiny_train, monkeypatch, tmp_path, capsys
):
    replace = os.replace

    def busy(old, new):
        if new.endswith(".csv"):
            raise PermissionError(13, "Permission denied")
        replace(old, new)

    monkeypatch.setattr(files.os, "replace", busy)
    tiny_train.main()
    warning = f"Warning: {tmp_path / 'last.csv'}: Permission denied; it was not saved"
    assert capsys.readouterr().out.count(warning) == 2
    assert len(load_checkpoint(tiny_train.last_file)["history"]) == 2
    assert not list(tmp_path.glob("*.tmp"))


def test_seeds_may_be_large(tiny_train, monkeypatch):
    monkeypatch.setattr(tiny_train, "seed", 1 << 62)
    tiny_train.main()


def test_an_epoch_says_what_is_left_and_which_is_best(tiny_train, monkeypatch, capsys):
    made_up = iter([0.2, 0.6, 0.5, 0.4, 0.0])
    result = {"accuracy": 0.9}
    monkeypatch.setattr(tiny_train, "scores", lambda *_: result | {"macro_f1": next(made_up)})
    monkeypatch.setattr(tiny_train, "score_file", lambda *_: ({}, []))
    monkeypatch.setattr(tiny_train.time, "perf_counter", itertools.count(0, 40).__next__)
    monkeypatch.setattr(tiny_train, "criterion", "macro_f1")
    monkeypatch.setattr(tiny_train, "epochs", 9)
    monkeypatch.setattr(tiny_train, "patience", 2)
    tiny_train.main()
    output = capsys.readouterr().out
    first, second, third, fourth = re.findall(r"^epoch .*\n.*\n", output, re.MULTILINE)
    assert "epoch   1 of 9, 40.0 s: " in first and "; at most 5 min 20 s left\n" in first
    assert "accuracy 90.00%, macro F1 20.00%; the best so far\n" in first
    assert "macro F1 60.00%; the best so far" in second and "at most 4 min 40 s left" in second
    assert "macro F1 50.00%; best: epoch 2 (macro F1 60.00%), patience 1 of 2\n" in third
    assert "best: epoch 2 (macro F1 60.00%), patience 2 of 2\n" in fourth
    end = output[output.index("Ended") :].splitlines()
    assert end[0] == ("Ended after 4 epochs in 2 min 40 s: no better macro F1 for 2 epochs")
    assert end[1] == f"Best: epoch 2 (macro F1 60.00%), saved in {tiny_train.best_file}"
    assert tiny_train.last_file in end[2] and end[2].endswith("last.csv")


@pytest.mark.parametrize(
    "seconds, text",
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (96, "1 min 36 s"), (7509, "2 h 5 min")],
)
def test_durations(seconds, text):
    assert report.duration(seconds) == text


# Scoring, and what is refused -------------------------------------------------------------------


def test_no_epochs_score_the_checkpoint_that_is_named(tiny_train, monkeypatch, tmp_path):
    """Not the best file, even if the checkpoint's run wrote it."""
    made_up = iter([0.9, 0.1, 0.1])
    result = dict(accuracy=0.5, macro_f1=0.5, precision=0.5, recall=0.5)
    scored, weights = [], "crf.emission.weight"

    def score_file(model, *_):
        scored.append(model.state_dict()[weights].clone())
        return {}, []

    monkeypatch.setattr(tiny_train, "scores", lambda *_: result | dict(entity_f1=next(made_up)))
    monkeypatch.setattr(tiny_train, "score_file", score_file)
    monkeypatch.setattr(tiny_train, "epochs", 3)
    tiny_train.main()
    last, best = map(load_checkpoint, (tiny_train.last_file, tiny_train.best_file))
    assert (best["epoch"], last["epoch"]) == (1, 3)
    assert not torch.equal(best["model"][weights], last["model"][weights])
    monkeypatch.setattr(tiny_train, "epochs", 0)
    for path, expected in ((tiny_train.last_file, last), (tiny_train.best_file, best)):
        monkeypatch.setattr(tiny_train, "checkpoint", path)
        tiny_train.main()
        assert torch.equal(scored[-1].cpu(), expected["model"][weights])


def test_no_epochs_only_score_the_checkpoint(tiny_train, monkeypatch, tmp_path, capsys):
    trained = tiny_train.main()
    before = {path: path.read_bytes() for path in tmp_path.glob("*.pt")}
    for name, value in dict(
        epochs=0, checkpoint=tiny_train.best_file, train_file="does not exist"
    ).items():
        monkeypatch.setattr(tiny_train, name, value)
    assert tiny_train.main() == trained
    assert {path: path.read_bytes() for path in tmp_path.glob("*.pt")} == before
    monkeypatch.setattr(tiny_train, "checkpoint", None)
    with pytest.raises(errors.InputError, match="epochs = 0"):
        tiny_train.main()


def test_checkpoints_are_plain_data(tiny_train):
    tiny_train.main()
    for path in (tiny_train.last_file, tiny_train.best_file):
        state = torch.load(path, weights_only=True)
        assert state["settings"]["char_rnn_dim"] == tiny_train.char_rnn_dim


@pytest.mark.parametrize("failing", ["torch.save", "os.fsync", "os.replace"])
def test_a_crash_while_saving_leaves_the_old_checkpoint(tmp_path, monkeypatch, failing):
    path = tmp_path / "checkpoint.pt"
    checkpoints.save_checkpoint(str(path), {"a": 1})

    def fail(*arguments):
        if failing == "torch.save":
            arguments[1].write(b"half of a file")
        raise OSError(28, "No space left on device")

    module, _, function = failing.partition(".")
    monkeypatch.setattr(torch if module == "torch" else os, function, fail)
    with pytest.raises(OSError):
        checkpoints.save_checkpoint(str(path), {"a": 2})
    monkeypatch.undo()
    assert torch.load(path, weights_only=True) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize(
    "criterion, message",
    [
        ("f2", "criterion: expected one of 'f1', 'entity_f1', .* found 'f2'"),
        ("entity_f1", "criterion = 'entity_f1': expected tags such as B-PER, found 'DT'"),
    ],
)
def test_a_criterion_that_does_not_exist_is_refused(
    tiny_train, monkeypatch, tmp_path, criterion, message
):
    path = tmp_path / "pos.txt"
    path.write_text("a DT\nhotel NN\n")
    for name in ("train_file", "val_file"):
        monkeypatch.setattr(tiny_train, name, str(path))
    monkeypatch.setattr(tiny_train, "criterion", criterion)
    with pytest.raises(errors.InputError, match=message):
        tiny_train.main()


def test_the_criterion_fits_the_validation_tags_too(tiny_train, monkeypatch, tmp_path):
    """Spans in training alone have no entity F1 in validation."""
    (tmp_path / "other.txt").write_text("Paris NN\nis VB\n")
    monkeypatch.setattr(tiny_train, "val_file", str(tmp_path / "other.txt"))
    tiny_train.main()
    assert load_checkpoint(tiny_train.last_file)["settings"]["criterion"] == "macro_f1"
    monkeypatch.setattr(tiny_train, "criterion", "entity_f1")
    with pytest.raises(errors.InputError, match="expected tags such as B-PER, found 'NN'"):
        tiny_train.main()


def test_a_gpu_checkpoint_opens_on_a_cpu(tiny_train, monkeypatch):
    """Saved as if its tensors had been on a GPU."""
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        tiny_train.main()
    if not torch.cuda.is_available():
        with pytest.raises(Exception, match="CUDA"):
            torch.load(tiny_train.best_file, weights_only=True)  # as it would be without care
    assert Tagger(tiny_train.best_file, device="cpu").tag([["Paris"]])


# On real data ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_disease_names_are_found(real_data, monkeypatch, tmp_path):
    """NCBI-disease with a slice of GloVe: entity F1 of 0.82 on the test data within 4 epochs."""
    constants = dict(
        train_file=str(real_data / "ncbi_disease" / "train.txt"),
        val_file=str(real_data / "ncbi_disease" / "dev.txt"),
        test_file=str(real_data / "ncbi_disease" / "test.txt"),
        emb_file=str(real_data / "glove" / "glove.6B.50d.top9163.txt"),
        epochs=4,
        last_file=str(tmp_path / "last.pt"),
        best_file=str(tmp_path / "best.pt"),
    )
    for name, value in constants.items():
        monkeypatch.setattr(train, name, value)
    assert train.main()["entity_f1"] >= 0.82
