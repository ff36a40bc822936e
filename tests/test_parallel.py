"""Several processes train as one would: gradients, scores, checkpoints, errors.

Each test starts two real processes, which talk by gloo.
"""

import functools
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from common import TINY_CORPUS, differences, tiny_constants
from parallel import Team

import train
from datasets import LengthBatchSampler, collate, data_loader
from inference import Tagger
from machinery import errors, processes, report, runs
from machinery.average import WeightAverage
from machinery.checkpoints import load_checkpoint
from machinery.constants import checked
from machinery.errors import InputError
from machinery.files import reserved
from machinery.spans import scores
from models import LanguageModelLoss, ViterbiLoss
from utils import read_words_tags

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="needs gloo")

# Seven sentences: with two in a batch, the last batch leaves one process without any.
CORPUS = TINY_CORPUS + "\nMore B-PER\n\nThe O\nMajestic B-LOC\n. O\n\nHotels O\nin O\nParis B-LOC\n"
# No random numbers, and an optimiser that does not turn rounding errors into steps as Adam does.
EXACT = dict(dropout=0.0, unk_rate=0, optimizer="sgd", averaging=0.9)


def run_train(constants, patch=None, times=1):
    """train.py as a script, with these constants; `patch` may change more first."""
    train.default_device = lambda: torch.device("cpu")
    for name, value in constants.items():
        setattr(train, name, value)
    if patch is not None:
        patch()
    for _ in range(times):
        begin = time.time()
        advice = functools.partial(report.how_to_resume, train.last_file, begin)
        errors.run_script(train.main, advice)


@pytest.fixture
def run(tmp_path):
    """:return: a function that runs train.py, given a folder's name, a number of processes and
    constants; it returns exit statuses, stdout and the lines on stderr. The folder then holds
    last.pt and best.pt"""
    (tmp_path / "corpus.txt").write_text(CORPUS, encoding="utf-8")

    def start(name, processes, patch=None, times=1, **constants):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        paths = tiny_constants(tmp_path / "corpus.txt", folder)
        constants = paths | dict(test_file=paths["train_file"]) | constants
        return Team(processes, folder, run_train, constants, patch, times)

    def finish(*arguments, **constants):
        statuses, output, errors = start(*arguments, **constants).wait()
        return statuses, output, errors.splitlines()

    finish.start = start
    return finish


def trained(result):
    """What a run printed; it must have succeeded."""
    statuses, output, errors = result
    assert not any(statuses) and errors == [], (statuses, errors)
    return output


# The share-out -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sentences", [1, 2, 7, 10, 95])
@pytest.mark.parametrize("batch_size, processes", [(10, 2), (10, 3), (3, 3), (2, 4), (1, 2)])
def test_each_sentence_is_in_one_share(sentences, batch_size, processes):
    lengths = torch.randint(1, 50, (sentences,), generator=torch.Generator().manual_seed(1))
    for shuffle in (True, False):
        whole = LengthBatchSampler(lengths, batch_size, shuffle, seed=3)
        shares = [
            LengthBatchSampler(lengths, batch_size, shuffle, seed=3, share=(rank, processes))
            for rank in range(processes)
        ]
        for sampler in (whole, *shares):
            sampler.set_epoch(5)
            assert len(list(sampler)) == len(sampler)
        of_each = list(map(list, shares))
        seen = [sentence for batches in of_each for batch in batches for sentence in batch]
        assert sorted(seen) == list(range(sentences))
        for batch in sum(of_each, []):
            assert lengths[batch].tolist() == sorted(lengths[batch].tolist())
        if shuffle:  # all take each step together
            for batch, *parts in zip(whole, *of_each, strict=True):
                assert sorted(sum(parts, [])) == sorted(batch)
                assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("part", [dict(), dict(use_crf=False), dict(attention_heads=2)])
def test_an_empty_share_has_no_gradient(tiny_train, monkeypatch, part):
    for name, value in part.items():
        monkeypatch.setattr(tiny_train, name, value)
    data = read_words_tags(tiny_train.train_file)
    constants = checked(vars(tiny_train), tiny_train.RECIPES)
    settings = runs.kept_settings(constants, "f1", data, None)
    state, model = tiny_train.new_run(constants, settings, data)
    batch = collate([])
    scores, forward, backward = model(batch)
    lm_loss = LanguageModelLoss(state["word_map"], state["model_arguments"]["lm_vocab_size"])
    loss = lm_loss(forward, backward, batch)
    loss = loss + ViterbiLoss(state["tag_map"])(scores, batch.tags, batch.word_lengths)
    assert loss == 0
    loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and not parameter.grad.any(), name


