"""Runs that go on: to the last bit as in one go; what may change then; which files count, and which
are written: nothing lost or mixed up."""

import os
import shutil
import signal

import pytest
import torch
from common import TINY_CORPUS, differences, equal, rows
from constants_table import ROWS

import train
from inference import Tagger
from machinery import checkpoints, device, runs
from machinery.checkpoints import load_checkpoint
from machinery.constants import checked
from machinery.errors import InputError
from machinery.files import reserved
from machinery.spans import scores
from models import for_tagging
from utils import read_words_tags


@pytest.fixture
def run(tiny_train, monkeypatch, capsys):
    """Trains with some constants changed; :return: the scores, and what was printed"""

    def main(**constants):
        for name, value in constants.items():
            monkeypatch.setattr(tiny_train, name, value)
        capsys.readouterr()
        result = tiny_train.main()
        return result, capsys.readouterr().out

    return main


@pytest.fixture
def falling(monkeypatch):
    """Lets the score fall from epoch to epoch: the first is the best. The model is one of words
    alone: which file counts does not depend on it, and it is saved faster."""
    monkeypatch.setattr(train, "use_characters", False)
    monkeypatch.setattr(train, "co_training", False)
    record = runs.RunState.record
    monkeypatch.setattr(runs.RunState, "record", lambda s, _, entry: record(s, 0.5**s.epoch, entry))


def scores_of(checkpoint, corpus):
    """What a checkpoint's model scores on a file."""
    words, tags = read_words_tags(corpus)
    return scores(tags, Tagger(checkpoint, "cpu").tag(words))


LEARNS = dict(lr=0.1, dropout=0.0, unk_rate=0)  # so that epochs have different scores
EPOCHS = 7  # enough for that

# Exactness ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["adamw", "sgd"])
@pytest.mark.parametrize("emb", [False, True])
def test_resuming_after_any_epoch_is_exact(
    request, monkeypatch, tmp_path, on_cpu, stop_after, emb, recipe
):
    """Weights, their average, momentum, learning rate, best score, patience and random numbers, to
    the last bit; without the file of vectors, which the checkpoint has no need of."""
    request.getfixturevalue("with_embeddings" if emb else "tiny_train")
    monkeypatch.setattr(train, "optimizer", recipe)
    monkeypatch.setattr(train, "epochs", 3)
    emb_file = train.emb_file
    train.main()
    shutil.copy(train.last_file, tmp_path / "whole_last.pt")
    shutil.copy(train.best_file, tmp_path / "whole_best.pt")
    for stop in (1, 2):
        monkeypatch.setattr(train, "last_file", str(tmp_path / f"last_{stop}.pt"))
        monkeypatch.setattr(train, "best_file", str(tmp_path / f"best_{stop}.pt"))
        monkeypatch.setattr(train, "checkpoint", None)
        monkeypatch.setattr(train, "emb_file", emb_file)
        stop_after(stop)
        torch.rand(17)  # a new process would draw other numbers
        monkeypatch.setattr(train, "checkpoint", train.last_file)
        monkeypatch.setattr(train, "emb_file", None)
        train.main()
        assert differences(train.last_file, tmp_path / "whole_last.pt") == []
        assert differences(train.best_file, tmp_path / "whole_best.pt") == []


