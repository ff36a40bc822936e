"""Train an LM-LSTM-CRF tagger, resume its training, or score a checkpoint.

    python train.py
    python train.py epochs=20 tag_column=2   constants by name, for this run alone
    torchrun --nproc_per_node=2 train.py     with two GPUs, or two processes on a CPU

First set the constants below, or leave them: as they are, they train a tagger of named entities on
the sample corpus. A notebook can set them too:

    import train
    train.epochs = 2
    train.main()

The method is that of Liu et al. 2018 (arXiv 1709.04109): two language models and the tagger are
trained together, by summing their losses.
"""

import inspect
import itertools
import sys
import time

# Before torch: importing machinery silences a warning that importing torch gives.
from machinery.errors import (
    END,
    START,
    InputError,
    end_at_ctrl_c,
    refusing_damage,
    run_script,
    visible,
)

if __name__ == "__main__":
    end_at_ctrl_c()

# isort: split
import torch
from torch import nn
from tqdm import tqdm

from datasets import WCDataset, data_loader
from inference import ViterbiDecoder, predict, restore_model, score_file
from machinery import report, runs
from machinery.average import WeightAverage
from machinery.constants import MODEL, assign, checked, names
from machinery.device import check_half_precision, default_device
from machinery.files import as_list, files_written, reserved
from machinery.pretraining import TextRun, load_if_same, text_settings
from machinery.processes import (
    mean_of_processes,
    process_group,
    processes,
    replicated,
    set_rng_states,
    share_of_mean,
)
from machinery.recognition import print_reading, recognise_scheme, same_scheme
from machinery.spans import convert_scheme, count_tags, find_criterion, scores
from models import LM_LSTM_CRF, LanguageModelLoss, TextModel, ViterbiLoss, for_tagging
from utils import (
    create_maps,
    extended,
    frequent_vocab_size,
    load_embeddings,
    read_text,
    read_words_tags,
    text_maps,
)

# Data --------------------------------------------------------------------------------------------
train_file = "data/train.txt"  # or a list of files
val_file = "data/valid.txt"  # decides which epoch is best; None: the last is
test_file = "data/test.txt"  # scored once, at the end; None: not at all
word_column = 0  # counted from 0; in CoNLL-U files 1
tag_column = -1  # the last, entities; in data/ 1 are parts of speech, 2 chunks; in CoNLL-U 3 or 4
emb_file = None  # path of word vectors in the format of GloVe or word2vec, also as .gz or .zip;
# None: embeddings are trained from scratch. A checkpoint holds them: resuming reads no file again
min_word_freq = None  # rarer words are <unk>. None, here and below: see RECIPES
min_lm_freq = 5  # the language models predict rarer words as <unk>; the paper's code's value
min_char_freq = 2  # rarer characters are <unk>, so that <unk> has something to learn from
caseless = True  # look words up in lower case, as GloVe does; characters always keep their case
expand_vocab = True  # also look up words that only emb_file knows
text_file = None  # text without tags, from which the language models learn first: a sentence in
# each line, spaces between the words, also as .gz; or a list of files
text_epochs = 1  # how often they read it
tag_scheme = None  # write the tags of spans as "IOB2" or "BIOES"; None: as the files have them

# Model: its parts --------------------------------------------------------------------------------
# As they are, LM-LSTM-CRF. Leaving parts out gives simpler taggers; see the README.
use_characters = True  # False: words alone, by their embeddings
co_training = True  # train the two language models too; False: no language models
highway_layers = 1  # at each of the three places; 0: none
bidirectional = True  # False: the word LSTM reads from left to right only
attention_heads = 0  # of a self-attention over the word LSTM's features; 0: none
use_crf = True  # False: each word is tagged by itself
constrain_tags = True  # never decode what the tag scheme forbids, such as I-PER after O

# Model: its sizes, those of the paper's code -----------------------------------------------------
char_emb_dim = 30
char_rnn_dim = 300  # of each direction
char_rnn_layers = 1
word_emb_dim = 100  # with emb_file, the file decides
word_rnn_dim = 300  # of both directions together
word_rnn_layers = 1
dropout = 0.5  # paper's code: 0.55
fine_tune_word_embeddings = None  # with emb_file: train the vectors of the words in train_file.
# False: only those of words that emb_file lacks

