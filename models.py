"""LM-LSTM-CRF: the network and its losses, in PyTorch alone. Copy this file to use them elsewhere.

Liu et al. 2018, "Empower Sequence Labeling with Task-Aware Neural Language Model"
(arXiv 1709.04109). Read LM_LSTM_CRF.forward first: it tells the whole story, part by part.

Dimensions, with the same names everywhere:

    N  sentences in the batch
    L  words of the longest sentence, <end> included
    C  characters of the longest sentence, spaces and <end> included
    H  hidden size of a character LSTM
    D  features that the word LSTM gives for each word
    V  words that the language models can predict
    m  tags, <start> and <end> included
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable


class LM_LSTM_CRF(nn.Module):
    """The tagger, co-trained with two character-level language models (Liu et al. 2018, figure 1),
    and the simpler taggers that remain without some of its parts, which then cost nothing.

    :param tagset_size: number of tags, m
    :param charset_size: number of characters in char_map
    :param vocab_size: number of words in word_map
    :param corpus_vocab_size: how many of them, the first, occur in the training data; None: all
    :param lm_vocab_size: how many of them, the first, the language models predict, V
    :param char_rnn_dim: hidden size of each of the two character LSTMs, H
    :param word_rnn_dim: features from the word LSTM, both directions together, D
    :param highway_layers: at each of the three places; 0: none
    :param use_characters: False: word embeddings alone; needs co_training = False
    :param bidirectional: False: the word LSTM reads from left to right only
    :param attention_heads: of a self-attention over the word LSTM's features; 0: none
    :raises ValueError: the arguments contradict one another
    """

    def __init__(
        self,
        tagset_size,
        charset_size,
        vocab_size,
        lm_vocab_size,
        corpus_vocab_size=None,
        char_emb_dim=30,
        char_rnn_dim=300,
        char_rnn_layers=1,
        word_emb_dim=100,
        word_rnn_dim=300,
        word_rnn_layers=1,
        highway_layers=1,
        dropout=0.5,
        use_characters=True,
        co_training=True,
        bidirectional=True,
        attention_heads=0,
        use_crf=True,
    ):
        super().__init__()
        if co_training and not use_characters:
            raise ValueError("co_training = True: expected use_characters = True, found False")
        self.use_characters, self.co_training = use_characters, co_training
        self.attention = None
        self.dropout = Dropout(dropout)

        # Characters. The two LSTMs share their embeddings, nothing else.
        if use_characters:
            self.char_embeddings = nn.Embedding(charset_size, char_emb_dim)
            between_layers = dropout if char_rnn_layers > 1 else 0.0
            layers = dict(num_layers=char_rnn_layers, dropout=between_layers, batch_first=True)
            self.forward_char_lstm = nn.LSTM(char_emb_dim, char_rnn_dim, **layers)
            self.backward_char_lstm = nn.LSTM(char_emb_dim, char_rnn_dim, **layers)
            self.subword_highway = Highway(2 * char_rnn_dim, highway_layers, dropout)

        # Language models
        if co_training:
            self.forward_lm_highway = Highway(char_rnn_dim, highway_layers, dropout)
            self.backward_lm_highway = Highway(char_rnn_dim, highway_layers, dropout)
            self.forward_lm_out = nn.Linear(char_rnn_dim, lm_vocab_size)
            self.backward_lm_out = nn.Linear(char_rnn_dim, lm_vocab_size)

        # Words and tags
        self.word_embeddings = WordEmbeddings(vocab_size, corpus_vocab_size, word_emb_dim)
        word_dim = word_emb_dim + 2 * char_rnn_dim * use_characters
        self.word_lstm = WordLSTM(word_dim, word_rnn_dim, word_rnn_layers, dropout, bidirectional)
        if attention_heads > 0:
            self.attention = SelfAttention(word_rnn_dim, attention_heads, dropout)
        self.crf = CRF(word_rnn_dim, tagset_size, use_crf)

    @torch.no_grad()
    def init_word_embeddings(self, embeddings):
        """Start from given word embeddings, (vocab_size, word_emb_dim)."""
        size = len(self.word_embeddings.fixed)
        self.word_embeddings.corpus.weight.copy_(embeddings[:size])
        self.word_embeddings.others.weight.copy_(embeddings[size:])

    def fine_tune_word_embeddings(self, fine_tune=True, has_vector=None):
        """Train the embeddings of all words of the training data, or only of those without a
        pre-trained vector: has_vector (vocab_size) bool says which have one; None: all."""
        fixed = self.word_embeddings.fixed
        fixed.fill_(not fine_tune)
        if not fine_tune and has_vector is not None:
            fixed.copy_(has_vector[: len(fixed)])

    def take_from_text(self, parameters):
        """Start from what TextModel has learned, its state_dict. Characters that the text lacks
        come last in char_map, and start at random.

        :raises KeyError, RuntimeError: they are those of another model
        """
        own = self.state_dict()
        # Its output layers are for the text's words; co_training may be False.
        taken = {n: parameters[n] for n in own if n.startswith("char_") or "_char_" in n}
        taken |= {n: parameters[n] for n in own if "_lm_highway" in n}
        chars = parameters["char_embeddings.weight"]
        random = own["char_embeddings.weight"][len(chars) :]
        taken["char_embeddings.weight"] = torch.cat((chars, random))
        self.load_state_dict(own | taken)

    def forward(self, batch):
        """
        :param batch: Batch, as collate in datasets.py gives it
        :return: CRF scores (N, L, m, m), and the scores of the forward and of the backward
            language model, (N, L, V) each; None without co-training and outside training
        """
        words = self.dropout(self.word_embeddings(batch.words))  # (N, L, word_emb_dim)
        forward_lm = backward_lm = None
        if self.use_characters:
            # Characters: each LSTM reads the whole sentence; its states at word ends are kept.
            forward_states = self.read_characters(
                self.forward_char_lstm, batch.forward_chars, batch.forward_markers
            )  # (N, L, H)
            backward_states = self.read_characters(
                self.backward_char_lstm, batch.backward_chars, batch.backward_markers
            )  # (N, L, H)

            # Language models: which word comes next, and which came before?
            if self.co_training and self.training:
                forward_lm = self.forward_lm_highway(forward_states)
                forward_lm = self.forward_lm_out(self.dropout(forward_lm))
                backward_lm = self.backward_lm_highway(backward_states)
                backward_lm = self.backward_lm_out(self.dropout(backward_lm))

            # What the characters tell, in a form fit for tagging, next to the word's embedding.
            subwords = self.subword_highway(torch.cat((forward_states, backward_states), dim=2))
            words = torch.cat((words, self.dropout(subwords)), dim=2)  # (N, L, word_emb_dim + 2H)

        # Words: each in the context of the others.
        features = self.word_lstm(words, batch.word_lengths)  # (N, L, D)
        if self.attention is not None:
            features = self.attention(features, batch.word_lengths)

        # CRF: the score of every tag at every word after every tag. Never in half precision: paths
        # differ by little, compared with their scores, which are sums over all words.
        with torch.autocast(features.device.type, enabled=False):
            return self.crf(self.dropout(features.float())), forward_lm, backward_lm

    def read_characters(self, lstm, chars, markers):
        """The state of a character LSTM at the end of each word: (N, C) and (N, L) -> (N, L, H).

        The LSTM reads from left to right, and the pads come after the last marker: what it makes
        of them is never used, so nothing needs to be packed.
        """
        states, _ = lstm(self.char_embeddings(chars))  # (N, C, H)
        return self.dropout(take(states, markers))


def for_tagging(parameters):
    """What tagging needs of a model's state_dict: all but the language models' own layers.

    They are the parameters of a model with co_training = False, which tags alike.
    """
    return {name: value for name, value in parameters.items() if "_lm_" not in name}


def take(states, positions):
    """Pick states by position: (N, T, H) and (N, L) -> (N, L, H)."""
    return states.gather(1, positions.unsqueeze(2).expand(-1, -1, states.size(2)))


class Highway(nn.Module):
    """Highway layers: each passes part of its input on unchanged (Srivastava et al. 2015, eq. 3).

        y = g * relu(W_t x + b_t) + (1 - g) * x,    g = sigmoid(W_g x + b_g)

    The gate g, between 0 and 1 for every feature, chooses between the transformed and the
    unchanged input, which is also a shortcut for the gradient.

    :param num_layers: how many such layers in a row
    """

    def __init__(self, size, num_layers=1, dropout=0.5):
        super().__init__()
        self.transforms = nn.ModuleList(nn.Linear(size, size) for _ in range(num_layers))
        self.gates = nn.ModuleList(nn.Linear(size, size) for _ in range(num_layers))
        self.dropout = Dropout(dropout)

    def forward(self, x):
        """(..., size) -> (..., size)"""
        for i, (transform, gate) in enumerate(zip(self.transforms, self.gates, strict=True)):
            if i > 0:
                x = self.dropout(x)
            g = torch.sigmoid(gate(x))
            x = g * F.relu(transform(x)) + (1 - g) * x
        return x


class WordLSTM(nn.Module):
    """LSTM over padded sentences in one or both directions, without packing.

    In both directions, each layer is two LSTMs that read from left to right; the second gets every
    sentence reversed within its own length. So pads always come after the words, where they cannot
    reach the states that are used. nn.LSTM(bidirectional=True) would start its second direction in
    the pads, or need packing, which takes PyTorch's slow path on a CPU.

    :param hidden_dim: features coming out; half from each direction if there are two
    :raises ValueError: hidden_dim is odd, but there are two directions
    """

    def __init__(self, input_dim, hidden_dim, num_layers=1, dropout=0.5, bidirectional=True):
        super().__init__()
        if bidirectional and hidden_dim % 2:
            raise ValueError(
                f"word_rnn_dim: expected an even number, for two directions, found {hidden_dim}"
            )
        size = hidden_dim // 2 if bidirectional else hidden_dim
        inputs = [input_dim] + [hidden_dim] * (num_layers - 1)
        self.rightward = nn.ModuleList(nn.LSTM(dim, size, batch_first=True) for dim in inputs)
        inputs = inputs if bidirectional else []
        self.leftward = nn.ModuleList(nn.LSTM(dim, size, batch_first=True) for dim in inputs)
        self.dropout = Dropout(dropout)

    def forward(self, x, lengths):
        """(N, L, input_dim) and (N) -> (N, L, hidden_dim), meaningless beyond the lengths"""
        # Position i gets what is at length - 1 - i: for 3 words and 2 pads, 2 1 0 3 4.
        position = torch.arange(x.size(1), device=x.device).expand(x.size(0), -1)  # (N, L)
        mirrored = lengths.unsqueeze(1) - 1 - position
        mirrored = torch.where(mirrored >= 0, mirrored, position)

        for i, rightward in enumerate(self.rightward):
            if i > 0:
                x = self.dropout(x)
            states, _ = rightward(x)  # (N, L, hidden_dim or half of it)
            if self.leftward:
                backward_states, _ = self.leftward[i](take(x, mirrored))
                states = torch.cat((states, take(backward_states, mirrored)), dim=2)
            x = states
        return x


class CRF(nn.Module):
    """Scores of all tags at all words: emission plus transition (Lample et al. 2016, section 2.2).

        scores[n, k, i, j] = emission[n, k, j] + transition[i, j]

    is the score of tag j at word k of sentence n if the word before has tag i.

    Without transitions, a linear layer is left, which tags each word by itself: ViterbiLoss is then
    the cross-entropy, summed over the words, and Viterbi takes each word's best tag.

    :param hidden_dim: features of a word, D
    :param tagset_size: number of tags, m
    """

    def __init__(self, hidden_dim, tagset_size, transitions=True):
        super().__init__()
        self.emission = nn.Linear(hidden_dim, tagset_size)
        self.transition = None
        if transitions:
            self.transition = nn.Parameter(torch.zeros(tagset_size, tagset_size))

    def forward(self, features):
        """(N, L, D) -> (N, L, m, m)"""
        emission = self.emission(features).unsqueeze(2)  # (N, L, 1, m): whatever the tag before
        if self.transition is None:
            return emission.expand(-1, -1, emission.size(3), -1)
        return emission + self.transition


NO_TARGET = -100  # what cross_entropy ignores


class LanguageModelLoss(nn.Module):
    """Mean cross-entropy per predicted word: the forward model's plus the backward model's.

    For "dunston checks in", with the marker at the end of each word:

        marker at              dunston   checks    in       <end>
        forward predicts       checks    in        <end>    -
        backward predicts      <end>     dunston   checks   -

    :param word_map: the one that the batches were encoded with
    :param lm_vocab_size: V; any other word of word_map counts as <unk>
    """

    def __init__(self, word_map, lm_vocab_size):
        super().__init__()
        self.end, self.unk = word_map["<end>"], word_map["<unk>"]
        self.lm_vocab_size = lm_vocab_size

    def forward(self, forward_scores, backward_scores, batch):
        """
        :param forward_scores, backward_scores: (N, L, V), or None without language models
        :param batch: Batch
        :return: the sum of the two means, (); 0 without language models
        """
        if forward_scores is None:
            return torch.zeros((), device=batch.words.device)
        following, preceding = self.targets(batch)
        both = (forward_scores, following), (backward_scores, preceding)
        return sum(
            F.cross_entropy(scores.flatten(0, 1).float(), targets.flatten(), reduction="sum")
            for scores, targets in both
        ) / (following != NO_TARGET).sum().clamp(min=1)

    def targets(self, batch):
        """The following and the preceding word of each word: (N, L) each, NO_TARGET at <end> and
        pads, which predict nothing."""
        words = batch.words.masked_fill(batch.words >= self.lm_vocab_size, self.unk)  # (N, L)
        end = torch.full_like(words[:, :1], self.end)
        position = torch.arange(words.size(1), device=words.device)
        at_word = position < batch.word_lengths.unsqueeze(1) - 1
        following = torch.cat((words[:, 1:], end), dim=1).masked_fill(~at_word, NO_TARGET)
        preceding = torch.cat((end, words[:, :-1]), dim=1).masked_fill(~at_word, NO_TARGET)
        return following, preceding


def word_penalty(tag_map):
    """(m) what to add to a word's scores: 0, but -inf for <start> and <end>: they label no word."""
    penalty = torch.zeros(len(tag_map))
    penalty[[tag_map["<start>"], tag_map["<end>"]]] = -math.inf
    return penalty