def test_a_kill_between_best_and_last_loses_nothing(tiny_train, monkeypatch, tmp_path):
    """The resumed run begins one epoch before its best file, and gets there again."""
    saved, save = [], checkpoints.save_checkpoint

    class Killed(BaseException):
        pass

    def save_some(path, *rest):
        if len(saved) == 3:
            raise Killed  # the second epoch's best is written, its last is not
        saved.append(path)
        save(path, *rest)

    record = runs.RunState.record
    always_better = lambda s, _, entry: record(s, s.best_score + 1, entry)  # noqa: E731
    monkeypatch.setattr(runs.RunState, "record", always_better)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(runs, "save_checkpoint", save_some)
        tiny_train.main()
    assert load_checkpoint(tiny_train.best_file)["epoch"] == 2
    assert load_checkpoint(tiny_train.last_file)["epoch"] == 1
    best = load_checkpoint(tiny_train.best_file)["model"]

    monkeypatch.setattr(tiny_train, "checkpoint", tiny_train.last_file)
    saved.clear()
    with monkeypatch.context() as patch, pytest.raises(Killed):  # at the first save
        saved += [None] * 3
        patch.setattr(runs, "save_checkpoint", save_some)
        tiny_train.main()
    assert equal(load_checkpoint(tmp_path / "best.1.pt")["model"], best)  # kept aside
    tiny_train.main()
    assert load_checkpoint(tiny_train.last_file)["epoch"] == 2
    best, last = (load_checkpoint(f)["model"] for f in (tiny_train.best_file, tiny_train.last_file))
    assert equal(best, for_tagging(last))


def test_resuming_writes_over_its_own_files_only(tiny_train, monkeypatch, tmp_path):
    tiny_train.main()
    monkeypatch.setattr(tiny_train, "checkpoint", tiny_train.last_file)
    monkeypatch.setattr(tiny_train, "epochs", 3)
    tiny_train.main()
    assert not list(tmp_path.glob("*.1.pt"))
    # From the middle of the run, what came after is kept.
    shutil.copy(tiny_train.last_file, tmp_path / "epoch_3.pt")
    middle = load_checkpoint(tiny_train.last_file)
    middle |= {"epoch": 1, "history": middle["history"][:1]}
    checkpoints.save_checkpoint(str(tmp_path / "middle.pt"), middle)
    monkeypatch.setattr(tiny_train, "checkpoint", str(tmp_path / "middle.pt"))
    monkeypatch.setattr(tiny_train, "epochs", 2)
    tiny_train.main()
    assert (tmp_path / "last.1.pt").read_bytes() == (tmp_path / "epoch_3.pt").read_bytes()


def test_a_resumed_run_writes_the_whole_history(tiny_train, monkeypatch, tmp_path):
    tiny_train.main()
    before = rows(tmp_path / "last.csv")
    os.remove(tmp_path / "last.csv")
    monkeypatch.setattr(tiny_train, "checkpoint", tiny_train.last_file)
    monkeypatch.setattr(tiny_train, "epochs", 4)
    tiny_train.main()
    assert rows(tmp_path / "last.csv")[:2] == before and len(rows(tmp_path / "last.csv")) == 4


# Which epoch is scored ---------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["epochs", "patience"])
def test_a_finished_run_scores_its_best_again(run, falling, tiny_corpus, tmp_path, why):
    limits = dict(epochs=EPOCHS) if why == "epochs" else dict(epochs=99, patience=EPOCHS - 1)
    result, first = run(**LEARNS, **limits)
    last, best = tmp_path / "last.pt", tmp_path / "best.pt"
    assert load_checkpoint(last)["epoch"] == EPOCHS and load_checkpoint(best)["epoch"] == 1
    assert result == scores_of(best, tiny_corpus) != scores_of(last, tiny_corpus)
    again, second = run(checkpoint=str(last))
    assert again == result
    assert first[first.index("Ended after") :] == second[second.index("Ended after") :]


def test_elsewhere_it_says_that_the_best_is_missing(run, falling, tiny_corpus, tmp_path):
    run(**LEARNS, epochs=EPOCHS)
    last, elsewhere = str(tmp_path / "last.pt"), tmp_path / "elsewhere"
    files = dict(last_file=str(elsewhere / "last.pt"), best_file=str(elsewhere / "best.pt"))
    result, output = run(checkpoint=last, **files)
    assert result == scores_of(last, tiny_corpus)
    assert f"Warning: {elsewhere / 'best.pt'} does not hold epoch 1, the best" in output
    assert f"the scores are those of epoch {EPOCHS}, the last" in output
    assert f"The model of epoch {EPOCHS}:" in output
    # Nothing was written there: what is said to exist is what was resumed.
    assert f"To resume: {last}; " in output
    assert output.endswith(f'python inference.py --checkpoint {last} "..."\n')
    assert os.listdir(elsewhere) == []