# One step ----------------------------------------------------------------------------------------


class Batches(list):
    """Some batches of a loader, whose order no epoch changes."""

    batch_sampler = LengthBatchSampler(torch.ones(1), 1, shuffle=True)


@processes.process_group()
def one_step(path, folder, batch_size):
    """Save the gradients of the first step, and the losses that are shown."""
    values = tiny_constants(path, folder) | EXACT | dict(averaging=0, lr=0.0, grad_clip=1.5)
    constants = checked(vars(train) | values, train.RECIPES)
    torch.manual_seed(1)
    words, tags = read_words_tags(path)
    settings = runs.kept_settings(constants, "f1", (words, tags), None)
    state, model = train.new_run(constants, settings, (words, tags))
    tags[-1] = ["I-NEW"] * len(tags[-1])  # the Viterbi loss skips this sentence
    dataset = train.encode(path, (words, tags), state)
    loader = data_loader(dataset, batch_size, shuffle=True, seed=1, shared=True)
    replica = processes.replicated(model)
    lm_loss = LanguageModelLoss(state["word_map"], state["model_arguments"]["lm_vocab_size"])
    both = lm_loss, ViterbiLoss(state["tag_map"])
    optimizer = train.new_optimizer(model, constants)
    rest = constants, runs.RunState(state, model, WeightAverage(model, 0), optimizer)
    steps = []
    for batch in loader:
        losses = train.train_epoch(replica, Batches([batch]), *both, *rest)
        gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}
        steps.append((losses, gradients))
    if processes.rank() == processes.processes() - 1:
        torch.save(steps, folder / f"{processes.processes()}.pt")


@pytest.mark.parametrize("batch_size", [7, 2])
def test_gradients_and_losses_are_those_of_one_process(tmp_path, batch_size):
    path = tmp_path / "corpus.txt"
    path.write_text(CORPUS, encoding="utf-8")
    found = []
    for count in (1, 2):
        result = Team(count, tmp_path, one_step, path, tmp_path, batch_size).wait()
        assert not any(result[0]), result[2]
        found.append(torch.load(tmp_path / f"{count}.pt", weights_only=True))
    for (losses, gradients), (expected_losses, expected) in zip(*found, strict=True):
        assert losses == pytest.approx(expected_losses, rel=1e-6)
        norm = torch.stack([gradient.norm() for gradient in gradients.values()]).norm().item()
        assert norm == pytest.approx(1.5, rel=1e-4)  # clipped, after averaging
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-6, msg=name)


# Whole runs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "constants",
    [
        dict(batch_size=4),
        dict(batch_size=1, co_training=False, use_crf=False),
        dict(batch_size=3, fine_tune_word_embeddings=True, attention_heads=2),
    ],
)
def test_two_processes_train_what_one_does(run, tmp_path, constants):
    if "fine_tune_word_embeddings" in constants:
        (tmp_path / "vectors.txt").write_text("hotel 1 1 1\nzebra 3 3 3\n")
        constants["emb_file"] = str(tmp_path / "vectors.txt")
    outputs, states = [], []
    for count in (1, 2):
        name = str(count)
        constants = EXACT | constants | dict(lr=0.1, eval_batch_size=2, epochs=3)
        outputs.append(trained(run(name, count, **constants)))
        states.append(load_checkpoint(tmp_path / name / "best.pt"))
    changing = r"\d+\.\d s|; at most .* left|epochs in .*:|/[12]/|, in 2 processes"
    one, two = (re.sub(changing, "", output) for output in outputs)
    assert re.sub(r"\d+\.\d{3}", "", one) == re.sub(r"\d+\.\d{3}", "", two)  # scores to the last
    numbers = [list(map(float, re.findall(r"\d+\.\d{3}", text))) for text in (one, two)]
    assert numbers[1] == pytest.approx(numbers[0], abs=2e-3)  # losses, to rounding
    for name, parameter in states[0]["model"].items():  # the names are the model's own
        torch.testing.assert_close(states[1]["model"][name], parameter, rtol=1e-4, atol=1e-5)
    assert states[0]["epoch"] == states[1]["epoch"]