class LinearChain(nn.Module):
    """The valid paths of a linear-chain CRF, and sums over all of them.

    A path is valid if <start> comes only before the first word and <end> only at the <end> token;
    others do not count.

    :param tag_map: dict from tag to index; says where <start> and <end> are
    """

    def __init__(self, tag_map):
        super().__init__()
        self.start, self.end = tag_map["<start>"], tag_map["<end>"]
        self.register_buffer("word_penalty", word_penalty(tag_map), persistent=False)

    def forward_algorithm(self, scores):
        """Log of the sum of exp(score) over all valid paths to each tag at each word.

        alpha[n, t, j] is that of the paths that end in tag j at word t. Tag j can follow any
        tag i, so

            alpha[t, j] = log sum over i of exp(alpha[t - 1, i] + scores[t, i, j])

        alpha grows with the sentence, and float32 would lose its decimals: after every word, its
        largest value is taken away, and what was taken away is summed in float64.

        :param scores: (N, L, m, m)
        :return: alpha, (N, L, m) float64; and before, (N, L, m), alpha of the word before, less its
            largest value: only <start> before the first word, neither <start> nor <end> later
        """
        before = torch.full_like(scores[:, 0, 0], -math.inf)  # (N, m)
        before[:, self.start] = 0
        alphas, befores, shifts = [], [], [torch.zeros_like(before[:, :1])]
        for word_scores in scores.unbind(1):
            befores.append(before)
            alphas.append(torch.logsumexp(before.unsqueeze(2) + word_scores, dim=1))
            before = alphas[-1] + self.word_penalty
            shifts.append(before.detach().amax(1, keepdim=True))
            before = before - shifts[-1]
        shift = torch.stack(shifts[:-1], dim=1).cumsum(1, dtype=torch.float64)  # (N, L, 1)
        return torch.stack(alphas, dim=1) + shift, torch.stack(befores, dim=1)

    def log_partition(self, alpha, lengths):
        """Log of the sum of exp(score) over all valid paths, all of which end in <end>: (N)"""
        return alpha[:, :, self.end].gather(1, lengths.unsqueeze(1) - 1).squeeze(1)

    def step_probabilities(self, scores, before, lengths):
        """The probability that tag i is at word t - 1 and tag j at word t (pairwise marginals).

        This is also the gradient of log_partition with respect to scores[t, i, j]: the log of a
        sum of exponentials grows by each summand's share, and the shares of all paths that take
        this transition add up to its probability. It needs no second recursion in logs:

            share[t, i, j] = softmax over i of (alpha[t - 1, i] + scores[t, i, j])

        is how probable tag i is if j follows; whatever is taken from all of alpha[t - 1], it stays
        the same. At the <end> token, <end> is certain. From there,
        back, share * P(tag j at t) is the result, and its sum over j is P(tag i at t - 1).

        :param before: as forward_algorithm gives it, (N, L, m)
        :return: (N, L, m, m), as scores; 0 at pads
        """
        share = torch.softmax(scores + before.unsqueeze(3), dim=2)  # (N, L, m, m)
        tags = torch.zeros_like(before)
        tags[:, :, self.end].scatter_(1, lengths.unsqueeze(1) - 1, 1)
        for t in range(scores.size(1) - 1, 0, -1):
            tags[:, t - 1] += torch.bmm(share[:, t], tags[:, t].unsqueeze(2)).squeeze(2)
        return share.mul_(tags.unsqueeze(2))