# Training ----------------------------------------------------------------------------------------
optimizer = "adamw"  # or "sgd", the paper's recipe. What is None below comes from RECIPES; to add
# another of PyTorch's optimizers, give it a recipe there, and a line in new_optimizer
lr = None
lr_decay = None  # the learning rate is lr / (1 + lr_decay * e) in epoch e, counted from 0
momentum = 0.9  # the paper's value; with "adamw", of the gradient's running mean
weight_decay = 0.01  # of "adamw"
grad_clip = 5.0  # gradients are shortened to this norm, since LSTMs' can explode; None: never
averaging = None  # tag with an average of the weights over some 1 / (1 - averaging) steps; 0: none
unk_rate = None  # how often words seen once are read as <unk>, so that unknown words can be tagged
batch_size = 10  # sentences of one step, those of all processes together
eval_batch_size = 32  # sentences of one process; changes speed and memory, but no score
half_precision = False  # compute in bfloat16 where possible; faster, if the hardware has it
epochs = 8  # in all, including those before resuming. 0: only score the checkpoint
patience = 15  # stop after so many epochs without a better validation score; the paper's code's
criterion = "f1"  # the score that decides: entity F1 for tags of spans, macro F1 for others; or
# "entity_f1", "macro_f1", "accuracy"
seed = 1

RECIPES = {
    # Ours; tests/measure/recipe.py shows what each part brings.
    "adamw": dict(
        lr=0.002,
        lr_decay=0,  # averaging the weights does more than letting lr fall
        averaging=0.999,
        min_word_freq=1,
        unk_rate=0.5,
        fine_tune_word_embeddings=True,
    ),
    # The paper's. Its Viterbi loss is a sum over words, so its gradient is clipped for many epochs.
    "sgd": dict(
        lr=0.015,
        lr_decay=0.05,
        averaging=0,
        min_word_freq=5,
        unk_rate=0,
        fine_tune_word_embeddings=False,
    ),
}

# How the language models learn from text_file: the rate rises for `warm_up` steps, then falls to a
# twentieth. They predict the most frequent words.
TEXT_RECIPE = dict(words=10_000, batch_size=32, lr=0.002, warm_up=100, averaging=0.99)
SAVE_TEXT_EVERY = 500  # steps

# Checkpoint --------------------------------------------------------------------------------------
checkpoint = None  # path of a checkpoint to resume, or with epochs = 0 to score
last_file = "last_checkpoint.pt"  # written after every epoch; resume from it. With the same name,
# but .csv: the losses and scores of every epoch
best_file = "best_checkpoint.pt"  # of the epoch with the best validation score; tag with it
text_model_file = "text_model.pt"  # what was learned from text_file; serves other runs as well


@process_group()
def main():
    """Train as the constants say, then score the best epoch on the test data.

    :return: dict of scores, as `scores` in machinery/spans.py gives them: those of the best epoch
        on test_file, else on val_file; None if there is neither
    """
    constants = checked(globals(), RECIPES)
    with reserved(*files_written(constants)):  # no other run may write to them meanwhile
        return run(constants)


def run(constants):
    """What main does, with constants that have been checked."""
    torch.manual_seed(constants.seed)
    device = default_device()
    check_half_precision(device, constants.half_precision)
    in_processes = f", in {processes()} processes" if processes() > 1 else ""
    print(f"Running on {device.type} with PyTorch {torch.__version__}{in_processes}")

    # The data, the model, and how far its training is.
    train_data, val_data, test_data = read_data(constants)
    criterion = constants.criterion
    if val_data is not None and constants.epochs > 0:
        criterion = find_criterion(criterion, count_tags(train_data[1]), count_tags(val_data[1]))
    settings = runs.kept_settings(constants, criterion, train_data, val_data)
    text_model = None
    if constants.text_file is not None and constants.checkpoint is None:
        text_model = learn_from_text(constants, device)
        torch.manual_seed(constants.seed)  # the same tagger, whether the text was read now or not
    state = start_run(constants, settings, train_data, device, text_model)
    parts = state.parts
    train_set = encode(constants.train_file, train_data, parts)
    val_set = encode(constants.val_file, val_data, parts)
    test_set = encode(constants.test_file, test_data, parts)

    # The losses and the decoder.
    lm_loss = LanguageModelLoss(parts["word_map"], parts["model_arguments"]["lm_vocab_size"])
    viterbi_loss = ViterbiLoss(parts["tag_map"]).to(device)
    loss_of_each = ViterbiLoss(parts["tag_map"], reduction="none").to(device)
    decoder = ViterbiDecoder(
        parts["tag_map"], parts["scheme"] if constants.constrain_tags else None
    ).to(device)
    set_rng_states(constants.checkpoint, state.rng, constants.seed, state.epoch)

    loader = data_loader(
        train_set, constants.batch_size, True, constants.seed, shared=True, device=device
    )
    replica = replicated(state.model)
    first_epoch = state.epoch
    while state.epoch < constants.epochs and state.epochs_since_best < constants.patience:
        begin = time.perf_counter()
        losses = train_epoch(replica, loader, lm_loss, viterbi_loss, constants, state)
        with state.average.applied():
            result = validate(val_set, decoder, loss_of_each, constants, state)
        entry = dict(seconds=time.perf_counter() - begin) | losses | result
        # Where nobody saw an entity, there is no entity F1: 0, as the CoNLL scorer has it.
        state.record(None if val_set is None else result.get(criterion, 0.0), entry)
        state.save(for_tagging, constants.best_file, constants.last_file)
        report.print_epoch(state, constants.epochs, constants.patience, first_epoch)

    last_file = constants.last_file if state.is_saved else constants.checkpoint
    best = end_training(state, constants, last_file) if constants.epochs > 0 else None
    files = (constants.val_file, val_set), (constants.test_file, test_set)
    return score_best(state, best, files, constants, last_file, decoder)