def test_a_best_file_of_an_earlier_epoch_is_not_the_best(run, falling, tiny_corpus, tmp_path):
    """As where another best_file was given for a while."""
    run(**LEARNS, epochs=EPOCHS)
    last = str(tmp_path / "last.pt")
    checkpoints.save_checkpoint(last, load_checkpoint(last) | dict(epochs_since_best=0))
    result, output = run(checkpoint=last)
    assert f"The model of epoch {EPOCHS}:" in output and "saved in" not in output
    assert result == scores_of(last, tiny_corpus) != scores_of(tmp_path / "best.pt", tiny_corpus)


def test_another_branch_of_the_same_run_does_not_count(run, falling, tiny_corpus, tmp_path):
    """Resumed twice from its first epoch, the second time with another learning rate."""
    last, best, early = (str(tmp_path / f"{name}.pt") for name in ("last", "best", "early"))
    run(**LEARNS, epochs=1)
    shutil.copy(last, early)
    os.remove(best)
    state = load_checkpoint(early) | dict(best_score=-1.0)  # so that the next epoch is the best
    checkpoints.save_checkpoint(early, state)
    run(epochs=EPOCHS, checkpoint=early)
    branch = load_checkpoint(best)
    assert branch["epoch"] == 2

    result, output = run(lr=1e-9)
    assert load_checkpoint(best)["epoch"] == 2
    assert load_checkpoint(best)["history"] != branch["history"]
    assert result == scores_of(best, tiny_corpus)
    assert f"best.pt is from another run: kept as {tmp_path / 'best.1.pt'}" in output
    assert load_checkpoint(tmp_path / "best.1.pt")["history"] == branch["history"]

    # Where no epoch of this branch is better than the first, no file holds the best.
    checkpoints.save_checkpoint(early, state | dict(best_score=2.0))
    result, output = run()
    assert "Warning" in output and "does not hold epoch 1, the best" in output
    assert f"The model of epoch {EPOCHS}:" in output and result == scores_of(last, tiny_corpus)
    assert not os.path.exists(best) or load_checkpoint(best)["history"] != branch["history"]


def test_other_constants_after_a_kill_between_best_and_last(
    run, tiny_train, monkeypatch, stop_after, tmp_path
):
    stop_after(1)
    shutil.copy(tmp_path / "last.pt", tmp_path / "first.pt")
    run(checkpoint=tiny_train.last_file)
    state = load_checkpoint(tmp_path / "last.pt")
    shutil.copy(tmp_path / "last.pt", tmp_path / "best.pt")  # as if epoch 2 had been the best,
    shutil.copy(tmp_path / "first.pt", tmp_path / "last.pt")  # and the last not been saved
    _, output = run(lr=1e-9, dropout=0.25)
    assert load_checkpoint(tmp_path / "best.1.pt")["history"] == state["history"]
    best = load_checkpoint(tmp_path / "last.pt")
    best_epoch = best["epoch"] - best["epochs_since_best"]
    assert "does not hold epoch 1" in output if best_epoch == 1 else "saved in" in output


def test_another_measure_keeps_the_best_by_the_old(run, tmp_path):
    run()
    before = (tmp_path / "best.pt").read_bytes()
    _, output = run(checkpoint=str(tmp_path / "last.pt"), criterion="accuracy", epochs=3)
    assert "is the best by another measure: kept as" in output
    assert (tmp_path / "best.1.pt").read_bytes() == before
    assert load_checkpoint(tmp_path / "best.pt")["epoch"] == 3
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == [
        "best.1.pt",
        "best.pt",
        "last.pt",
    ]


