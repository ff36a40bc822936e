"""Half precision: nearly the same scores and gradients, and float32 wherever sums are long."""

import pytest
import torch
from common import differences

import inference
from inference import Tagger
from machinery import device, runs
from machinery.checkpoints import load_checkpoint
from machinery.constants import checked
from models import LanguageModelLoss, ViterbiLoss
from utils import read_words_tags


@pytest.fixture
def has_bfloat16(monkeypatch, computes_bfloat16):
    """Hardware without it computes the same, only slower."""
    monkeypatch.setattr(device, "_has_bfloat16", lambda _: True)


def test_scores_and_gradients_are_nearly_the_same(tiny_train, monkeypatch, computes_bfloat16):
    for name, value in dict(dropout=0.0, attention_heads=2, highway_layers=2).items():
        monkeypatch.setattr(tiny_train, name, value)
    data = read_words_tags(tiny_train.train_file)
    constants = checked(vars(tiny_train), tiny_train.RECIPES)
    settings = runs.kept_settings(constants, "f1", data, None)
    state, model = tiny_train.new_run(constants, settings, data)
    dataset = tiny_train.encode(tiny_train.train_file, data, state)
    batch = next(iter(tiny_train.data_loader(dataset, 4, shuffle=False)))
    lm_loss = LanguageModelLoss(state["word_map"], state["model_arguments"]["lm_vocab_size"])
    viterbi_loss = ViterbiLoss(state["tag_map"])
    found = []
    for half in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, half):
            crf_scores, *of_words = model(batch)
        crf = viterbi_loss(crf_scores, batch.tags, batch.word_lengths)
        lm = lm_loss(*of_words, batch)
        (crf + lm).backward()
        assert crf_scores.dtype == crf.dtype == lm.dtype == torch.float32
        assert all((scores.dtype == torch.bfloat16) == half for scores in of_words)
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert {gradient.dtype for gradient in gradients} == {torch.float32}
        found.append((crf_scores, torch.cat([g.flatten() for g in gradients])))
    (scores, gradient), (half_scores, half_gradient) = found
    assert not torch.equal(scores, half_scores)
    torch.testing.assert_close(scores, half_scores, rtol=0.05, atol=0.05)
    assert torch.cosine_similarity(gradient, half_gradient, dim=0) > 0.99


def test_the_constants_reach_the_network(tiny_train, monkeypatch, has_bfloat16, on_cpu):
    """In training, validation and tagging; checkpoints stay float32, and either kind resumes."""
    seen = []

    def spy(self, chars, forward=torch.nn.Embedding.forward):
        seen.append(torch.is_autocast_enabled("cpu"))
        return forward(self, chars)

    monkeypatch.setattr(torch.nn.Embedding, "forward", spy)
    for half in (False, True):
        monkeypatch.setattr(tiny_train, "half_precision", half)
        tiny_train.main()
        assert set(seen) == {half}
        parts = load_checkpoint(tiny_train.last_file)["model"].values()
        assert torch.bfloat16 not in {tensor.dtype for tensor in parts}
        for half_tagger in (False, True):
            seen.clear()
            tagger = Tagger(tiny_train.best_file, "cpu", half_tagger)
            tags = tagger.tag([["Paris", "is"]])
            assert set(seen) == {half_tagger} and list(map(len, tags)) == [2]
        seen.clear()


def test_either_kind_resumes_the_other(tiny_train, monkeypatch, has_bfloat16, capsys):
    for before in (False, True):
        monkeypatch.setattr(tiny_train, "half_precision", before)
        monkeypatch.setattr(tiny_train, "checkpoint", None)
        monkeypatch.setattr(tiny_train, "epochs", 2)
        tiny_train.main()
        monkeypatch.setattr(tiny_train, "half_precision", not before)
        monkeypatch.setattr(tiny_train, "checkpoint", tiny_train.last_file)
        monkeypatch.setattr(tiny_train, "epochs", 3)
        capsys.readouterr()
        tiny_train.main()
        said = f"Changed since the checkpoint was written: half_precision is {not before}, was "
        assert said in capsys.readouterr().out
        assert load_checkpoint(tiny_train.last_file)["epoch"] == 3


def test_resuming_is_exact(tiny_train, monkeypatch, has_bfloat16, on_cpu, tmp_path):
    monkeypatch.setattr(tiny_train, "half_precision", True)
    monkeypatch.setattr(tiny_train, "epochs", 2)
    tiny_train.main()
    whole = tmp_path / "whole.pt"
    (tmp_path / "last.pt").rename(whole)
    monkeypatch.setattr(tiny_train, "epochs", 1)
    tiny_train.main()
    monkeypatch.setattr(tiny_train, "epochs", 2)
    monkeypatch.setattr(tiny_train, "checkpoint", tiny_train.last_file)
    tiny_train.main()
    assert differences(whole, tiny_train.last_file) == []


def test_hardware_without_it_is_told(tiny_train, monkeypatch, as_command, tiny_checkpoint):
    monkeypatch.setattr(device, "_has_bfloat16", lambda _: False)
    assert not inference.half_precision
    Tagger(tiny_checkpoint)
    monkeypatch.setattr(tiny_train, "half_precision", True)
    message = "half_precision = True: expected a GPU or a processor with bfloat16 instructions"
    status, (error,) = as_command(tiny_train.main)
    assert status == 1 and message in error
    status, (error,) = as_command(lambda: Tagger(tiny_checkpoint, half_precision=True))
    assert status == 1 and message in error


@pytest.mark.parametrize(
    "flags, expected",
    [("sse avx512_bf16 aes", True), ("Features : asimd bf16", True), ("sse avx512_vnni", False)],
)
def test_what_the_processor_has(monkeypatch, tmp_path, flags, expected):
    (tmp_path / "cpuinfo").write_text(f"model name: x\n{flags}\n")
    monkeypatch.setattr(device, "CPUINFO", str(tmp_path / "cpuinfo"))
    assert device._has_bfloat16(torch.device("cpu")) == expected
    monkeypatch.setattr(device, "CPUINFO", str(tmp_path / "nowhere"))
    assert not device._has_bfloat16(torch.device("cpu"))