# ------------------------------------------------------------------------------------------------
# Setting up a run
# ------------------------------------------------------------------------------------------------


def start_run(constants, settings, train_data, device, text_model=None):
    """The state of a new run, or of the checkpoint.

    :param settings: as runs.kept_settings gives them
    :param text_model: as learn_from_text gives it
    :return: RunState, its model on the device
    """
    path, checkpoint = constants.checkpoint, None
    if path is None:
        parts, model = new_run(constants, settings, train_data, text_model)
    else:
        checkpoint = runs.load_run(path)
        parameters = inspect.signature(LM_LSTM_CRF).parameters.values()
        defaults = {parameter.name: parameter.default for parameter in parameters}
        runs.check_same_model(path, defaults | checkpoint["settings"], vars(constants))
        settings = settings | runs.unset_before(checkpoint["settings"], constants.from_recipe)
        parts = {name: checkpoint[name] for name in runs.FIXED_PARTS}
        model = restore_model(checkpoint, path, dropout=constants.dropout)
    model.to(device)
    average, torch_optimizer = WeightAverage(model, constants.averaging), None
    if constants.epochs > 0:
        torch_optimizer = new_optimizer(model, constants)
    state = runs.RunState(parts, model, average, torch_optimizer)
    if checkpoint is not None:
        report.print_resuming(path, checkpoint, constants.epochs)
        if constants.epochs > 0:
            state.resume(path, checkpoint, settings, constants.last_file)
        else:
            state.load_state_dict(checkpoint)
            runs.note_decoder(path, checkpoint["settings"], constants.constrain_tags)
    return state


def new_run(constants, settings, train_data, text_model=None):
    """A new model for the training data.

    :param settings: as runs.kept_settings gives them
    :param text_model: as learn_from_text gives it
    :return: dict with runs.FIXED_PARTS, and the model
    """
    if constants.epochs == 0:
        raise InputError("epochs = 0 scores a checkpoint: expected its path, found None")
    words, tags = train_data
    word_map, char_map, tag_map = create_maps(
        words, tags, constants.min_word_freq, constants.min_char_freq, constants.caseless
    )
    if text_model is not None:
        char_map = extended(text_model["char_map"], char_map)
    # The most frequent words come first, those that occur once last.
    corpus_vocab_size = len(word_map)
    lm_vocab_size, rare_from = (
        frequent_vocab_size(words, word_map, count, constants.caseless)
        for count in (constants.min_lm_freq, 2)
    )
    arguments = {name: getattr(constants, name) for name in names(MODEL)}
    embeddings = None
    if constants.emb_file is not None:
        embeddings, word_map, _, has_vector = load_embeddings(
            constants.emb_file, word_map, constants.expand_vocab, constants.caseless
        )
        arguments["word_emb_dim"] = embeddings.size(1)
    arguments |= dict(
        tagset_size=len(tag_map),
        charset_size=len(char_map),
        vocab_size=len(word_map),
        corpus_vocab_size=corpus_vocab_size,
        lm_vocab_size=lm_vocab_size,
    )
    try:
        model = LM_LSTM_CRF(**arguments, dropout=constants.dropout)
    except ValueError as error:  # constants that contradict one another
        raise InputError(str(error)) from None
    if embeddings is not None:
        model.init_word_embeddings(embeddings)
        model.fine_tune_word_embeddings(constants.fine_tune_word_embeddings, has_vector)
    if text_model is not None:
        with refusing_damage(constants.text_model_file):
            model.take_from_text(text_model["model"])
    report.print_model(model, arguments)
    parts = dict(
        settings=settings,
        model_arguments=arguments,
        word_map=word_map,
        char_map=char_map,
        tag_map=tag_map,
        scheme=recognise_scheme(tags)[0],
        rare_from=rare_from,
    )
    return parts, model