@pytest.mark.parametrize("constant", ["criterion", "constrain_tags", "val_file"])
def test_another_measure_begins_the_search_and_the_patience_anew(run, falling, tmp_path, constant):
    """A run that has ended goes on, and its next epoch is the best, however low its score."""
    (tmp_path / "other.txt").write_text(TINY_CORPUS + "\nMore O\n")
    other = str(tmp_path / "other.txt") if constant == "val_file" else ROWS[constant].other
    run(epochs=9, patience=1)
    last = str(tmp_path / "last.pt")
    assert load_checkpoint(last)["epoch"] == 2
    run(checkpoint=last, **{constant: other})
    state, best = map(load_checkpoint, (last, tmp_path / "best.pt"))
    assert state["epoch"] == 4 and best["epoch"] == 3
    assert [entry["best"] for entry in state["history"]] == [1, 0, 1, 0]
    assert state["best_score"] == 0.25


def test_a_finished_run_names_the_file_that_it_came_from(run, tiny_corpus, tmp_path):
    """Nothing was written to last_file."""
    run(epochs=2)
    kept = tmp_path / "kept.pt"
    (tmp_path / "last.pt").rename(kept)
    (tmp_path / "best.pt").unlink()
    _, output = run(checkpoint=str(kept))
    assert f"To resume: {kept}\n" in output  # its table was not renamed with it
    assert f"python inference.py --checkpoint {kept} " in output
    assert not (tmp_path / "last.pt").exists()


def test_a_file_of_another_run_does_not_count(run, tmp_path):
    """Not even if its history is the same."""
    run()
    path = str(tmp_path / "last.pt")
    state = load_checkpoint(path)
    assert runs.load_if_ancestor(path, state["run"], state["history"])["epoch"] == 2
    assert runs.load_if_ancestor(path, "other", state["history"]) is None


def test_what_cannot_be_loaded_does_not_take_the_name_of_what_can(run, monkeypatch, tmp_path):
    """In whatever epoch: the checkpoint before is intact, and no other file is left."""
    run(epochs=1)
    last, files = tmp_path / "last.pt", sorted(tmp_path.iterdir())
    before = last.read_bytes()
    record = runs.RunState.record

    def damage(state, *rest):
        record(state, *rest)
        state.history[-1]["tag_loss"] = "inf"

    monkeypatch.setattr(runs.RunState, "record", damage)
    with pytest.raises(InputError, match="pt: expected .* .history"):
        run(epochs=2, checkpoint=str(last), best_file=str(last.with_name("x.pt")), val_file=None)
    assert last.read_bytes() == before and sorted(tmp_path.iterdir()) == files


# Other optimizers, older checkpoints, checkpoints for tagging ------------------------------------


def test_any_optimizer_trains_and_resumes_by_a_change_to_train_py(
    run, tiny_train, monkeypatch, on_cpu, stop_after, tmp_path
):
    """Resumed, it has the momentum that it had: the weights are those of a run in one go."""
    recipe = tiny_train.RECIPES["adamw"]
    monkeypatch.setattr(tiny_train, "RECIPES", tiny_train.RECIPES | dict(nadam=recipe))
    new = lambda model, constants: torch.optim.NAdam(model.parameters(), lr=constants.lr)  # noqa: E731
    monkeypatch.setattr(tiny_train, "new_optimizer", new)
    run(optimizer="nadam", epochs=3)
    monkeypatch.setattr(tiny_train, "last_file", str(tmp_path / "part.pt"))
    stop_after(1)
    momentum = load_checkpoint(tmp_path / "part.pt")["optimizer"]["state"][0]
    assert "mu_product" in momentum  # NAdam's alone
    run(checkpoint=str(tmp_path / "part.pt"))
    assert differences(tmp_path / "last.pt", tmp_path / "part.pt") == []


