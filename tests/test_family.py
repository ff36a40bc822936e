"""The simpler models that remain without some parts of LM-LSTM-CRF."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from conftest import differences
from oracle import all_paths, tag_map_of, unrolled
from torch import nn

import train
from datasets import WCDataset, collate
from inference import Tagger, ViterbiDecoder
from machinery.checkpoints import load_checkpoint
from machinery.errors import InputError
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


def test_another_model_than_the_checkpoint_s_is_refused(tiny_train, monkeypatch):
    tiny_train.main()
    monkeypatch.setattr(tiny_train, "checkpoint", tiny_train.last_file)
    monkeypatch.setattr(tiny_train, "use_crf", False)
    with pytest.raises(InputError, match="use_crf = True: expected the same .* found False"):
        tiny_train.main()


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


# Worked examples ---------------------------------------------------------------------------------


def test_a_tiny_part_of_speech_tagger_learns_its_two_sentences(monkeypatch, tmp_path):
    """The LSTM tagger, six features per word, 300 epochs, one sentence per step."""
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
        lr=0.1,
        lr_decay=0,
        momentum=0,
        epochs=300,
        last_file=str(tmp_path / "last.pt"),
        best_file=str(tmp_path / "best.pt"),
    )
    for name, value in constants.items():
        monkeypatch.setattr(train, name, value)
    # 300 times: saving is not the point here.
    monkeypatch.setattr(train.runs.RunState, "save", lambda s, *_: setattr(s, "is_saved", True))
    assert train.main()["accuracy"] == 1


def test_worked_lstm_crf():
    """Given weights, from zero initial states: the model's own scores against enumeration."""
    tag_map = {"<start>": 0, "<end>": 1, "B": 2, "I": 3, "O": 4}
    model = LM_LSTM_CRF(
        5, 0, 8, 0, word_emb_dim=5, word_rnn_dim=4, use_characters=False, co_training=False
    ).eval()
    never = -1e4
    weights = {
        "word_embeddings.corpus.weight": [
            [-1.5256, -0.7502, -0.6540, -1.6095, -0.1002],
            [-0.6092, -0.9798, -1.6091, -0.7121, 0.3037],
            [-0.7773, -0.2515, -0.2223, 1.6871, 0.2284],
            [0.4676, -0.6970, -1.1608, 0.6995, 0.1991],
            [0.8657, 0.2444, -0.6629, 0.8073, -1.8821],
            [-0.7765, 2.0242, -0.0865, 0.0981, -1.2150],
            [0.7312, 1.1718, 2.4070, 0.2786, 0.2468],
            [1.1843, -0.7282, 1.1633, -0.0091, -0.8425],
        ],
        "crf.emission.weight": [
            [0.1211, -0.3697, 0.4269, -0.1940],
            [0.3012, 0.0149, -0.0389, -0.0160],
            [0.0850, 0.2357, 0.0802, 0.1525],
            [-0.4498, 0.3643, 0.4359, 0.4133],
            [0.3696, -0.3608, -0.1854, 0.4409],
        ],
        "crf.emission.bias": [-0.3808, 0.4536, -0.3932, -0.3522, 0.2444],
        "crf.transition": [
            [never, -2.2910e-02, 7.2749e-02, 7.9209e-02, 9.4576e-02],
            [never, never, never, never, never],
            [never, -6.9932e-02, 6.5728e-02, 6.2673e-02, -7.9348e-02],
            [never, -8.7596e-03, 4.2003e-02, -2.8962e-03, -5.0708e-02],
            [never, -9.3993e-02, -7.0676e-02, -6.6569e-02, 8.2353e-02],
        ],
        "word_lstm.rightward.0.weight_hh_l0": [
            [0.2411, 0.1267],
            [-0.3008, -0.2141],
            [0.6476, -0.1308],
            [0.3987, 0.3062],
            [-0.4571, -0.6013],
            [0.6787, 0.0369],
            [0.4847, 0.1465],
            [0.2274, 0.5282],
        ],
        "word_lstm.leftward.0.weight_hh_l0": [
            [-0.5635, -0.3223],
            [-0.2166, 0.3024],
            [0.1292, 0.1747],
            [0.7058, 0.6892],
            [0.4823, 0.0225],
            [-0.4892, 0.5526],
            [-0.1768, -0.0572],
            [-0.6092, -0.1397],
        ],
        "word_lstm.rightward.0.weight_ih_l0": [
            [-0.0331, -0.4720, 0.4306, 0.2195, -0.4571],
            [0.4593, 0.4293, 0.6271, -0.3964, -0.1164],
            [-0.0137, 0.1033, -0.5366, -0.5018, 0.3847],
            [-0.1658, 0.3454, 0.0403, 0.2322, 0.1555],
            [0.2571, 0.3505, -0.6549, 0.3559, -0.4972],
            [-0.5335, 0.0430, -0.1205, 0.4153, -0.4095],
            [-0.6286, 0.5146, -0.1049, 0.3977, 0.2273],
            [-0.5302, 0.1421, 0.1698, -0.4734, -0.3355],
        ],
        "word_lstm.leftward.0.weight_ih_l0": [
            [0.4074, 0.6565, -0.4391, 0.1535, 0.6101],
            [0.4686, 0.4407, 0.5025, 0.4473, 0.1826],
            [-0.4835, -0.5938, -0.3240, -0.0823, -0.4334],
            [0.2587, 0.2188, -0.1601, 0.2718, 0.2285],
            [0.4317, 0.4762, -0.2395, 0.6909, -0.0817],
            [-0.0243, -0.6674, -0.4551, -0.4131, -0.3024],
            [0.5027, -0.2311, -0.5284, 0.2721, 0.2264],
            [0.4580, -0.3659, 0.1533, -0.2574, -0.1589],
        ],
    }
    biases = {
        "rightward.0.bias_hh_l0": "-.4276 .0888 .7047 -.4467 .3768 -.3914 -.6648 -.1503",
        "leftward.0.bias_hh_l0": "-.3321 .0400 .5119 -.4974 .3321 .4543 .6917 -.4949",
        "rightward.0.bias_ih_l0": ".6705 -.4692 .0884 .5277 .5123 .4393 -.5117 -.5092",
        "leftward.0.bias_ih_l0": "-.4561 .6498 -.6113 -.5512 -.0240 -.3823 .2530 -.2722",
    }
    for name, values in biases.items():
        weights[f"word_lstm.{name}"] = list(map(float, values.split()))
    given = {name: torch.tensor(values) for name, values in weights.items()}
    unused = model.load_state_dict(given, strict=False)
    assert unused == (["word_embeddings.fixed", "word_embeddings.others.weight"], [])

    # "Google Deepmind company", words 2 3 4, and <end>, which here has no word of its own.
    words = torch.tensor([[2, 3, 4]])
    batch = batch_of([["a", "b"]])._replace(words=words, word_lengths=torch.tensor([3]))
    with torch.no_grad():
        scores = model(batch)[0]
        # The words' emissions by PyTorch's own bidirectional LSTM.
        lstm = nn.LSTM(5, 2, bidirectional=True, batch_first=True)
        for name, _ in list(lstm.named_parameters()):
            side = "leftward" if name.endswith("_reverse") else "rightward"
            own = f"word_lstm.{side}.0.{name.removesuffix('_reverse')}"
            getattr(lstm, name).copy_(torch.tensor(weights[own]))
        states, _ = lstm(model.word_embeddings(words))
        emission = model.crf.emission(states)
        torch.testing.assert_close(scores, emission.unsqueeze(2) + model.crf.transition)
        to_end = model.crf.transition.expand(1, 1, 5, 5)  # nothing is emitted at <end>
        scores = torch.cat((scores, to_end), dim=1)
    lengths = torch.tensor([4])
    paths = all_paths(scores[0], 4, tag_map)
    assert len(paths) == 3**3
    loss = ViterbiLoss(tag_map)
    alpha, _ = loss.forward_algorithm(scores)
    expected = torch.tensor(list(paths.values()), dtype=torch.float64).logsumexp(0).item()
    assert loss.log_partition(alpha, lengths).item() == pytest.approx(expected, rel=1e-5)
    best = max(paths, key=paths.get)
    assert ViterbiDecoder(tag_map).decode(scores, lengths) == [list(best)]
    gold = unrolled((2, 3, 4), tag_map)
    found = loss(scores, torch.tensor([gold]), lengths).item()
    assert found == pytest.approx(expected - paths[(2, 3, 4)], rel=1e-4)