def new_optimizer(model, constants):
    """AdamW, or the paper's SGD with momentum, for all parameters that are trained."""
    words = list(model.word_embeddings.corpus.parameters())
    others = [p for p in model.parameters() if p.requires_grad and p is not words[0]]
    lr, momentum = constants.lr, constants.momentum
    if constants.optimizer == "sgd":
        return torch.optim.SGD(words + others, lr=lr, momentum=momentum, fused=True)
    # No decay for words: a rare one would be forgotten between its occurrences.
    decay = constants.weight_decay
    groups = [dict(params=words, weight_decay=0.0), dict(params=others, weight_decay=decay)]
    return torch.optim.AdamW(groups, lr=lr, betas=(momentum, 0.99), fused=True)


# ------------------------------------------------------------------------------------------------
# Text without tags
# ------------------------------------------------------------------------------------------------


def learn_from_text(constants, device):
    """What the language models learn from text_file: now, or in an earlier run, whose file is used.

    :return: dict with `char_map` and `model`, the state_dict of a TextModel
    """
    if not constants.use_characters:
        raise InputError("text_file: expected use_characters = True with it, found False")
    path = constants.text_model_file
    words = [sentence for file in as_list(constants.text_file) for sentence in read_text(file)]
    settings = text_settings(constants, words)
    saved = load_if_same(path, settings)
    if saved is None or saved["step"] < saved["steps"]:
        with reserved(path):
            saved = read_whole_text(constants, words, settings, saved, device)
    else:
        print(f"Language models: those of {visible(path)}, which have read this text")
    return saved


def read_whole_text(constants, words, settings, saved, device):
    """Train the language models on a text, from its beginning or from where a run was stopped.

    :param words: list of sentences, each a list of words
    :param settings: as text_settings gives them
    :param saved: as load_if_same gives it, unfinished, or None
    :return: as learn_from_text
    """
    recipe, path = TEXT_RECIPE, constants.text_model_file
    word_map, char_map = text_maps(
        words, recipe["words"], constants.min_char_freq, constants.caseless
    )
    sizes = constants.char_emb_dim, constants.char_rnn_dim, constants.char_rnn_layers
    model = TextModel(len(char_map), word_map, *sizes, constants.highway_layers).to(device)
    average = WeightAverage(model, recipe["averaging"])
    adamw = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99), fused=True)
    dataset = WCDataset(words, None, word_map, char_map, {START: 0, END: 1}, constants.caseless)
    loader = data_loader(
        dataset, recipe["batch_size"], True, constants.seed, shared=True, device=device
    )
    steps = constants.text_epochs * len(loader)
    state = TextRun(settings, char_map, model, average, adamw, steps)
    print(
        f"Text: {settings['text']}; the language models predict {len(word_map):,} words from "
        f"{len(char_map)} characters"
    )
    if saved is not None:
        state.load_state_dict(path, saved)
        print(f"{visible(path)}: going on after {state.step:,} of {steps:,} steps")
    replica = replicated(model)
    while state.step < steps:
        read_some_text(state, replica, loader, constants, recipe)
        state.save(path)
    print(f"What the language models have learned is in {visible(path)}")
    return state.state_dict()


