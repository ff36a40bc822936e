"""What a run prints, with numbers that are all different: no two of them may change places."""

import ast
import shlex
import types

import pytest

from machinery import report

RESULT = dict(
    accuracy=0.91,
    macro_f1=0.82,
    entity_f1=0.73,
    precision=0.64,
    recall=0.85,
    types={
        "PER": dict(correct=3, predicted=5, gold=4, precision=0.6, recall=0.75, f1=0.667),
        "\x1b[31mX": dict(correct=0, predicted=1234, gold=0, precision=0.0, recall=0.0, f1=0.0),
    },
)
HISTORY = [
    dict(epoch=1, seconds=100.0, lr=0.1, tag_loss=9.0, lm_loss=8.0, val_loss=7.0, best=1)
    | dict(accuracy=0.5, macro_f1=0.4, entity_f1=0.3, precision=0.2, recall=0.1),
    dict(epoch=2, seconds=10.0, lr=0.1, tag_loss=1.25, lm_loss=2.5, val_loss=3.75, best=1)
    | dict(accuracy=0.91, macro_f1=0.82, entity_f1=0.73, precision=0.64, recall=0.85),
    dict(epoch=3, seconds=20.0, lr=0.1, tag_loss=1.5, lm_loss=2.25, val_loss=3.5, best=0)
    | dict(accuracy=0.92, macro_f1=0.81, entity_f1=0.72, precision=0.63, recall=0.84),
]


def state_after(epoch, since_best):
    """The state of a run, as far as it is printed."""
    return types.SimpleNamespace(
        epoch=epoch,
        epochs_since_best=since_best,
        best_epoch=epoch - since_best,
        best_score=0.73,
        history=HISTORY[:epoch],
        parts=dict(settings=dict(criterion="entity_f1")),
    )


def test_scores_of_a_file(capsys):
    report.print_scores("test.txt", RESULT)
    assert capsys.readouterr().out.splitlines() == [
        "test.txt: accuracy 91.00%, macro F1 82.00%, entity F1 73.00% (precision 64.00%, "
        "recall 85.00%)",
        "    PER          precision  60.00%  recall  75.00%  F1  66.70%  (4 gold, 5 found)",
        "    \\x1b[31mX    precision   0.00%  recall   0.00%  F1   0.00%  (0 gold, 1,234 found)",
    ]
    report.print_scores("pos.txt", dict(accuracy=0.91, macro_f1=0.82))
    assert capsys.readouterr().out == "pos.txt: accuracy 91.00%, macro F1 82.00%\n"


def test_an_epoch(capsys):
    report.print_epoch(state_after(2, 0), 7, 4, first_epoch=0)
    assert capsys.readouterr().out.splitlines() == [
        "epoch   2 of 7, 10.0 s: loss 2.500 (language models) + 1.250 (tags), validation 3.750; "
        "at most 4 min 35 s left",
        "    accuracy 91.00%, macro F1 82.00%, entity F1 73.00% (precision 64.00%, recall 85.00%); "
        "the best so far",
    ]


def test_an_epoch_after_resuming(capsys):
    """What is left is judged by this session's epochs: the machine may be another."""
    report.print_epoch(state_after(3, 1), 7, 4, first_epoch=1)
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("; at most 1 min 0 s left")
    assert second.endswith("; best: epoch 2 (entity F1 73.00%), patience 1 of 4")


def test_the_end_of_a_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "last.csv").touch()
    report.print_end(state_after(3, 1), 7, 4, "last.pt", "best.pt")
    (tmp_path / "last.csv").unlink()  # the table is not named where there is none
    report.print_end(state_after(3, 1), 7, 1, "last.pt", None)
    assert capsys.readouterr().out.splitlines() == [
        "Ended after 3 epochs in 2 min 10 s: epochs = 7 is reached",
        "Best: epoch 2 (entity F1 73.00%), saved in best.pt",
        "To resume: last.pt; losses and scores of every epoch: last.csv",
        "Ended after 3 epochs in 2 min 10 s: no better entity F1 for 1 epoch",
        "Best: epoch 2 (entity F1 73.00%)",
        "To resume: last.pt",
    ]


@pytest.mark.parametrize(
    "path", ["last.pt", "my runs/last.pt", r"C:\new\last.pt", "C:\\runs\\", 'a"b\\n.pt', "é's.pt"]
)
def test_a_printed_path_can_be_pasted(path, monkeypatch):
    assert ast.literal_eval(report.constant(path)) == path
    assert shlex.split(report.quoted(path)) == [path]
    monkeypatch.setattr(report.os, "name", "nt")
    shown = report.quoted(path)
    assert "'" not in shown.replace(path, "")  # cmd.exe knows double quotes alone
    assert shown == (f'"{path}"' if " " in path else path) or '"' in path