class ViterbiLoss(LinearChain):
    """Negative log-likelihood of the gold paths (Lample et al. 2016, eq. 1, negated).

        loss = log sum over valid paths exp(score of the path) - score of the gold path

    Despite the loss's name, the Viterbi algorithm has no part in it.

    A sentence with a tag that the model lacks has no gold path: its loss is 0, and it does not
    count in the mean.

    :param tag_map: dict from tag to index; says where <start> and <end> are
    :param reduction: "mean" over the sentences, their "sum", or "none": one loss for each
    """

    def __init__(self, tag_map, reduction="mean"):
        super().__init__(tag_map)
        self.reduction = reduction

    def forward(self, scores, targets, lengths):
        """
        :param scores: (N, L, m, m), as CRF gives them
        :param targets: (N, L) indices of the gold tags in the unrolled scores, previous tag * m +
            tag; below 0 for a tag that the model lacks
        :param lengths: (N) words of each sentence, <end> included
        :return: (), or with reduction "none" (N)
        """
        within = torch.arange(scores.size(1), device=scores.device) < lengths.unsqueeze(1)  # (N, L)
        gold = scores.flatten(2).gather(2, targets.clamp(min=0).unsqueeze(2)).squeeze(2)  # (N, L)
        gold = gold.masked_fill(~within, 0).sum(1, dtype=torch.float64)  # (N)
        losses = (LogPartition.apply(scores, lengths, self) - gold).to(scores.dtype)
        known = self.known(targets, lengths)
        losses = losses.masked_fill(~known, 0)
        if self.reduction == "none":
            return losses
        return losses.sum() / (known.sum().clamp(min=1) if self.reduction == "mean" else 1)

    @staticmethod
    def known(targets, lengths):
        """(N, L) and (N) -> (N) bool: whether the model has all tags of a sentence, so that it
        counts."""
        pads = torch.arange(targets.size(1), device=targets.device) >= lengths.unsqueeze(1)
        return ((targets >= 0) | pads).all(1)