def read_some_text(state, model, loader, constants, recipe):
    """Train the language models until the text ends, or what they have learned is worth saving.

    :param state: TextRun
    :param model: the state's, or its replica in several processes
    """
    model.train()
    device, begin = next(model.parameters()).device, time.perf_counter()
    epoch, first = divmod(state.step, state.steps // constants.text_epochs)
    loader.batch_sampler.set_epoch(epoch, first)
    last = min(len(loader), SAVE_TEXT_EVERY - first % SAVE_TEXT_EVERY)  # steps to take
    total = torch.zeros(2, device=device)  # loss, words
    title = f"Text, epoch {epoch + 1} of {constants.text_epochs}"
    bar = tqdm(
        itertools.islice(loader, last),
        desc=title,
        initial=first,
        total=first + len(loader),
        leave=False,
        mininterval=0.5,
        disable=None,
    )
    for taken, batch in enumerate(bar, 1):
        batch = batch.to(device)
        falling = 1 - state.step / state.steps
        rate = recipe["lr"] * min(1, (state.step + 1) / recipe["warm_up"]) * max(0.05, falling)
        set_rate(state.optimizer, rate)
        with torch.autocast(device.type, torch.bfloat16, constants.half_precision):
            loss = model(batch)
        count = (batch.word_lengths - 1).sum()
        take_step(loss / count.clamp(min=1) * share_of_mean(count), state, constants.grad_clip)
        total += torch.stack((loss.detach(), count))
        state.step += 1
        if taken % 10 == 0 or taken == last:
            mean = mean_of_processes(total)
            mean = mean[0] / mean[1]
            check_finite([mean], epoch, first + 1, first + taken, rate)
            bar.set_postfix(lm=f"{mean.item():.3f}")
    check_finite(state.model.parameters(), epoch, first + 1, first + taken, rate)
    report.print_text(state, title, mean.item(), (time.perf_counter() - begin) / taken)


# ------------------------------------------------------------------------------------------------
# An epoch
# ------------------------------------------------------------------------------------------------


def train_epoch(model, loader, lm_loss, viterbi_loss, constants, state):
    """Train on every sentence once.

    :param model: the state's, or its replica in several processes
    :return: dict of the mean losses, those of all processes, and the learning rate
    """
    model.train()
    rare_from = state.parts["rare_from"]
    epoch = state.epoch  # counted from 0: those that are finished
    rate = constants.lr / (1 + constants.lr_decay * epoch)
    set_rate(state.optimizer, rate)
    device = next(model.parameters()).device
    loader.batch_sampler.set_epoch(epoch)
    totals, sentences = torch.zeros(2, device=device), 0
    since = 1  # the first step whose loss was not looked at
    # disable=None: no bar where stderr is no terminal, such as a log file
    bar = tqdm(
        loader, desc=f"Epoch {epoch + 1}, training", leave=False, mininterval=0.5, disable=None
    )
    for step, batch in enumerate(bar, 1):
        batch = batch.to(device)
        with_unknown = forget_rare_words(batch, rare_from, lm_loss.unk, constants.unk_rate)
        with torch.autocast(device.type, torch.bfloat16, constants.half_precision):
            crf_scores, forward_lm_scores, backward_lm_scores = model(with_unknown)
        lm = lm_loss(forward_lm_scores, backward_lm_scores, batch)
        crf = viterbi_loss(crf_scores, batch.tags, batch.word_lengths)

        known = viterbi_loss.known(batch.tags, batch.word_lengths).sum()  # sentences that count
        lm = lm * share_of_mean((batch.word_lengths - 1).sum())  # with one process, times 1
        crf = crf * share_of_mean(known)
        take_step(lm + crf, state, constants.grad_clip)

        weight = mean_of_processes(known)
        totals += torch.stack((lm, crf)).detach() * weight
        sentences += weight
        if step % 10 == 0 or step == len(loader):  # reading a loss makes the CPU wait for the GPU
            means = mean_of_processes(totals / sentences.clamp(min=1e-9))
            check_finite([means], epoch, since, step, rate)
            since = step + 1
            lm_mean, crf_mean = means.tolist()
            bar.set_postfix(lm=f"{lm_mean:.3f}", crf=f"{crf_mean:.3f}")
    check_finite(model.parameters(), epoch, 1, step, rate)
    losses = dict(lr=rate)
    if constants.co_training:
        losses["lm_loss"] = lm_mean
    return losses | dict(tag_loss=crf_mean)


def set_rate(torch_optimizer, rate):
    """Set the learning rate of all parameters."""
    for group in torch_optimizer.param_groups:
        group["lr"] = rate


def take_step(loss, state, grad_clip):
    """Change the weights by the gradient of a loss, and take them into the average.

    :param state: RunState or TextRun
    """
    state.optimizer.zero_grad()
    loss.backward()
    if grad_clip is not None:
        nn.utils.clip_grad_norm_(state.model.parameters(), grad_clip)
    state.optimizer.step()
    state.average.update()


def check_finite(tensors, epoch, first, last, rate):
    """:raises InputError: training has diverged, and what comes of this epoch must not be saved"""
    if not all(tensor.isfinite().all() for tensor in tensors):
        raise InputError(
            f"epoch {epoch + 1}, batches {first} to {last}, learning rate {rate:g}: expected "
            "finite losses and weights, found NaN or infinity; this epoch is not saved. "
            "A lower lr or grad_clip may help"
        )


def forget_rare_words(batch, rare_from, unk, rate):
    """The batch, in which each word seen once in training is <unk> with probability `rate`.

    Otherwise <unk> would never be trained, and nothing would teach the tagger to trust the
    characters and the context of a word that it does not know.
    """
    if rate == 0:
        return batch
    forgotten = torch.rand(batch.words.shape, device=batch.words.device) < rate
    forgotten &= batch.words >= rare_from
    return batch._replace(words=batch.words.masked_fill(forgotten, unk))


def validate(val_set, decoder, viterbi_loss, constants, state):
    """What the history notes of the validation data; nothing without any."""
    if val_set is None:
        return {}
    title = f"Epoch {state.epoch + 1}, validation"
    predicted, loss = predict(
        state.model,
        val_set,
        constants.eval_batch_size,
        decoder,
        viterbi_loss,
        title,
        shared=True,
        half_precision=constants.half_precision,
    )
    result = scores(val_set.tags, predicted) | dict(val_loss=loss)
    return {name: result[name] for name in runs.HISTORY if name in result}


# ------------------------------------------------------------------------------------------------
# The end of a run
# ------------------------------------------------------------------------------------------------


def end_training(state, constants, last_file):
    """Say how training ended.

    :param last_file: where the last epoch is
    :return: the checkpoint of the best epoch; None if best_file does not hold it
    """
    best = runs.load_if_ancestor(constants.best_file, state.name, state.history)
    if best is not None and best["epoch"] != state.best_epoch:
        best = None
    best_file = None if best is None else constants.best_file
    report.print_end(state, constants.epochs, constants.patience, last_file, best_file)
    if best is None and state.best_epoch != state.epoch:
        print(
            f"Warning: {visible(constants.best_file)} does not hold epoch {state.best_epoch}, "
            f"the best: the scores are those of epoch {state.epoch}, the last"
        )
    return best


def score_best(state, best, files, constants, last_file, decoder):
    """Score the best epoch; without its checkpoint, the last, with the averaged weights.

    :param files: pairs of a path and its WCDataset, or None
    :return: dict of scores, as main returns it
    """
    model, epoch, used = state.model, state.epoch, last_file
    if best is not None:
        epoch, used = best["epoch"], constants.best_file
        model = restore_model(best, used, dropout=constants.dropout)
        model.to(next(state.model.parameters()).device)
    result = None
    if any(dataset is not None for _, dataset in files):
        print(f"The model of epoch {epoch}:")
    with state.average.applied():
        for path, dataset in files:
            if dataset is not None:
                size, half = constants.eval_batch_size, constants.half_precision
                result, _ = score_file(model, path, dataset, size, decoder, half)
    report.print_command(used)
    return result


# ------------------------------------------------------------------------------------------------
# Data files
# ------------------------------------------------------------------------------------------------


def read_data(constants):
    """(words, tags) of the training, the validation and the test data; None for files not given.

    All are read before training, so that errors in the test file do not come up hours later.
    """
    train_files = as_list(constants.train_file) if constants.epochs > 0 else []
    parts = [read(path, constants) for path in train_files]
    train_data = tuple([s for part in parts for s in part[column]] for column in (0, 1))
    others = (constants.val_file, constants.test_file)
    return train_data, *(None if path is None else read(path, constants) for path in others)


def read(path, constants):
    """The words and tags of a file, and lines that say what they are."""
    words, tags = read_words_tags(path, constants.word_column, constants.tag_column)
    wanted = constants.tag_scheme
    print_reading(path, words, tags, wanted)
    return words, tags if wanted is None else convert_scheme(tags, wanted)


def encode(path, data, state):
    """WCDataset of (words, tags), with a run's maps; None if there is no file."""
    if data is None:
        return None
    maps = state["word_map"], state["char_map"], state["tag_map"]
    data = data[0], same_scheme(data[1], state["scheme"], state["tag_map"])
    dataset = WCDataset(*data, *maps, caseless=state["settings"]["caseless"])
    report.report_unknown_tags(path, dataset)
    return dataset


def script():
    """What `python train.py` does."""
    assign(globals(), sys.argv[1:])
    main()


if __name__ == "__main__":
    begin = time.time()
    run_script(
        script, lambda: report.how_to_resume(last_file, begin, text_file and text_model_file)
    )
