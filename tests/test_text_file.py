"""Text without tags: what the language models learn from it, where it is kept, what a tagger takes.

One text, made up from a small grammar, serves all tests; a run learns from it in 14 steps and saves
what it has learned after every third.
"""

import functools
import gzip
import itertools
import os
import pathlib
import random
import re
import shutil
import signal

import pytest
import torch
from common import TINY_CORPUS, differences, equal, set_constants, tiny_constants
from parallel import Team, run_file
from test_parallel import EXACT, run_train

import train
from datasets import LengthBatchSampler, WCDataset, collate
from machinery import pretraining
from machinery.checkpoints import load_checkpoint, save_checkpoint
from models import TextModel
from utils import create_maps, extended, text_maps

STEPS, EVERY = 14, 3


def made_up_text(sentences, seed=1):
    """Sentences whose words tell which come next; € and ß are in no word of the tagged corpus."""
    chosen = random.Random(seed)
    return [
        ["The", adjective, noun, verb, "in", city]
        for adjective, noun, verb, city in (
            map(
                chosen.choice,
                (("big", "Große"), ("hotel", "€uro"), ("is", "stays"), ("Rome", "Ulm")),
            )
            for _ in range(sentences)
        )
    ]


def written(path, sentences):
    """The path of a text file with these sentences."""
    path.write_text("".join(" ".join(words) + "\n" for words in sentences), encoding="utf-8")
    return path


@pytest.fixture
def text(tmp_path):
    """Path of a text of 28 sentences."""
    return written(tmp_path / "text.txt", made_up_text(28))


def text_constants(text, folder):
    """What train.py needs besides tiny_constants; steps of four sentences, 14 in two epochs."""
    return dict(
        text_file=str(text),
        text_epochs=2,
        text_model_file=str(folder / "text_model.pt"),
        TEXT_RECIPE=dict(words=100, batch_size=4, lr=0.02, warm_up=2, averaging=0.9),
        SAVE_TEXT_EVERY=EVERY,
    )


@pytest.fixture
def run(tiny_train, monkeypatch, capsys, on_cpu, text, tmp_path):
    """Trains with some constants changed, by default for one epoch; :return: what was printed"""
    set_constants(monkeypatch, text_constants(text, tmp_path) | dict(epochs=1))

    def main(**constants):
        for name, value in constants.items():
            monkeypatch.setattr(tiny_train, name, value)
        capsys.readouterr()
        tiny_train.main()
        return capsys.readouterr().out

    return main


# The model and its data --------------------------------------------------------------------------


def test_the_most_frequent_words_are_predicted():
    words = [["B", "a", "b", "c", "c"], ["a", "b", "Ü", "Ü"]]
    word_map, char_map = text_maps(words, 2, min_char_freq=2)
    assert list(word_map.items())[3:] == [("b", 3), ("a", 4)]
    assert word_map.keys() > {"<pad>", "<end>", "<unk>"}
    assert set(char_map) == {"<pad>", "<end>", "<unk>", " ", "a", "b", "c", "Ü"}  # B comes once
    assert list(text_maps(words, 9, caseless=False)[0])[3:] == ["a", "b", "c", "Ü", "B"]


def test_characters_keep_their_numbers_and_more_come_last():
    assert extended({"<pad>": 0, "b": 1, "a": 2}, {"<pad>": 0, "a": 1, "c": 2}) == {
        "<pad>": 0, "b": 1, "a": 2, "c": 3
    }  # fmt: skip


@pytest.mark.parametrize("layers", [1, 2])
def test_the_loss_is_that_of_each_word_given_its_neighbours(layers):
    """Each sentence by itself, character by character, without pads; words without clusters."""
    sentences = [["The", "big", "hotel"], ["Ulm"], ["a", "hotel", "in", "The", "hotel"]]
    word_map, char_map = text_maps(sentences, 4)  # "a" and "ulm" are <unk>, or others
    torch.manual_seed(1)
    model = TextModel(len(char_map), word_map, 5, 8, layers, 1)
    dataset = WCDataset(sentences, None, word_map, char_map, {"<start>": 0, "<end>": 1}, True)
    loss = model(collate([dataset[i] for i in range(len(sentences))]))

    def states(lstm, chars):
        indices = torch.tensor([[char_map.get(char, char_map["<unk>"]) for char in chars]])
        return lstm(model.char_embeddings(indices))[0][0]

    expected = 0
    for words in sentences:
        targets = [word_map.get(word.lower(), word_map["<unk>"]) for word in words]
        targets = [word_map["<end>"], *targets, word_map["<end>"]]
        for i in range(len(words)):
            before, after = " ".join(words[: i + 1]) + " ", " ".join(words[i:])[::-1] + " "
            for lstm, highway, out, chars, target in (
                (model.forward_char_lstm, model.forward_lm_highway, model.forward_text_out,
                 before, targets[i + 2]),
                (model.backward_char_lstm, model.backward_lm_highway, model.backward_text_out,
                 after, targets[i]),
            ):  # fmt: skip
                features = highway(states(lstm, chars)[-1:])
                expected -= out.log_prob(features)[0, target]
    torch.testing.assert_close(loss, expected)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")  # of size 1
