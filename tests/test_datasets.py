"""WCDataset, collate and the batch sampler."""

import itertools
import re
import subprocess
import sys

import pytest
import torch

from datasets import Batch, LengthBatchSampler, WCDataset, collate, data_loader
from utils import create_input_tensors, create_maps

WORDS = [["dunston", "checks", "in"], ["Paris"], ["the", "hotel", "waits", "."], []]
TAGS = [["B", "O", "O"], ["B"], ["O", "O", "O", "O"], []]


@pytest.fixture
def dataset():
    return WCDataset(WORDS, TAGS, *create_maps(WORDS, TAGS, 1, 1))


def test_items_are_encoded_sentences_unpadded(dataset):
    assert len(dataset) == 4
    for i in range(4):
        maps = dataset.word_map, dataset.char_map, dataset.tag_map
        expected = create_input_tensors(WORDS[i], TAGS[i], *maps)
        for found, tensor in zip(dataset[i], expected, strict=True):
            assert torch.equal(found, tensor)
    assert dataset.char_lengths().tolist() == [dataset[i][7].item() for i in range(4)]


def test_collate_pads_to_the_longest_of_the_batch_with_zeros(dataset):
    items = [dataset[1], dataset[0]]
    batch = collate(items)
    assert isinstance(batch, Batch)
    for field in ("words", "forward_markers", "backward_markers", "tags"):
        assert getattr(batch, field).shape == (2, 4)
    for field in ("forward_chars", "backward_chars"):
        assert getattr(batch, field).shape == (2, 19)
    assert batch.word_lengths.tolist() == [2, 4] and batch.char_lengths.tolist() == [7, 19]
    for row, item in enumerate(items):
        for padded, tensor in zip(batch[:6], item[:6], strict=True):
            assert torch.equal(padded[row, : len(tensor)], tensor)
            assert not padded[row, len(tensor) :].any()


def test_batch_moves_as_a_whole(dataset):
    batch = collate([dataset[0]]).to("meta")
    assert isinstance(batch, Batch) and all(tensor.device.type == "meta" for tensor in batch)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("sentences", [1, 10, 103])
def test_every_sentence_once_an_epoch(shuffle, sentences):
    lengths = torch.randint(1, 50, (sentences,))
    sampler = LengthBatchSampler(lengths, 10, shuffle, seed=3, pool_batches=4)
    batches = list(sampler)
    assert sorted(i for batch in batches for i in batch) == list(range(sentences))
    assert len(batches) == len(sampler)
    assert max(map(len, batches)) <= 10


def test_batches_hold_sentences_of_like_length():
    lengths = torch.randperm(1000)

    def spread(batches):
        return sum((lengths[batch].max() - lengths[batch].min()).item() for batch in batches)

    pooled = list(LengthBatchSampler(lengths, 10, shuffle=True, pool_batches=20))
    unpooled = list(LengthBatchSampler(lengths, 10, shuffle=True, pool_batches=1))
    assert spread(pooled) < spread(unpooled) / 5
    in_order = [lengths[batch].max().item() for batch in LengthBatchSampler(lengths, 10, False)]
    assert in_order == sorted(in_order)


def test_batches_and_the_sentences_in_them_are_shuffled():
    """One pool holds all sentences: unshuffled, its batches would come by length; and in pools of
    one batch, unshuffled sentences would share their batch with the same ones in every epoch."""
    lengths = torch.randperm(1000)
    one_pool = LengthBatchSampler(lengths, 10, shuffle=True, pool_batches=100)
    longest = [lengths[batch].max().item() for batch in one_pool]
    assert sorted(longest) == list(range(9, 1000, 10)) and longest != sorted(longest)
    own_pools = LengthBatchSampler(lengths, 10, shuffle=True, pool_batches=1)
    epochs = []
    for epoch in (0, 1):
        own_pools.set_epoch(epoch)
        epochs.append({frozenset(batch) for batch in own_pools})
    assert len(epochs[0] & epochs[1]) < 3


def test_pools_hold_ten_batches():
    """As many as it takes to pad little, but no more: see LengthBatchSampler."""
    lengths = torch.randperm(1000)
    batches = list(LengthBatchSampler(lengths, 10, shuffle=True, seed=1))
    unpooled = list(LengthBatchSampler(lengths, 10, shuffle=True, seed=1, pool_batches=1))
    spread = [
        sum((lengths[batch].max() - lengths[batch].min()).item() for batch in some)
        for some in (batches, unpooled)
    ]
    assert 1 / 12 < spread[0] / spread[1] < 1 / 8