def test_a_constant_that_an_older_checkpoint_lacks_has_its_default(run, tmp_path):
    _, _ = run(epochs=1)
    last = str(tmp_path / "last.pt")
    state = load_checkpoint(last)
    for name in ("attention_heads", "use_crf"):
        del state["settings"][name], state["model_arguments"][name]
    del state["settings"]["averaging"]
    checkpoints.save_checkpoint(last, state | dict(format=5))
    assert Tagger(last).tag([["Paris"]])
    _, output = run(checkpoint=last, epochs=2)
    assert "Changed" not in output
    assert load_checkpoint(last)["model_arguments"].get("use_crf", True) is True
    with pytest.raises(InputError, match="trained with use_crf = True: .* found False"):
        checkpoints.save_checkpoint(last, state)
        run(use_crf=False)


def test_the_best_file_is_for_tagging_alone(run, as_command, tiny_train, tiny_corpus, tmp_path):
    """It tags and scores as the epoch that it holds; to resume, it names the other file."""
    run(epochs=1)
    best, last = (str(tmp_path / name) for name in ("best.pt", "last.pt"))
    assert os.path.getsize(best) < os.path.getsize(last) / 2
    state = load_checkpoint(best)
    assert not {"optimizer", "weights", "rng", "averaged"} & state.keys()
    assert not any("_lm_" in name for name in state["model"])
    words, _ = read_words_tags(tiny_corpus)
    assert Tagger(best).nbest(words, 3) == Tagger(last).nbest(words, 3)
    result, _ = run(checkpoint=best, epochs=0)
    assert result == scores_of(last, tiny_corpus)
    tiny_train.epochs = 2
    assert as_command(tiny_train.main) == (
        1,
        [
            f"Error: {best}: expected a checkpoint to resume, found one for tagging alone, without "
            "the optimizer; resume from the run's last_file"
        ],
    )


def test_another_optimizer_on_resuming_asks_for_nothing_that_nobody_set(run, tmp_path, monkeypatch):
    """The recipes differ in min_word_freq, on which the model depends: the checkpoint's holds."""
    run(min_word_freq=None, epochs=1)
    last = str(tmp_path / "last.pt")
    _, output = run(checkpoint=last, optimizer="sgd", epochs=2)
    assert "optimizer is 'sgd'" in output and "min_word_freq is" not in output
    assert load_checkpoint(last)["settings"]["min_word_freq"] == 1
    with pytest.raises(InputError, match="trained with min_word_freq = 1: .* found 5"):
        run(min_word_freq=5, epochs=3)


def test_scores_with_another_decoder_are_said(run, tmp_path):
    run(constrain_tags=False, epochs=1)
    said = "best.pt was trained with constrain_tags = False"
    for constrain_tags in (False, True):
        _, output = run(
            checkpoint=str(tmp_path / "best.pt"), epochs=0, constrain_tags=constrain_tags
        )
        assert (said in output) == constrain_tags and "Changed" not in output


def test_constants_of_a_run_do_not_change(tiny_train):
    constants = checked(vars(tiny_train), tiny_train.RECIPES)
    with pytest.raises(AttributeError, match="lr"):
        constants.lr = 1.0


@pytest.mark.parametrize(
    "content, message",
    [
        ({"a": 1}, "expected a checkpoint of train.py"),
        ({"format": 999}, "expected checkpoint format 6, found 999; use the version"),
    ],
)
def test_another_format_is_refused(tmp_path, content, message):
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(InputError, match=message):
        runs.load_run(path)


# Changed on resuming ------------------------------------------------------------------------------