# Constraints, confidence, n-best -----------------------------------------------------------------


def random_scores(words_tags, lengths, seed=0):
    torch.manual_seed(seed)
    m = words_tags + 2
    return torch.randn(len(lengths), max(lengths), m, m) * 2, torch.tensor(lengths)


def test_nbest_and_their_probabilities_by_enumeration():
    tag_map = tag_map_of(3)
    scores, lengths = random_scores(3, [4, 1, 3, 2])
    paths, path_scores = ViterbiDecoder(tag_map).decode_nbest(scores, lengths, 11)
    for n, length in enumerate(lengths.tolist()):
        expected = all_paths(scores[n], length, tag_map)
        ranking = sorted(expected, key=expected.get, reverse=True)[:11]
        assert [tuple(path[: length - 1]) for path in paths[n].tolist()][: len(ranking)] == ranking
        torch.testing.assert_close(
            path_scores[n, : len(ranking)].float(),
            torch.tensor([expected[path] for path in ranking]),
        )
        assert (path_scores[n, len(ranking) :] == float("-inf")).all()
    assert (
        ViterbiDecoder(tag_map).decode_nbest(scores[:1, :1], torch.tensor([1]), 2)[0].numel() == 0
    )


def test_nbest_of_long_sentences(tagger):
    """A path of many words is less probable than the smallest positive float."""
    words = 1000 * ["Paris", "zzz"]
    ((best, first), (_, second)) = tagger.nbest([words], 2)[0]
    assert best == tagger.tag([words])[0] and first == second == 0
    with pytest.raises(InputError, match="nbest: expected a number from 1 to 1,000, found 0"):
        tagger.nbest([words], 0)


