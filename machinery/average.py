"""A running average of the weights, which tags better than the weights of any single step."""

import contextlib

import torch


class WeightAverage:
    """The exponential moving average of a model's trained weights (Polyak and Juditsky 1992).

        average = decay * average + (1 - decay) * weights        after every step

    In the first steps the decay is lower, (1 + step) / (10 + step), so that the random start is
    soon forgotten.

    :param model: its parameters that require a gradient are averaged; the others stay as they are
    :param decay: with 0.999, the average is over about the last thousand steps; 0: no average
    """

    def __init__(self, model, decay):
        self.decay = decay
        self.steps = 0  # in the average
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.average = [p.detach().clone() for p in self.trained] if decay > 0 else []

    @torch.no_grad()
    def update(self):
        """Take the weights after a step into the average."""
        if self.average:
            decay = min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.steps else 0.0
            torch._foreach_lerp_(self.average, self.trained, 1 - decay)
            self.steps += 1

    @contextlib.contextmanager
    def applied(self):
        """The model has its averaged weights for as long as the block lasts."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self):
        """Exchange the model's weights for the average, and back; nothing is copied."""
        for i, weight in enumerate(self.trained[: len(self.average)]):
            weight.data, self.average[i] = self.average[i], weight.data

    def load(self, weights, steps):
        """Go on from a checkpoint whose averaged weights the model has.

        :param weights: those to train on, in the order of `trained`; empty: the model's own
        :raises ValueError, RuntimeError: they are those of another model
        """
        if not weights:
            return
        if self.average:
            self.steps = steps
            self.average = [weight.detach().clone() for weight in self.trained]
        for weight, value in zip(self.trained, weights, strict=True):
            if weight.shape != value.shape:
                raise ValueError("the weights to train on have other sizes than the model's")
            weight.data.copy_(value)