def test_other_data_are_said(run, tiny_checkpoint, tmp_path):
    """Another sentence, word or tag, or the same words cut into other sentences."""

    def said(**constants):
        _, output = run(checkpoint=str(tiny_checkpoint), epochs=1, **constants)
        return [line for line in output.splitlines() if line.startswith("Changed")]

    tiny, other = str(tmp_path / "tiny.txt"), tmp_path / "other.txt"
    for text, what in (
        (TINY_CORPUS + "\nMore O\n", "is '5 sentences, 24 words, "),
        (TINY_CORPUS.replace("hotel", "hotal"), "is '4 sentences, 23 words, "),
        (TINY_CORPUS.replace("Hotel I-LOC", "Hotel O"), "is '4 sentences, 23 words, "),
        (TINY_CORPUS.replace("Jones I-PER\n", "Jones I-PER\n\n"), "is '5 sentences, 23 words, "),
    ):
        other.write_text(text)
        for constant in ("train_file", "val_file"):
            (line,) = said(**dict(train_file=tiny, val_file=tiny) | {constant: str(other)})
            assert constant in line and what in line and "was '4 sentences, 23 words, " in line
    assert said(train_file=tiny, val_file=tiny) == []


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.other is not ...])
def test_another_value_on_resuming(
    tiny_train, tiny_checkpoint, monkeypatch, tmp_path, capsys, as_command, request, name
):
    """Another model is refused; what decides scores or training is said; the rest is free."""
    role, other, _ = ROWS[name]
    if name == "half_precision":
        request.getfixturevalue("computes_bfloat16")
    monkeypatch.setattr(device, "_has_bfloat16", lambda _: True)
    monkeypatch.setattr(tiny_train, "checkpoint", str(tiny_checkpoint))
    monkeypatch.setattr(tiny_train, "epochs", 1)
    monkeypatch.setattr(tiny_train, name, other)
    before = load_checkpoint(tiny_checkpoint)["settings"].get(name)
    if role in ("model", "fixed"):
        sentence = (
            f"Error: {tiny_checkpoint} was trained with {name} = {before!r}: expected the same to "
            f"resume it, found {other!r}"
        )
        assert as_command(tiny_train.main) == (1, [sentence])
        return
    monkeypatch.setattr(tiny_train, "fine_tune_word_embeddings", True)  # whatever the recipe says
    tiny_train.main()
    output = capsys.readouterr().out
    said = [line.split()[6] for line in output.splitlines() if line.startswith("Changed")]
    if name == "optimizer":  # and what its recipe says
        assert said == ["optimizer", "lr", "lr_decay", "averaging", "unk_rate"]
    else:
        assert said == [name] * (role != "free")
        assert role == "free" or f"{name} is {other!r}, was {before!r}\n" in output
    assert ("the search for the best epoch restarts" in output) == (role == "score")


