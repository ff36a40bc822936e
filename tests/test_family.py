"""The simpler models that remain without some parts of LM-LSTM-CRF."""

import pytest
import torch
import torch.nn.functional as F
from common import differences
from oracle import tag_map_of, unrolled
from torch import nn

import train
from datasets import WCDataset, collate
from inference import Tagger, ViterbiDecoder
from machinery.checkpoints import load_checkpoint
from models import CRF, LM_LSTM_CRF, SelfAttention, ViterbiLoss
from utils import create_maps

FAMILY = {
    "5: LM-LSTM-CRF": {},
    "4: no language models": dict(co_training=False),
    "3: no characters": dict(co_training=False, use_characters=False),
    "2: no CRF": dict(co_training=False, use_characters=False, use_crf=False),
    "1: LSTM tagger": dict(
        co_training=False, use_characters=False, use_crf=False, bidirectional=False
    ),
    "LSTM tagger with characters": dict(co_training=False, use_crf=False, bidirectional=False),
    "attention": dict(co_training=False, use_characters=False, attention_heads=2),
    "attention with characters": dict(co_training=False, attention_heads=2),
    "no highway": dict(highway_layers=0),
}
WORDS = ["Dunston checks in at the Majestic Hotel .".split(), "Paris".split(), ["x" * 40, "."]]
MAPS = create_maps(WORDS, [["T"] * len(words) for words in WORDS], 1, 1)


def model_of(**arguments):
    torch.manual_seed(0)
    word_map, char_map, tag_map = MAPS
    sizes = dict(char_emb_dim=5, char_rnn_dim=6, word_emb_dim=7, word_rnn_dim=8)
    counts = len(tag_map), len(char_map), len(word_map), len(word_map)
    return LM_LSTM_CRF(*counts, **sizes, **arguments)


def batch_of(sentences):
    dataset = WCDataset(sentences, [["T"] * len(words) for words in sentences], *MAPS)
    return collate([dataset[i] for i in range(len(dataset))])


@pytest.mark.parametrize("constants", FAMILY.values(), ids=FAMILY)
def test_each_trains_resumes_and_tags(
    tiny_train, monkeypatch, tmp_path, on_cpu, stop_after, constants
):
    for name, value in constants.items():
        monkeypatch.setattr(tiny_train, name, value)
    tiny_train.main()
    whole = tiny_train.last_file

    monkeypatch.setattr(tiny_train, "last_file", str(tmp_path / "resumed.pt"))
    monkeypatch.setattr(tiny_train, "best_file", str(tmp_path / "best_resumed.pt"))
    stop_after(1)
    monkeypatch.setattr(tiny_train, "checkpoint", tiny_train.last_file)
    tiny_train.main()
    assert load_checkpoint(whole)["epoch"] == 2 and differences(whole, tiny_train.last_file) == []

    # The checkpoint says which model it is.
    tags = Tagger(tiny_train.last_file).tag([["Dunston", "checks", "in"], []])
    assert [len(sentence) for sentence in tags] == [3, 0]


@pytest.mark.parametrize("constants", FAMILY.values(), ids=FAMILY)
def test_parts_left_out_do_not_exist(constants):
    model = model_of(**constants)
    parameters = list(dict(model.named_parameters()))
    names = " ".join(parameters)
    assert ("char" in names) == constants.get("use_characters", True)
    assert ("lm" in names.replace("lstm", "")) == constants.get("co_training", True)
    assert ("highway" in names) == (
        constants.get("use_characters", True) and constants.get("highway_layers", 1) > 0
    )
    assert ("leftward" in names) == constants.get("bidirectional", True)
    assert ("attention" in names) == (constants.get("attention_heads", 0) > 0)
    assert ("crf.transition" in names) == constants.get("use_crf", True)

    # Every parameter that does exist is trained, except for words that only a file of vectors has.
    batch = batch_of(WORDS)
    scores, forward_lm, backward_lm = model(batch)
    loss = scores.square().sum()
    if constants.get("co_training", True):
        loss = loss + forward_lm.square().sum() + backward_lm.square().sum()
    else:
        assert forward_lm is None and backward_lm is None
    loss.backward()
    trained = [name for name, p in model.named_parameters() if p.grad is not None]
    assert trained == [name for name in parameters if name != "word_embeddings.others.weight"]


@pytest.mark.parametrize("constants", FAMILY.values(), ids=FAMILY)
def test_scores_do_not_depend_on_the_rest_of_the_batch(constants):
    model = model_of(**constants).eval()
    together = model(batch_of(WORDS))[0]
    for words, found in zip(WORDS, together, strict=True):
        alone = model(batch_of([words]))[0][0]
        torch.testing.assert_close(found[: len(words) + 1], alone, atol=1e-6, rtol=1e-5)


def test_one_direction_sees_nothing_that_follows():
    model = model_of(use_characters=False, co_training=False, bidirectional=False).eval()
    first, second = (model(batch_of([words]))[0] for words in (WORDS[0], WORDS[0][:3] + ["Paris"]))
    torch.testing.assert_close(first[:, :3], second[:, :3])