# ------------------------------------------------------------------------------------------------
# What a first reading can do without
# ------------------------------------------------------------------------------------------------


class LogPartition(torch.autograd.Function):
    """LinearChain.log_partition of scores, whose gradient is LinearChain.step_probabilities.

    Autograd would find the same by going back through the recursion, in three times the time. The
    gold score's gradient is -1 at each number in it: where the model is right and sure, the two add
    up to 0, and nothing is left to learn.
    """

    @staticmethod
    def forward(ctx, scores, lengths, chain):
        """(N, L, m, m), (N) and a LinearChain -> (N) float64"""
        alpha, before = chain.forward_algorithm(scores)
        ctx.save_for_backward(scores, before, lengths)
        ctx.chain = chain
        return chain.log_partition(alpha, lengths)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        """(N) -> (N, L, m, m), for scores"""
        steps = ctx.chain.step_probabilities(*ctx.saved_tensors)
        return steps.mul_(gradient.view(-1, 1, 1, 1)), None, None


class TextModel(nn.Module):
    """The two language models alone, to learn from text without tags.

    Its characters, LSTMs and highway layers have the names, sizes and meaning of LM_LSTM_CRF's,
    which then starts from them (take_from_text). The words to predict are those of the text, many
    more than a tagger's. Their scores would take most of the time, so they are computed in
    clusters, the frequent words first (Grave et al. 2017).

    :param charset_size: number of characters, with <pad>, <end> and <unk>
    :param word_map: of the words to predict, by falling frequency
    :param char_emb_dim: features of a character
    :param size: H, features of each character LSTM
    :param num_layers: of each character LSTM
    :param highway_layers: of each language model
    """

    def __init__(self, charset_size, word_map, char_emb_dim, size, num_layers, highway_layers):
        super().__init__()
        self.dropout = Dropout(0)  # a text is much to learn: nothing is learned by heart
        self.char_embeddings = nn.Embedding(charset_size, char_emb_dim)
        layers = dict(num_layers=num_layers, batch_first=True)
        self.forward_char_lstm = nn.LSTM(char_emb_dim, size, **layers)
        self.backward_char_lstm = nn.LSTM(char_emb_dim, size, **layers)
        self.forward_lm_highway = Highway(size, highway_layers, 0)
        self.backward_lm_highway = Highway(size, highway_layers, 0)
        self.loss = LanguageModelLoss(word_map, len(word_map))
        clusters = [words for words in (1000, 5000) if words < len(word_map) - 1]
        self.forward_text_out, self.backward_text_out = (
            nn.AdaptiveLogSoftmaxWithLoss(size, len(word_map), clusters or [2], div_value=2.0)
            for _ in range(2)
        )

    def forward(self, batch):
        """
        :param batch: Batch, whose words are encoded with word_map
        :return: cross-entropy of both language models, summed over the words, ()
        """
        forward_states = self.read_characters(
            self.forward_char_lstm, batch.forward_chars, batch.forward_markers
        )  # (N, L, H)
        backward_states = self.read_characters(
            self.backward_char_lstm, batch.backward_chars, batch.backward_markers
        )  # (N, L, H)
        following, preceding = self.loss.targets(batch)
        at_word = following != NO_TARGET  # (N, L)
        forward_states = self.forward_lm_highway(forward_states[at_word])  # (words, H)
        backward_states = self.backward_lm_highway(backward_states[at_word])
        with torch.autocast(forward_states.device.type, enabled=False):
            forward = self.forward_text_out(forward_states.float(), following[at_word])
            backward = self.backward_text_out(backward_states.float(), preceding[at_word])
        # A cluster without a word in this batch gets a gradient too, which is 0: several processes
        # would wait for it.
        unused = sum(0 * parameter.sum() for parameter in self.text_out_parameters())
        return unused - forward.output.sum() - backward.output.sum()

    # The same function: what is learned from text is read by a tagger in exactly the same way.
    read_characters = LM_LSTM_CRF.read_characters

    def text_out_parameters(self):
        """Those that only the text's words need; a tagger has output layers of its own."""
        return [p for name, p in self.named_parameters() if "_text_out" in name]