# Names of files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "files, message",
    [
        (dict(last_file="pipe"), "pipe: expected a file or no file yet"),
        (dict(last_file="l.pt", best_file="./l.csv"), "history: expected .* the best_file"),
        (dict(last_file="l.pt", best_file="sub/../l.pt"), "last_file: expected .* the best_file"),
        (dict(last_file="link.pt", best_file="l.pt"), "last_file: expected .* the best_file"),
        (dict(last_file="tiny.txt"), "last_file: expected .* a file to read"),
        (dict(last_file="tiny.pt", val_file="tiny.csv"), "history: expected .* a file to read"),
        (dict(best_file="l.pt", test_file="./link.pt"), "best_file: expected .* a file to read"),
        (dict(best_file="v.txt", emb_file="v.txt"), "best_file: expected .* a file to read"),
        (dict(best_file="b", train_file=["a", "b"]), "best_file: expected .* a file to read"),
    ],
)
def test_two_names_of_one_file_are_refused(
    tiny_train, monkeypatch, tmp_path, as_command, files, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.pt").symlink_to("l.pt")
    (tmp_path / "sub").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    for name, value in files.items():
        monkeypatch.setattr(tiny_train, name, value)
    with pytest.raises(InputError, match=message):
        tiny_train.main()
    assert sorted(tmp_path.iterdir()) == before


def test_a_new_run_keeps_what_another_run_saved(tiny_train, tmp_path, capsys):
    tiny_train.main()
    before = {name: (tmp_path / f"{name}.pt").read_bytes() for name in ("best", "last")}
    capsys.readouterr()
    tiny_train.main()
    output = capsys.readouterr().out
    for name, content in before.items():
        assert (tmp_path / f"{name}.1.pt").read_bytes() == content
        assert f"{name}.1.pt" in output
    tiny_train.main()
    assert (tmp_path / "best.2.pt").exists()
    assert (tmp_path / "best.1.pt").read_bytes() == before["best"]


def test_files_with_names_like_our_own_are_left_alone(run, tmp_path):
    """Whatever temporary files and locks might be called, a user's file of that name stays."""
    own = ["poem.txt", "last.csv.tmp", "last.pt.lock", "best.pt.lock", "last.csv.lock"]
    for name in own:
        (tmp_path / name).write_text("a user's")
    for name in ("last.pt.tmp", "best.pt.tmp"):
        (tmp_path / name).symlink_to("poem.txt")
    run(epochs=1)
    for name in [*own, "last.pt.tmp", "best.pt.tmp"]:
        assert (tmp_path / name).read_text() == "a user's"
    assert not list(tmp_path.glob("*.pt.*.tmp"))


def test_links_are_written_through(run, tmp_path):
    """What a link names is replaced, and kept aside if it is another run's; the link stays."""
    (tmp_path / "disk").mkdir()
    for name in ("last.pt", "best.pt", "last.csv"):
        (tmp_path / name).symlink_to(f"disk/{name}")
    for seed in (1, 2):
        run(seed=seed)
        assert all((tmp_path / name).is_symlink() for name in ("last.pt", "best.pt", "last.csv"))
        assert load_checkpoint(tmp_path / "disk" / "last.pt")["settings"]["seed"] == seed
    for name in ("last.1.pt", "best.1.pt"):
        assert load_checkpoint(tmp_path / "disk" / name)["settings"]["seed"] == 1
    assert (tmp_path / "disk" / "last.1.csv").read_text() != (tmp_path / "last.csv").read_text()


# Two runs at a time ------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["last.pt", "best.pt", "last.csv"])
def test_a_second_run_in_the_same_folder_stops(tiny_train, tmp_path, as_command, file):
    path = tmp_path / file
    with reserved(str(tmp_path / "other.pt"), str(path)):
        before = sorted(tmp_path.iterdir())
        status, errors = as_command(tiny_train.main)
        assert (status, errors) == (
            1,
            [
                f"Error: {path}: expected a file that no other run writes to, found one in use; "
                "wait until that run ends, or choose another name"
            ],
        )
        assert sorted(tmp_path.iterdir()) == before
    tiny_train.main()
    assert not list(tmp_path.glob("*.lock"))


def test_files_stay_reserved_while_a_run_lasts(tiny_train, monkeypatch, as_command, tmp_path):
    train_epoch, tried = tiny_train.train_epoch, []

    def second_run(*arguments):
        if not tried:
            tried.append(None)
            tried[0] = as_command(tiny_train.main)
        return train_epoch(*arguments)

    monkeypatch.setattr(tiny_train, "train_epoch", second_run)
    tiny_train.main()
    assert tried[0][0] == 1 and "found one in use" in tried[0][1][0]
    assert load_checkpoint(tmp_path / "last.pt")["epoch"] == 2
    assert not list(tmp_path.glob("*.1.pt"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_locks_of_a_killed_run_do_not_block(tiny_train, tmp_path):
    names = [str(tmp_path / name) for name in ("last.pt", "best.pt")]
    child = os.fork()
    if child == 0:
        with reserved(*names):
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert len(list(tmp_path.glob("*.lock"))) == 2
    tiny_train.main()
    assert load_checkpoint(tmp_path / "last.pt")["epoch"] == 2
    assert not list(tmp_path.glob("*.lock"))


def test_scoring_a_checkpoint_reserves_nothing(tiny_train, monkeypatch, tmp_path):
    tiny_train.main()
    monkeypatch.setattr(tiny_train, "checkpoint", tiny_train.last_file)
    monkeypatch.setattr(tiny_train, "epochs", 0)
    with reserved(tiny_train.last_file, tiny_train.best_file):
        assert tiny_train.main()