def test_self_attention_is_pytorch_s_encoder_without_its_feed_forward_half():
    torch.manual_seed(0)
    ours = SelfAttention(8, 2).eval()
    theirs = nn.TransformerEncoderLayer(8, 2, 4, batch_first=True, norm_first=False).eval()
    theirs.self_attn.load_state_dict(ours.attention.state_dict())
    nn.init.zeros_(theirs.linear2.weight)
    nn.init.zeros_(theirs.linear2.bias)
    x, lengths = torch.randn(3, 5, 8), torch.tensor([5, 2, 1])
    pads = torch.arange(5) >= lengths.unsqueeze(1)
    with torch.no_grad():
        found = ours(x, lengths)
        expected = theirs(x, src_key_padding_mask=pads)
    # With the feed-forward half silent, theirs normalises what is normalised already.
    torch.testing.assert_close(found[~pads], expected[~pads], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(use_characters=False), "co_training = True: expected use_characters = True"),
        (dict(attention_heads=3), "attention_heads: expected a divisor .* 8, found 3"),
    ],
)
def test_combinations_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        model_of(**arguments)


def test_a_combination_that_makes_no_sense_is_one_line(tiny_train, monkeypatch, as_command):
    monkeypatch.setattr(tiny_train, "attention_heads", 3)
    assert as_command(tiny_train.main) == (
        1,
        ["Error: attention_heads: expected a divisor of word_rnn_dim = 8, found 3"],
    )


def test_without_transitions_the_loss_is_cross_entropy_and_viterbi_takes_the_best_tag():
    torch.manual_seed(0)
    tag_map, lengths = tag_map_of(4), torch.tensor([5, 3, 1])
    crf = CRF(7, len(tag_map), transitions=False)
    scores = crf(torch.randn(3, 5, 7))
    emission = crf.emission.weight.new_tensor(scores[:, :, 0, 1:-1].tolist())  # of word tags
    words = torch.arange(5) < lengths.unsqueeze(1) - 1
    gold = torch.randint(0, 4, (3, 5))
    targets = torch.zeros(3, 5, dtype=torch.int64)
    for n, length in enumerate(lengths.tolist()):
        path = (gold[n, : length - 1] + 1).tolist()
        targets[n, :length] = torch.tensor(unrolled(path, tag_map))
    expected = F.cross_entropy(emission[words], gold[words], reduction="sum") / 3
    torch.testing.assert_close(ViterbiLoss(tag_map)(scores, targets, lengths), expected)
    greedy = (emission.argmax(2) + 1).tolist()
    assert ViterbiDecoder(tag_map).decode(scores, lengths) == [
        tags[: length - 1] for tags, length in zip(greedy, lengths.tolist(), strict=True)
    ]


def test_without_characters_it_is_pytorch_s_lstm_and_a_crf():
    model = model_of(use_characters=False, co_training=False).eval()
    nn.init.normal_(model.crf.transition)
    lstm, words = nn.LSTM(7, 4, bidirectional=True, batch_first=True), batch_of(WORDS[:1])
    with torch.no_grad():
        for name, parameter in lstm.named_parameters():
            side = "leftward" if name.endswith("_reverse") else "rightward"
            own = getattr(model.word_lstm, side)[0]
            parameter.copy_(getattr(own, name.removesuffix("_reverse")))
        states, _ = lstm(model.word_embeddings(words.words))
        expected = model.crf.emission(states).unsqueeze(2) + model.crf.transition
        torch.testing.assert_close(model(words)[0], expected)


# A worked example --------------------------------------------------------------------------------


def test_a_tiny_part_of_speech_tagger_learns_its_two_sentences(monkeypatch, tmp_path):
    """The LSTM tagger, six features per word, one sentence per step."""
    lines = [
        zip("The dog ate the apple".split(), "DET NN V DET NN".split(), strict=True),
        zip("Everybody read that book".split(), "NN V DET NN".split(), strict=True),
    ]
    path = tmp_path / "tagged.txt"
    path.write_text("\n\n".join("\n".join(map(" ".join, line)) for line in lines) + "\n")
    constants = dict(
        train_file=str(path),
        val_file=None,
        test_file=str(path),
        min_word_freq=1,
        caseless=False,
        use_characters=False,
        co_training=False,
        bidirectional=False,
        use_crf=False,
        word_emb_dim=6,
        word_rnn_dim=6,
        dropout=0.0,
        batch_size=1,
        optimizer="sgd",
        lr=0.4,
        lr_decay=0,
        momentum=0,
        epochs=100,
        last_file=str(tmp_path / "last.pt"),
        best_file=str(tmp_path / "best.pt"),
    )
    for name, value in constants.items():
        monkeypatch.setattr(train, name, value)
    # 100 times: saving is not the point here.
    monkeypatch.setattr(train.runs.RunState, "save", lambda s, *_: setattr(s, "is_saved", True))
    assert train.main()["accuracy"] == 1