@pytest.mark.parametrize("words", [1, 2, 1100])
@pytest.mark.parametrize("size", [1, 6])
def test_any_number_of_words_and_any_size_learns(words, size):
    """And each weight has a gradient, which several processes wait for, if 0."""
    sentences = [[str(number)] for number in range(words)]
    word_map, char_map = text_maps(sentences, 2000)
    model = TextModel(len(char_map), word_map, 5, size, 1, 1)
    dataset = WCDataset(sentences, None, word_map, char_map, {"<start>": 0, "<end>": 1}, True)
    for batch in (collate([dataset[0]]), collate([])):
        model.zero_grad()
        loss = model(batch)
        loss.backward()
        assert loss.isfinite()
        assert all(parameter.grad is not None for parameter in model.parameters())
    assert loss == 0 and not any(parameter.grad.any() for parameter in model.parameters())


def test_an_epoch_can_begin_at_any_batch():
    lengths = torch.arange(23)
    whole = LengthBatchSampler(lengths, 4, shuffle=True, seed=3)
    whole.set_epoch(2)
    batches = list(whole)
    for first in range(len(batches) + 1):
        whole.set_epoch(2, first)
        assert len(whole) == len(list(whole)) and list(whole) == batches[first:]
    whole.set_epoch(2)
    assert list(whole) == batches


# What is learned ----------------------------------------------------------------------------------


def losses(output):
    """The loss of each printed stretch of text."""
    return list(map(float, re.findall(r"(?m)^Text, epoch .* loss (\d+\.\d+)", output)))


def test_the_loss_falls(run):
    recipe = train.TEXT_RECIPE | dict(lr=0.05)
    found = losses(run(text_epochs=20, TEXT_RECIPE=recipe, SAVE_TEXT_EVERY=1000))
    assert found[0] > 5  # nats, of both models: one of 13 words each
    # Four of the six words that follow are one of two, and so are four that come before.
    assert found[-1] < 2.8  # 2 * 4/6 * log 2 is 0.9


def test_each_save_is_a_line_and_the_time_left_is_told(run):
    lines = [line for line in run().splitlines() if line.startswith("Text, epoch")]
    steps = [3, 6, 7, 10, 13, 14]  # an epoch has seven
    for line, step in zip(lines, steps, strict=True):
        epoch = 1 if step <= 7 else 2
        assert line.startswith(f"Text, epoch {epoch} of 2, step {step} of {STEPS}: loss ")
        assert line.endswith(" left") == (step < STEPS)


# What a tagger takes from it ---------------------------------------------------------------------


@pytest.mark.parametrize("co_training", [True, False])
def test_a_tagger_starts_from_what_was_learned(run, tmp_path, co_training):
    run(lr=0.0, averaging=0.0, co_training=co_training)
    text_model = load_checkpoint(tmp_path / "text_model.pt")
    tagger = load_checkpoint(tmp_path / "last.pt")
    chars = len(text_model["char_map"])
    assert list(tagger["char_map"])[:chars] == list(text_model["char_map"])
    taken = {name for name in text_model["model"] if co_training or "_lm_" not in name}
    assert {name.partition(".")[0] for name in taken} == {
        "char_embeddings", "forward_char_lstm", "backward_char_lstm",
        *(["forward_lm_highway", "backward_lm_highway"] if co_training else []),
    }  # fmt: skip
    for name in taken:
        assert torch.equal(tagger["model"][name][: len(text_model["model"][name])],
                           text_model["model"][name]), name  # fmt: skip
    own = tagger["model"]["char_embeddings.weight"][chars:]
    assert len(own) == len(tagger["char_map"]) - chars > 0 and own.any(dim=1).all()


