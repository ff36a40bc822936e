"""Which files count when a run is resumed, and which are written: nothing lost or mixed up."""

import os
import shutil
import signal

import pytest

from inference import Tagger
from machinery import checkpoints, runs
from machinery.checkpoints import load_checkpoint
from machinery.errors import InputError
from machinery.files import reserved
from machinery.spans import scores
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
    """Lets the score fall from epoch to epoch: the first is the best."""
    record = runs.record_epoch
    monkeypatch.setattr(
        runs, "record_epoch", lambda state, _, *rest: record(state, 0.5 ** state["epoch"], *rest)
    )


def scores_of(checkpoint, corpus):
    """What a checkpoint's model scores on a file."""
    words, tags = read_words_tags(corpus)
    return scores(tags, Tagger(checkpoint, "cpu").tag(words))


LEARNS = dict(lr=0.05, dropout=0.0, unk_rate=0)  # so that epochs have different scores

# Which epoch is scored ---------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["epochs", "patience"])
def test_a_finished_run_scores_its_best_again(run, falling, tiny_corpus, tmp_path, why):
    limits = dict(epochs=12) if why == "epochs" else dict(epochs=99, patience=11)
    result, first = run(**LEARNS, **limits)
    last, best = tmp_path / "last.pt", tmp_path / "best.pt"
    assert load_checkpoint(last)["epoch"] == 12 and load_checkpoint(best)["epoch"] == 1
    assert result == scores_of(best, tiny_corpus) != scores_of(last, tiny_corpus)
    again, second = run(checkpoint=str(last))
    assert again == result
    assert first[first.index("Ended after 12") :] == second[second.index("Ended after 12") :]


def test_elsewhere_it_says_that_the_best_is_missing(run, falling, tiny_corpus, tmp_path):
    run(**LEARNS, epochs=12)
    last, elsewhere = str(tmp_path / "last.pt"), tmp_path / "elsewhere"
    files = dict(last_file=str(elsewhere / "last.pt"), best_file=str(elsewhere / "best.pt"))
    result, output = run(checkpoint=last, **files)
    assert result == scores_of(last, tiny_corpus)
    assert f"Warning: {elsewhere / 'best.pt'} does not hold epoch 1, the best" in output
    assert "the scores are those of epoch 12, the last" in output
    assert "The model of epoch 12:" in output
    # Nothing was written there: what is said to exist is what was resumed.
    assert f"To resume: {last}; " in output
    assert output.endswith(f'python inference.py --checkpoint {last} "..."\n')
    assert os.listdir(elsewhere) == []


def test_a_best_file_of_an_earlier_epoch_is_not_the_best(run, falling, tiny_corpus, tmp_path):
    """As where another best_file was given for a while."""
    run(**LEARNS, epochs=12)
    last = str(tmp_path / "last.pt")
    checkpoints.save_checkpoint(last, load_checkpoint(last) | dict(epochs_since_best=0))
    result, output = run(checkpoint=last)
    assert "The model of epoch 12:" in output and "saved in" not in output
    assert result == scores_of(last, tiny_corpus) != scores_of(tmp_path / "best.pt", tiny_corpus)


def test_another_branch_of_the_same_run_does_not_count(run, falling, tiny_corpus, tmp_path):
    """Resumed twice from its first epoch, the second time with another learning rate."""
    last, best, early = (str(tmp_path / f"{name}.pt") for name in ("last", "best", "early"))
    run(**LEARNS, epochs=1)
    shutil.copy(last, early)
    os.remove(best)
    state = load_checkpoint(early) | dict(best_score=-1.0)  # so that the next epoch is the best
    checkpoints.save_checkpoint(early, state)
    run(epochs=12, checkpoint=early)
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
    assert "The model of epoch 12:" in output and result == scores_of(last, tiny_corpus)
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


@pytest.mark.parametrize("links", [True, False])
def test_another_measure_keeps_the_best_by_the_old(run, monkeypatch, tmp_path, links):
    if not links:  # not every file system has them

        def no_link(*arguments):
            raise OSError

        monkeypatch.setattr(os, "link", no_link)
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


@pytest.mark.parametrize("constants", [dict(criterion="accuracy"), dict(constrain_tags=False)])
def test_another_measure_begins_the_search_and_the_patience_anew(run, falling, tmp_path, constants):
    """A run that has ended goes on, and its next epoch is the best, however low its score."""
    run(epochs=9, patience=1)
    last = str(tmp_path / "last.pt")
    assert load_checkpoint(last)["epoch"] == 2
    run(checkpoint=last, **constants)
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
    assert f"To resume: {kept}; losses and scores of every epoch: {tmp_path / 'kept.csv'}" in output
    assert f"python inference.py --checkpoint {kept} " in output
    assert not (tmp_path / "last.pt").exists()


def test_a_file_of_another_run_does_not_count(run, tmp_path):
    """Not even if its history is the same."""
    run()
    path = str(tmp_path / "last.pt")
    state = load_checkpoint(path)
    assert runs.load_if_ancestor(path, state)["epoch"] == 2
    assert runs.load_if_ancestor(path, state | dict(run="other")) is None


def test_what_was_saved_is_loaded_once(run, monkeypatch, tmp_path):
    """After the first epoch, to be sure that it can be: later that would only take time."""
    loaded = []
    load_run = runs.load_run
    monkeypatch.setattr(runs, "load_run", lambda path: loaded.append(path) or load_run(path))
    run(epochs=4)
    assert loaded.count(str(tmp_path / "last.pt")) == 2  # is it of this run? can it be loaded?


@pytest.mark.parametrize("old, new", [("B-PER", "B-LOC"), ("Paris", "London")])
def test_other_training_data_are_said(run, tiny_corpus, tmp_path, old, new):
    """Another word, or the same words with another tag."""
    run()
    tiny_corpus.write_text(tiny_corpus.read_text().replace(old, new, 1))
    _, output = run(checkpoint=str(tmp_path / "last.pt"), epochs=3)
    assert "Changed since the checkpoint was written: train_file is '4 sentences, " in output


def test_a_file_that_is_kept_aside_is_never_missing(run, monkeypatch, tmp_path):
    """Until it is written anew, it has both names."""
    run()
    before, seen = (tmp_path / "best.pt").read_bytes(), []
    save = runs.save_checkpoint

    def spy(path, state):
        seen.append((tmp_path / "best.pt").read_bytes() == before)
        save(path, state)

    monkeypatch.setattr(runs, "save_checkpoint", spy)
    run(seed=2)
    assert seen[0] and (tmp_path / "best.1.pt").read_bytes() == before


# Names of files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "files, message",
    [
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
    before = sorted(tmp_path.iterdir())
    for name, value in files.items():
        monkeypatch.setattr(tiny_train, name, value)
    with pytest.raises(InputError, match=message):
        tiny_train.main()
    assert sorted(tmp_path.iterdir()) == before


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
        assert load_checkpoint(tmp_path / name)["settings"]["seed"] == 1
    assert (tmp_path / "last.1.csv").read_text() != (tmp_path / "last.csv").read_text()


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
                "wait until that run ends, or choose other names for last_file and best_file"
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