class WordEmbeddings(nn.Module):
    """A vector for each word: trained for the words of the training data, fixed for all others.

    Words that only a file of vectors knows never occur in training, so their rows get no gradient,
    no optimiser state and no average: a large file costs its memory and nothing else.
    """

    def __init__(self, vocab_size, corpus_vocab_size, dim):
        super().__init__()
        corpus_vocab_size = vocab_size if corpus_vocab_size is None else corpus_vocab_size
        # They start with a length of about 1. Everything else starts with PyTorch's own values:
        # smaller character embeddings, or Glorot's matrices, made SGD take twice as many epochs.
        bound = math.sqrt(3 / dim)
        self.corpus = nn.Embedding(corpus_vocab_size, dim)
        nn.init.uniform_(self.corpus.weight, -bound, bound)
        self.others = nn.Embedding(vocab_size - corpus_vocab_size, dim).requires_grad_(False)
        self.register_buffer("fixed", torch.zeros(corpus_vocab_size, dtype=torch.bool))

    def forward(self, words):
        """(N, L) -> (N, L, dim)"""
        size = len(self.fixed)
        corpus_words = words.clamp(max=size - 1)
        vectors, fixed = self.corpus(corpus_words), self.fixed[corpus_words].unsqueeze(2)
        vectors = torch.where(fixed, vectors.detach(), vectors)  # no gradient where fixed
        if len(self.others.weight) == 0:
            return vectors
        others = self.others((words - size).clamp(min=0))
        return torch.where((words < size).unsqueeze(2), vectors, others)