def test_words_are_those_of_the_training_data_characters_those_of_both(run, tmp_path):
    run()
    state = load_checkpoint(tmp_path / "last.pt")
    words = [
        [line.split()[0] for line in block.splitlines()] for block in TINY_CORPUS.split("\n\n")
    ]
    word_map, char_map, _ = create_maps(words, [], 1, 1, True)
    assert list(state["word_map"].items()) == list(word_map.items())
    assert "rome" not in state["word_map"]
    of_text = set("".join(sum(made_up_text(28), [])))
    assert set(state["char_map"]) == set(char_map) | of_text and "ß" not in char_map
    assert list(state["char_map"].values()) == list(range(len(state["char_map"])))


def test_without_text_nothing_is_read_or_written(run, monkeypatch, tmp_path):
    monkeypatch.setattr(train, "learn_from_text", None)  # not called
    run(text_file=None, text_model_file=str(tmp_path / "nowhere" / "text_model.pt"))
    assert not (tmp_path / "nowhere").exists()


# The file ----------------------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a run without a trace, as kill -9 does."""


def stopped_after(run, monkeypatch, saves, **constants):
    """Run until the text model has been saved some times, then stop at once."""
    save, count = pretraining.TextRun.save, itertools.count(1)

    def save_some(state, path):
        save(state, path)
        if next(count) == saves:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(pretraining.TextRun, "save", save_some)
        run(**constants)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """:return: a function that gives the folder of a run that nothing stopped, for some number of
    layers; saved.pt is the text model as it was saved first. Its files are not to be changed"""

    @functools.cache
    def trained(layers):
        folder = tmp_path_factory.mktemp("whole_run")
        text = written(folder / "text.txt", made_up_text(28))
        (folder / "tiny.txt").write_text(TINY_CORPUS, encoding="utf-8")
        save = pretraining.TextRun.save

        def save_and_copy(state, path):
            save(state, path)
            if not (folder / "saved.pt").exists():
                shutil.copy(path, folder / "saved.pt")

        constants = tiny_constants(folder / "tiny.txt", folder) | text_constants(text, folder)
        constants |= dict(epochs=1, char_rnn_layers=layers)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pretraining.TextRun, "save", save_and_copy)
            patch.setattr(train, "default_device", lambda: torch.device("cpu"))
            set_constants(patch, constants)
            train.main()
        return folder

    return trained


@pytest.fixture
def alone(whole_run):
    """The folder with the files of a run that nothing stopped."""
    return whole_run(1)


@pytest.fixture
def text_models(alone):
    """{whether it is finished: the path of a text model's file}; not to be changed."""
    return {True: alone / "text_model.pt", False: alone / "saved.pt"}


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("saves", [(1,), (3,), (2, 1, 2)])  # in the middle, after an epoch, often
def test_a_stopped_run_goes_on_to_the_same_bits(
    run, monkeypatch, tmp_path, whole_run, saves, layers
):
    monkeypatch.setattr(train, "char_rnn_layers", layers)
    alone = whole_run(layers)
    for count in saves:
        stopped_after(run, monkeypatch, count)
    step = load_checkpoint(tmp_path / "text_model.pt")["step"]
    assert 0 < step < STEPS and not (tmp_path / "last.pt").exists()
    output = run()
    assert f"text_model.pt: going on after {step} of {STEPS} steps" in output
    assert equal(*(load_checkpoint(f / "text_model.pt") for f in (tmp_path, alone)))
    assert differences(tmp_path / "last.pt", alone / "last.pt") == []


def test_a_text_is_learned_once_and_serves_other_taggers(run, alone, monkeypatch, tmp_path):
    shutil.copy(alone / "text_model.pt", tmp_path)
    monkeypatch.setattr(train, "read_whole_text", None)  # not called
    assert "text_model.pt, which have read this text" in run()
    assert differences(tmp_path / "last.pt", alone / "last.pt") == []
    run(word_rnn_dim=10, seed=2, dropout=0.1)


def test_the_same_text_packed_or_in_two_files_is_the_same(run, monkeypatch, tmp_path, text):
    run()
    lines = text.read_bytes().splitlines(keepends=True)
    (tmp_path / "text.txt.gz").write_bytes(gzip.compress(b"".join(lines)))
    (tmp_path / "a.txt").write_bytes(b"\n" + b"".join(lines[:9]) + b" \n")  # blank lines are none
    (tmp_path / "b.txt").write_bytes(b"".join(lines[9:]).replace(b" ", b"  ").rstrip(b"\n"))
    monkeypatch.setattr(train, "read_whole_text", None)  # not called
    for files in ("text.txt.gz", ["a.txt", "b.txt"]):
        given = (
            str(tmp_path / files) if isinstance(files, str) else [str(tmp_path / f) for f in files]
        )
        assert "which have read this text" in run(text_file=given)