def interrupt_after_one():
    """Press Ctrl-C at the end of the first epoch."""
    print_epoch = report.print_epoch

    def interrupt(*arguments):
        print_epoch(*arguments)
        raise KeyboardInterrupt

    report.print_epoch = interrupt


@pytest.mark.parametrize("before, after", [(2, 1), (1, 2), (2, 2)])
def test_runs_resume_on_any_number_of_processes(run, tmp_path, before, after):
    constants = dict(epochs=3, batch_size=4)
    *_, errors = run("part", before, interrupt_after_one, **constants)
    assert len(errors) == 1 and "to go on after the last epoch that ended" in errors[0]
    resume = dict(checkpoint=str(tmp_path / "part" / "last.pt"))
    output = trained(run("part", after, **constants, **resume))
    assert output.count("\nepoch") == 2
    state = load_checkpoint(tmp_path / "part" / "last.pt")
    assert state["epoch"] == 3 and len(state["rng"]) == after
    if before == after:
        trained(run("whole", before, **constants))
        for name in ("last.pt", "best.pt"):
            assert differences(tmp_path / "part" / name, tmp_path / "whole" / name) == []
    else:
        assert f"processes is {after}, was {before}" in output
    if after == 2:  # dropout draws other numbers in each
        assert not torch.equal(*(rng["cpu"] for rng in state["rng"]))


def test_each_process_draws_numbers_of_its_own(monkeypatch):
    drawn = []
    monkeypatch.setattr(processes, "processes", lambda: 2)
    for rank, epoch in ((0, 0), (1, 0), (0, 1), (0, 0)):
        monkeypatch.setattr(processes, "rank", lambda number=rank: number)
        processes.set_rng_states("file", [processes.rng_states()], 1, epoch)
        drawn.append(torch.rand(3).tolist())
    assert drawn[0] == drawn[3]
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]


def first_epoch_is_best():
    """Let the scores fall from epoch to epoch."""
    record = runs.RunState.record
    runs.RunState.record = lambda state, _, entry: record(state, 0.5**state.epoch, entry)


def test_early_stopping_ends_both_and_both_score_the_best_epoch(run, tmp_path):
    """Not the last, whose weights they end with."""
    constants = dict(epochs=50, lr=0.1, dropout=0.0, unk_rate=0, patience=6, eval_batch_size=1)
    output = trained(run("a", 2, first_epoch_is_best, **constants))
    assert "no better entity F1 for 6 epochs" in output
    assert load_checkpoint(tmp_path / "a" / "last.pt")["epoch"] == 7
    words, tags = read_words_tags(tmp_path / "corpus.txt")
    best, last = (
        report.summary(scores(tags, Tagger(tmp_path / "a" / f"{name}.pt", "cpu").tag(words)))
        for name in ("best", "last")
    )
    end = output[output.index("The model of epoch 1:") :]
    assert end.count(best) == 2 and best != last


def test_steps_without_known_tags_are_no_error(run, tmp_path):
    """As where a run goes on with other data."""
    trained(run("a", 2, epochs=1))
    other = tmp_path / "other.txt"
    other.write_text(re.sub(r" \S+$", " B-NEW", CORPUS, flags=re.MULTILINE), encoding="utf-8")
    constants = dict(epochs=2, checkpoint=str(tmp_path / "a" / "last.pt"), train_file=str(other))
    trained(run("a", 2, **constants))
    first, second = load_checkpoint(tmp_path / "a" / "last.pt")["history"]
    assert second["tag_loss"] == 0 < first["tag_loss"]


def test_the_files_of_another_run_are_renamed_once(run, tmp_path):
    assert trained(run("a", 2, times=2)).count("kept as") == 3
    assert differences(tmp_path / "a" / "last.pt", tmp_path / "a" / "last.1.pt") == []
    assert (tmp_path / "a" / "last.1.csv").exists()
    assert not (tmp_path / "a" / "last.2.pt").exists()


# Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "constants, message",
    [
        (dict(train_file="nowhere.txt"), "nowhere.txt: No such file or directory"),
        (dict(last_file="\0"), "last_file: expected the path of a file, found '\\x00'"),
    ],
)
def test_bad_input_is_said_once(run, constants, message):
    statuses, _, errors = run("a", 2, **constants)
    assert errors == [f"Error: {message}"]
    assert all(statuses)