def test_nbest_gives_the_worked_ranking(worked_viterbi):
    scores, tag_map, ranking = worked_viterbi
    paths, found = ViterbiDecoder(tag_map).decode_nbest(scores, torch.tensor([4]), len(ranking))
    assert [tuple(path) for path in paths[0].tolist()] == list(ranking)
    assert found[0].tolist() == pytest.approx(list(ranking.values()), abs=5e-5)


@pytest.fixture
def tagger(tiny_train, monkeypatch):
    """A tagger with random scores, which make nothing certain."""
    tiny_train.main()
    tagger = Tagger(tiny_train.last_file, "cpu")
    torch.manual_seed(1)
    nn.init.normal_(tagger.model.crf.emission.weight, std=5)
    nn.init.normal_(tagger.model.crf.transition)
    return tagger


SENTENCES = [["Dunston", "checks", "in"], [], ["Paris"]]


def enumerated(tagger, words, constrain):
    """{tags: probability} of a sentence."""
    dataset = tagger.dataset([words])
    with torch.no_grad():
        scores = tagger.model.eval()(collate([dataset[0]]))[0]
    if constrain:
        scores = tagger.decoder.constrain(scores)
    paths = all_paths(scores[0], len(words) + 1, dataset.tag_map)
    values = torch.tensor(list(paths.values()), dtype=torch.float64).softmax(0).tolist()
    names = tagger.tag_names
    return {tuple(names[t] for t in path): p for path, p in zip(paths, values, strict=True)}


@pytest.mark.parametrize("constrain", [True, False])
def test_confidence_is_the_probability_of_the_tag_by_enumeration(tagger, constrain):
    if not constrain:
        tagger.decoder = ViterbiDecoder(tagger.maps[2])
    found = tagger.tag_with_confidence(SENTENCES)
    assert [[tag for tag, _ in pairs] for pairs in found] == tagger.tag(SENTENCES)
    for words, pairs in zip(SENTENCES, found, strict=True):
        paths = enumerated(tagger, words, constrain)
        for i, (tag, probability) in enumerate(pairs):
            expected = sum(p for path, p in paths.items() if path[i] == tag)
            assert probability == pytest.approx(expected, rel=1e-4)
            assert 0 < probability < 1


@pytest.mark.parametrize("constrain", [True, False])
def test_nbest_of_the_tagger_by_enumeration(tagger, constrain):
    if not constrain:
        tagger.decoder = ViterbiDecoder(tagger.maps[2])
    found = tagger.nbest(SENTENCES, 4)
    assert found[1] == [([], pytest.approx(1))]
    for words, paths in zip(SENTENCES, found, strict=True):
        expected = enumerated(tagger, words, constrain)
        ranking = sorted(expected, key=expected.get, reverse=True)[: len(paths)]
        assert [tuple(tags) for tags, _ in paths] == ranking
        assert [p for _, p in paths] == pytest.approx(
            [expected[tags] for tags in ranking], rel=1e-4
        )
    assert [paths[0][0] for paths in found] == tagger.tag(SENTENCES)


def test_probabilities_are_never_above_one():
    """Sums of exponentials may round to a little more."""
    tag_map = {"<start>": 0, "a": 1, "b": 2, "<end>": 3}
    scores, lengths = torch.full((1, 3, 4, 4), -80.0), torch.tensor([3])
    scores[:, :, :, 1] = 40.0
    scores[:, 2, :, 3] = 40.0

    class Rounded(ViterbiDecoder):
        """Of every probability, what rounding might make of it."""

        def step_probabilities(self, *arguments):
            return super().step_probabilities(*arguments) * (1 + 1e-6)

        def log_partition(self, *arguments):
            return super().log_partition(*arguments) - 1e-4

    decoder = Rounded(tag_map)
    (pairs,), (paths,) = (
        decoder.confident_paths(scores, lengths),
        decoder.best_paths(scores, lengths, 1),
    )
    assert pairs == [(1, 1.0), (1, 1.0)] and paths == [([1, 1], 1.0)]


def test_constraints_rule_out_what_the_scheme_forbids_and_nothing_else():
    tags = ["<start>", "B-A", "B-B", "I-A", "I-B", "O", "<end>"]
    tag_map = {tag: i for i, tag in enumerate(tags)}
    for seed in range(5):
        scores, lengths = random_scores(5, [4, 2], seed)
        decoded = ViterbiDecoder(tag_map, "IOB2").decode(scores, lengths)
        for score, length, found in zip(scores, lengths.tolist(), decoded, strict=True):
            paths = all_paths(score, length, tag_map)
            allowed = {
                path: value
                for path, value in paths.items()
                if all(
                    tags[tag][0] != "I" or (before and tags[before][1:] == tags[tag][1:])
                    for before, tag in itertools.pairwise((0, *path))
                )
            }
            assert 1 < len(allowed) < len(paths)
            assert found == list(max(allowed, key=allowed.get))