@pytest.mark.parametrize(
    "change",
    [
        dict(char_emb_dim=4), dict(char_rnn_dim=5), dict(char_rnn_layers=2),
        dict(highway_layers=0), dict(caseless=False), dict(min_char_freq=2), dict(text_epochs=1),
        "text",
    ],
)  # fmt: skip
@pytest.mark.parametrize("finished", [True, False])
def test_what_fits_no_more_is_kept_aside(run, tmp_path, text, text_models, change, finished):
    shutil.copy(text_models[finished], tmp_path / "text_model.pt")
    before = (tmp_path / "text_model.pt").read_bytes()
    if change == "text":
        written(text, made_up_text(28, seed=2))
        change, said = {}, r"text is '28 sentences, 168 words, \w+', was '28 sentences"
    else:
        said = " is ".join(*((name, str(value)) for name, value in change.items()))
    output = run(**change, SAVE_TEXT_EVERY=STEPS)
    assert re.search(rf"text_model.pt is from .*{said}.*: kept as .*text_model.1.pt\n", output)
    assert (tmp_path / "text_model.1.pt").read_bytes() == before
    state = load_checkpoint(tmp_path / "text_model.pt")
    assert state["step"] == state["steps"] == int(re.findall("step ([0-9]+) of", output)[-1])


def test_a_run_is_resumed_without_its_text(run, alone, stop_after, tmp_path, text):
    shutil.copy(alone / "text_model.pt", tmp_path)
    run(epochs=2)
    (tmp_path / "last.pt").rename(tmp_path / "whole.pt")
    (tmp_path / "best.pt").unlink()
    stop_after(1)
    text.unlink()
    (tmp_path / "text_model.pt").unlink()
    run(checkpoint=str(tmp_path / "last.pt"))
    assert differences(tmp_path / "last.pt", tmp_path / "whole.pt") == []


# Bad files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b"", b" \n\n", b"The hotel\nGro\xdfe\n"])
def test_a_bad_text_is_said_in_a_sentence(run, as_command, text, content):
    os.remove(text) if content is None else text.write_bytes(content)
    status, errors = as_command(run)
    assert status == 1
    expected = {
        None: f"{text}: No such file or directory",
        b"The hotel\nGro\xdfe\n": f"{text}, line 2: ",
    }.get(content, f"{text}: expected at least one sentence, found none")
    assert len(errors) == 1 and errors[0].startswith(f"Error: {expected}"), errors


def test_a_text_needs_characters(run, as_command):
    status, errors = as_command(lambda: run(use_characters=False, co_training=False))
    assert status == 1
    assert errors == ["Error: text_file: expected use_characters = True with it, found False"]


def without(state, name):
    """A dict without one of its parts."""
    return {key: value for key, value in state.items() if key != name}


def other_shape(state):
    """A text model whose weights are those of another."""
    return state | dict(model={name: value[:1] for name, value in state["model"].items()})


def not_finite(state):
    """A text model with a weight that is none."""
    weight = state["model"]["char_embeddings.weight"]
    weight[0, 0] = float("nan")
    return state


DAMAGES = {
    "another file": lambda state: {"a": 1},
    "newer": lambda state: state | dict(text_format=99),
    "no number": lambda state: state | dict(text_format="1"),
    "other shape": other_shape,
    "nan": not_finite,
    **{
        f"no {name}": lambda state, name=name: without(state, name)
        for name in ("settings", "char_map", "step", "steps", "model")
    },
    "settings": lambda state: state | dict(settings=[]),
    "model": lambda state: state | dict(model=[]),
    "char_map": lambda state: state | dict(char_map=[]),
    "step": lambda state: state | dict(step="1"),
    "a weight": lambda state: state | dict(model=without(state["model"], "char_embeddings.weight")),
    "a name": lambda state: state | dict(model=state["model"] | {1: 1}),
}
OF_UNFINISHED = ("weights", "averaged", "optimizer")
DAMAGES_OF_UNFINISHED = {
    **{f"no {name}": lambda state, name=name: without(state, name) for name in OF_UNFINISHED},
    **{name: lambda state, name=name: state | {name: {}} for name in OF_UNFINISHED},
    "an output": lambda state: (
        state | dict(model=without(state["model"], "forward_text_out.head.weight"))
    ),
    "no weight": lambda state: state | dict(weights=[]),
    "far": lambda state: state | dict(step=STEPS + 1),
    "steps": lambda state: state | dict(steps=STEPS + 1),
}