def test_order_depends_on_seed_and_epoch_alone():
    lengths = torch.randint(1, 50, (95,))

    def order(seed, epoch):
        sampler = LengthBatchSampler(lengths, 10, shuffle=True, seed=seed)
        sampler.set_epoch(epoch)
        torch.rand(3)  # whatever else draws random numbers
        return list(sampler)

    assert order(1, 2) == order(1, 2)
    orders = [order(seed, epoch) for seed in range(4) for epoch in range(4)]
    assert all(a != b for a, b in itertools.combinations(orders, 2))


def test_loader_and_sampler_agree(dataset):
    loader = data_loader(dataset, 3, shuffle=True, seed=1)
    for sentences, batch in zip(loader.batch_sampler, loader, strict=True):
        assert batch.word_lengths.tolist() == [len(WORDS[i]) + 1 for i in sentences]


@pytest.mark.filterwarnings("ignore:'pin_memory'")  # of PyTorch, where there is no GPU
def test_batches_for_a_gpu_are_prepared_ahead_in_the_same_order(dataset):
    found = []
    for device in (None, torch.device("cuda")):
        loader, epochs = data_loader(dataset, 3, shuffle=True, seed=1, device=device), []
        torch.manual_seed(1)
        for epoch in (0, 1, 5):
            loader.batch_sampler.set_epoch(epoch)
            epochs += [[part.tolist() for part in batch] for batch in loader]
        assert loader.num_workers == (device is not None)
        found.append(epochs)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))  # else resuming would not be exact
    assert found[0] == found[1] and len(found[0]) == 6


@pytest.mark.slow
def test_a_million_sentences_fit_in_a_gigabyte(root, tmp_path):
    """Reads 1,000,000 sentences of 25 words, one of them of 5,000, and looks at some."""
    path = tmp_path / "large.txt"
    with open(path, "w") as file:
        for i in range(1_000_000):
            file.writelines(f"word{(i * 25 + k) % 50_000} T{k % 9}\n" for k in range(25))
            file.write("\n")
        file.writelines("long T0\n" for _ in range(5000))
    program = """if True:
        import resource, sys
        from datasets import WCDataset, data_loader
        from utils import create_maps, read_words_tags
        words, tags = read_words_tags(sys.argv[1])
        dataset = WCDataset(words, tags, *create_maps(words, tags, 5, 1))
        loader = data_loader(dataset, 32, shuffle=True)
        for batch, _ in zip(loader, range(100)):
            assert batch.words.size(1) < 100
        assert len(dataset) == 1_000_001
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    """
    output = subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=root, capture_output=True, text=True
    )
    assert output.returncode == 0, output.stderr
    kibibytes = int(output.stdout)
    print(f"peak memory {kibibytes / 1024**2:.2f} GiB")
    assert kibibytes * 1024 < 1e9


@pytest.mark.slow
def test_training_on_a_million_sentences(root):
    """1,000 steps, and all that train.py does before: the text, 0.8 GB, and room for a batch."""
    pytest.importorskip("resource")
    command = [sys.executable, "tests/measure/large.py", "corpus"]
    output = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert output.returncode == 0, output.stderr
    print(output.stdout)
    assert ": 1,000,001 sentences, 25,005,000 words" in output.stdout
    peak = re.search(r"^1,000 steps trained, peak ([\d,]+) MiB$", output.stdout, re.MULTILINE)
    assert int(peak[1].replace(",", "")) < 1600


@pytest.mark.slow
def test_embeddings_take_little_more_than_their_matrix(root):
    pytest.importorskip("resource")
    command = [sys.executable, "tests/measure/large.py", "embeddings"]
    output = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert output.returncode == 0, output.stderr
    print(output.stdout)
    ratios = re.findall(r"ratio ([\d.]+)", output.stdout)
    kept = re.findall(r"; (\d+) MiB more", output.stdout)
    assert len(ratios) == 2 and float(ratios[0]) <= 1.5
    assert int(kept[1]) < 40  # without expand_vocab, only the corpus's rows
