"""What autoregressive networks share: tokens in front, a distribution head behind, one loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tsbnn.networks import head as heads
from tsbnn.networks.base import ForecastingNetwork, PointLosses, Predicted
from tsbnn.networks.checks import check_whole, check_wholes
from tsbnn.networks.features import TokenFeatures, needed
from tsbnn.networks.sampling import Evaluator, sample_paths


class AutoregressiveNetwork(ForecastingNetwork, ABC):
    """Base of networks that predict a distribution of each target given all before it.

    A subclass adds the layers between the tokens (:mod:`tsbnn.networks.features`) and the head:
    :meth:`encode`, :meth:`branch` and :meth:`advance`, pure functions of tensors and parameters
    that ``torch.func.vmap`` can batch over stacked weights.

    Parameters
    ----------
    context_length
        Points before the forecast start that are read one by one; at least 1.
    lags_seq
        Lags of the target in a token: 1 is the value just before. In any order, not empty.
    num_parallel_samples
        Paths of :meth:`forward` by default.
    width
        Of the outputs that the head projects; set by subclasses.
    **shared
        As those of :class:`tsbnn.networks.base.ForecastingNetwork`. Paths go on from what was
        sampled, whatever ``nonnegative_pred_samples`` says.

    Raises
    ------
    ValueError
        If an argument is not as said here.
    """

    def __init__(
        self,
        *,
        context_length: int,
        lags_seq: Sequence[int],
        num_parallel_samples: int,
        width: int,
        **shared: Any,
    ) -> None:
        super().__init__(context_length=context_length, **shared)
        self.lags_seq = check_wholes(lags_seq, "lags_seq")
        self.num_parallel_samples = check_whole(num_parallel_samples, "num_parallel_samples")
        self.features = TokenFeatures(
            self.context_length,
            self.prediction_length,
            self.lags_seq,
            self.num_feat_dynamic_real,
            self.num_past_feat_dynamic_real,
            self.num_feat_static_real,
            self.scaling,
            self.default_scale,
        )
        # Initial weights are torch's defaults, drawn in GluonTS's order: one seed, equal weights.
        self.param_proj = heads.projection(self.distr_output, width)
        self.embedder = self._build_embedder()

    @property
    def past_length(self) -> int:
        """Points before the forecast start that a window needs."""
        return self.features.past_length

    @property
    def input_size(self) -> int:
        """Width of a token with its embedded categories."""
        return self.features.num_features + sum(self.embedding_dimension)

    @abstractmethod
    def encode(self, tokens: Tensor, static_cat: Tensor | None) -> tuple[Tensor, Any]:
        """Read tokens in time order.

        Parameters
        ----------
        tokens
            ``batch x time x num_features``.
        static_cat
            Whole numbers, ``batch x num_feat_static_cat``.

        Returns
        -------
        tuple
            Outputs, ``batch x time x width``, and the state after the last token.
        """

    @abstractmethod
    def branch(self, state: Any, num_paths: int) -> Any:
        """Give each of ``num_paths`` paths of every series its state."""

    @abstractmethod
    def advance(self, tokens: Tensor, static_cat: Tensor | None, state: Any) -> tuple[Tensor, Any]:
        """Read one token of each path.

        Parameters
        ----------
        tokens
            ``batch x paths x num_features``.
        static_cat, state
            As :meth:`encode` takes, and :meth:`branch` and this method give it.

        Returns
        -------
        tuple
            Outputs, ``batch x paths x width``, and the state after the token.
        """

    def embedded(self, tokens: Tensor, static_cat: Tensor | None) -> Tensor:
        """Put the embedded categories into tokens ``batch x time_or_paths x num_features``."""
        if self.embedder is None:
            return tokens
        static = self.embedder(static_cat).unsqueeze(1).expand(-1, tokens.shape[1], -1)
        lags = len(self.lags_seq)
        return torch.cat((tokens[..., :lags], static, tokens[..., lags:]), dim=-1)

    def distribution_args(
        self, *, evaluator: Evaluator | None = None, **fields: Tensor | None
    ) -> Predicted:
        """Arguments of the head for every target, given the true targets before it.

        Parameters
        ----------
        evaluator
            Who runs the weights; by default this network at its own.
        fields
            Those of :meth:`forward`, and ``future_target`` and ``future_observed_values``, each
            ``batch x prediction_length``; gaps are filled with any number. Others are ignored.

        Raises
        ------
        ValueError
            If a field that the network was built for is missing or of another size.
        """
        static_cat = self.categories(fields)
        future = needed(fields, "future_target"), fields.get("future_observed_values")
        tokens, loc, scale = self.features(fields, *future)
        evaluator = self if evaluator is None else evaluator
        hidden, _ = evaluator.encode(tokens, static_cat)
        return Predicted(tuple(evaluator.param_proj(hidden)), loc, scale)

    def point_losses(
        self, *, evaluator: Evaluator | None = None, **fields: Tensor | None
    ) -> PointLosses:
        """Negative log-likelihood of every target of a window given those before it, in nats.

        The targets are the last ``context_length - 1`` before the forecast start and the horizon.
        Unobserved points give 0 and no gradient.

        Parameters
        ----------
        evaluator, fields
            As those of :meth:`distribution_args`.

        Returns
        -------
        PointLosses
            ``batch x (context_length - 1 + prediction_length)``; with an evaluator of several
            draws the losses have its dimension in front.

        Raises
        ------
        ValueError
            As :meth:`distribution_args`, and if an observed target lies outside the head's support.
        """
        target, observed = (
            torch.cat(
                (
                    needed(fields, f"past_{name}")[:, self.past_length - self.context_length + 1 :],
                    needed(fields, f"future_{name}"),
                ),
                dim=-1,
            )
            for name in ("target", "observed_values")
        )
        args, loc, scale = self.distribution_args(evaluator=evaluator, **fields)
        nll = heads.point_losses(self.distr_output, args, target, observed, loc, scale)
        return PointLosses(nll, observed)

    def forward(
        self, *, num_parallel_samples: int | None = None, **fields: Tensor | None
    ) -> Tensor:
        """Sample paths, ``batch x num_parallel_samples x prediction_length``, in target units.

        Random numbers come from torch's global state.

        Parameters
        ----------
        num_parallel_samples
            Paths of each series; by default the network's.
        fields
            - ``past_target``, ``past_observed_values``: ``batch x past_length``, in target units;
              gaps are filled with any number.
            - ``past_time_feat``, ``future_time_feat``:
              ``batch x past_length x num_feat_dynamic_real``, ``batch x prediction_length x ...``.
            - ``feat_static_cat``: ``batch x num_feat_static_cat``, whole numbers.
            - ``feat_static_real``: ``batch x num_feat_static_real``.
            - ``past_feat_dynamic_real``: ``batch x past_length x num_past_feat_dynamic_real``.

            Those that the network was built without may be left out. Others are ignored.
        """
        num_paths = self.num_parallel_samples
        if num_parallel_samples is not None:
            num_paths = check_whole(num_parallel_samples, "num_parallel_samples")
        return sample_paths(self, self, fields, num_paths)