@pytest.mark.parametrize(
    "finished, name",
    [
        *((True, name) for name in DAMAGES),
        *((False, name) for name in DAMAGES_OF_UNFINISHED),
    ],
)
def test_a_bad_text_model_is_said_in_a_sentence(
    run, as_command, text_models, tmp_path, finished, name
):
    state = load_checkpoint(text_models[finished])
    damage = (DAMAGES if name in DAMAGES else DAMAGES_OF_UNFINISHED)[name]
    path = tmp_path / "text_model.pt"
    save_checkpoint(path, damage(state))
    before = path.read_bytes()
    status, errors = as_command(run)
    assert status == 1 and len(errors) == 1
    assert errors[0].startswith(f"Error: {path}: ")
    assert path.read_bytes() == before and not (tmp_path / "last.pt").exists()


@pytest.mark.parametrize("name", ["text", "tagger", "half"])
def test_a_file_of_another_kind_stays_as_it_is(
    run, as_command, text_models, tiny_checkpoint, tmp_path, name
):
    path = tmp_path / "text_model.pt"
    whole = pathlib.Path(text_models[True]).read_bytes()
    content = {"text": b"The hotel\n", "tagger": tiny_checkpoint.read_bytes(), "half": whole[:999]}
    path.write_bytes(content[name])
    status, errors = as_command(run)
    assert status == 1 and len(errors) == 1 and errors[0].startswith(f"Error: {path}: ")
    assert path.read_bytes() == content[name] and not (tmp_path / "last.pt").exists()


@pytest.mark.parametrize("name", ["text_file", "train_file", "last_file"])
def test_the_text_model_has_a_file_of_its_own(run, as_command, name):
    status, errors = as_command(lambda: run(text_model_file=getattr(train, name)))
    assert status == 1 and len(errors) == 1
    assert errors[0].startswith("Error: text_model_file: expected a file of its own, found ")


def test_what_diverges_is_not_saved(run, as_command, monkeypatch, tmp_path):
    recipe = train.TEXT_RECIPE | dict(lr=1e30)
    status, errors = as_command(lambda: run(TEXT_RECIPE=recipe, grad_clip=None))
    assert status == 1 and len(errors) == 1
    assert "batches 1 to 3" in errors[0] and "found NaN or infinity" in errors[0]
    assert not (tmp_path / "text_model.pt").exists()


# Ctrl-C, kill -9, several processes --------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_command_goes_on(edited_script, tmp_path, text, how):
    path = edited_script(text_file=str(text), text_epochs=1000, SAVE_TEXT_EVERY=EVERY)
    run = Team(1, tmp_path, run_file, path)
    run.until("Text, epoch 2")  # the first is saved
    run.send_signal(how)
    statuses, _, errors = run.wait()
    step = load_checkpoint(tmp_path / "text_model.pt")["step"]
    if how == signal.SIGINT:
        assert statuses == [130]
        assert errors == 'Stopped; the same command goes on from "text_model.pt"\n'
    else:
        assert statuses == [-signal.SIGKILL]
    again = Team(1, tmp_path, run_file, path)
    again.until("text_model.pt: going on")
    again.send_signal(signal.SIGKILL)
    _, output, _ = again.wait()
    assert f"going on after {step:,} of " in output


def with_sgd():
    """An optimizer that does not turn rounding errors into steps, as Adam does."""

    def sgd(parameters, betas, fused):
        return torch.optim.SGD(parameters, momentum=betas[0])

    train.torch.optim.AdamW = sgd


@pytest.mark.parametrize("sentences", [28, 9])  # in batches of four, the last of one
def test_two_processes_learn_what_one_does(tmp_path, sentences):
    text = written(tmp_path / "text.txt", made_up_text(sentences))
    (tmp_path / "corpus.txt").write_text(TINY_CORPUS, encoding="utf-8")
    outputs, states = [], []
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        constants = tiny_constants(tmp_path / "corpus.txt", folder) | text_constants(text, folder)
        constants |= EXACT | dict(lr=0.1, epochs=1)
        constants["TEXT_RECIPE"] = constants["TEXT_RECIPE"] | dict(lr=0.3)
        statuses, output, errors = Team(count, folder, run_train, constants, with_sgd, 2).wait()
        assert not any(statuses) and errors == "", errors
        assert output.count("which have read this text") == 1  # the second time
        outputs.append(losses(output))
        states.append([load_checkpoint(folder / name) for name in ("text_model.pt", "last.pt")])
    assert outputs[1] == pytest.approx(outputs[0], abs=2e-3) and len(outputs[0]) > 1
    for one, two in zip(*states, strict=True):
        for name, parameter in one["model"].items():
            torch.testing.assert_close(two["model"][name], parameter, rtol=1e-4, atol=1e-5)