def test_files_in_use_are_said_once(run, tmp_path):
    (tmp_path / "a").mkdir()
    with reserved(str(tmp_path / "a" / "best.pt")):
        statuses, output, errors = run("a", 2)
    assert all(statuses) and "epoch" not in output
    assert len(errors) == 1 and "best.pt: expected a file that no other run writes" in errors[0]


def failing_in_one(kind):
    """Let the second process alone fail, at the end of its second epoch."""
    train_epoch = train.train_epoch

    def fail(*arguments):
        losses = train_epoch(*arguments)
        if processes.rank() == 1 and arguments[-1].epoch == 1:
            if kind == "input":
                raise InputError("the disk is on fire")
            if kind == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt if kind == "interrupt" else ZeroDivisionError
        return losses

    train.train_epoch = fail


@pytest.mark.parametrize(
    "kind, message",
    [
        ("input", "Error: the disk is on fire"),
        ("interrupt", "Stopped; to go on after the last epoch that ended, set checkpoint = "),
        ("bug", "ZeroDivisionError"),
    ],
)
def test_an_error_in_one_ends_all_and_is_said_once(run, kind, message):
    statuses, output, errors = run("a", 2, functools.partial(failing_in_one, kind), epochs=9)
    assert output.count("\nepoch") == 1
    assert all(statuses)
    if kind == "bug":
        assert errors[0].startswith("Process") or errors[0].startswith("Traceback")
        assert errors[-1] == message and sum("Traceback" in line for line in errors) == 1
    else:
        assert len(errors) == 1 and errors[0].startswith(message)


def slow_to_say_why():
    """Let both fail, and wait a second before they say why."""
    how_to_resume = report.how_to_resume

    def fail(*arguments):
        raise KeyboardInterrupt

    def slow(*arguments):
        time.sleep(1)
        return how_to_resume(*arguments)

    train.train_epoch, report.how_to_resume = fail, slow


def test_the_second_to_fail_lets_the_first_finish(run):
    statuses, _, errors = run("a", 2, slow_to_say_why)
    assert errors == ["Stopped before an epoch had ended: no checkpoint was written"]
    assert all(statuses) and 130 in statuses


def test_a_killed_process_ends_the_other(run):
    statuses, _, errors = run("a", 2, functools.partial(failing_in_one, "killed"), epochs=9)
    assert all(statuses) and -signal.SIGKILL in statuses
    # The other may be ended before it notices.
    expected = "Error: another process was killed or does not answer ("
    assert errors == [] or len(errors) == 1 and errors[0].startswith(expected)


def test_ctrl_c_ends_both(run, tmp_path):
    team = run.start("a", 2, epochs=1_000_000, patience=1_000_000)
    team.until("\nepoch   2")
    team.send_signal(signal.SIGINT)
    statuses, _, errors = team.wait()
    assert all(statuses) and 130 in statuses
    assert load_checkpoint(tmp_path / "a" / "last.pt")["epoch"] >= 2
    (line,) = errors.splitlines()
    assert line.startswith("Stopped; to go on after the last epoch that ended, set checkpoint = ")


# torchrun itself ---------------------------------------------------------------------------------


@pytest.fixture
def torchrun(root, tiny_corpus, tmp_path):
    """Runs train.py with torchrun in two processes: from constants to the finished process."""
    # Without NumPy, which PyTorch's own gathering of objects needs, and we do not.
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError", encoding="utf-8")
    environment = dict(OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="", PYTHONPATH=str(tmp_path))

    def start(**constants):
        constants = tiny_constants(tiny_corpus, tmp_path) | dict(epochs=1) | constants
        arguments = "--standalone --nproc_per_node=2".split() + [str(root / "train.py")]
        return subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", *arguments]
            + [f"{name}={value}" for name, value in constants.items()],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )

    return start


def test_torchrun(torchrun, tmp_path):
    result = torchrun()
    assert result.returncode == 0, result.stderr
    assert "in 2 processes" in result.stdout and result.stdout.count("\nepoch") == 1
    assert len(load_checkpoint(tmp_path / "last.pt")["rng"]) == 2


@pytest.mark.slow
def test_bad_input_is_said_once_by_torchrun(torchrun):
    """Like the processes above, which start faster."""
    result = torchrun(test_file="nowhere.txt")
    assert result.returncode != 0
    assert result.stderr.count("Error: nowhere.txt: No such file") == 1
    assert result.stderr.count("Traceback") == 1  # torchrun's own