class Dropout(nn.Dropout):
    """nn.Dropout, faster on a CPU: comparing uniform numbers takes half the time of bernoulli_."""

    def forward(self, x):
        """(...) -> (...)"""
        if x.is_cuda or not self.training or self.p == 0:
            return super().forward(x)
        kept = torch.rand_like(x) >= self.p
        return x * kept * (1 / (1 - self.p))


class SelfAttention(nn.Module):
    """Lets each word look at all words of its sentence (Vaswani et al. 2017, section 3.2.2).

        y = norm(x + attention(x, x, x))

    :raises ValueError: num_heads does not divide size, the features of a word
    """

    def __init__(self, size, num_heads, dropout=0.5):
        super().__init__()
        if size % num_heads:
            raise ValueError(
                f"attention_heads: expected a divisor of word_rnn_dim = {size}, found {num_heads}"
            )
        self.attention = nn.MultiheadAttention(size, num_heads, batch_first=True)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(size)

    def forward(self, x, lengths):
        """(N, L, size) and (N) -> (N, L, size); no word looks at a pad"""
        pads = torch.arange(x.size(1), device=x.device) >= lengths.unsqueeze(1)  # (N, L)
        seen, _ = self.attention(x, x, x, key_padding_mask=pads, need_weights=False)
        return self.norm(x + self.dropout(seen))
