r"""The tokens of a patch network, prepared without any weight.

A token is a patch of ``patch_len`` times of the window. It holds, for each time of the patch,

* the scaled target :math:`(y_t - \mathrm{loc}) / \mathrm{scale}` and how far it is observed: 0 and
  0 at gaps and in the horizon;
* time features, known covariates among them;
* past covariates; 0 in the horizon;

and, for the window, static numbers, the log scale and (with ``scaling="std"``) log(1 + abs(loc)).
The forecast start is the boundary of two patches: the context is padded in front and the horizon
at its end to whole patches, with zeros.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from tsbnn.networks.checks import check_fields
from tsbnn.networks.features import Tokens
from tsbnn.networks.scaling import WindowScaler


class PatchFeatures:
    """Prepares patches.

    Parameters
    ----------
    context_length, prediction_length, patch_len, num_feat_dynamic_real
    num_past_feat_dynamic_real, num_feat_static_real, scaling, default_scale
        As those of :class:`~tsbnn.networks.PatchTransformer`.
    """

    def __init__(
        self,
        context_length: int,
        prediction_length: int,
        patch_len: int,
        num_feat_dynamic_real: int,
        num_past_feat_dynamic_real: int,
        num_feat_static_real: int,
        scaling: str | None,
        default_scale: float | None,
    ) -> None:
        self.context_length = context_length
        self.prediction_length = prediction_length
        self.patch_len = patch_len
        self.num_feat_dynamic_real = num_feat_dynamic_real
        self.num_past_feat_dynamic_real = num_past_feat_dynamic_real
        self.num_feat_static_real = num_feat_static_real
        self.scaler = WindowScaler(scaling, default_scale)
        self.past_patches = -(-context_length // patch_len)
        self.future_patches = -(-prediction_length // patch_len)

    @property
    def num_features(self) -> int:
        """Width of a patch, embedded categories left out."""
        times = 2 + self.num_feat_dynamic_real + self.num_past_feat_dynamic_real
        statics = self.num_feat_static_real + (2 if self.scaler.scaling == "std" else 1)
        return self.patch_len * times + statics

    def __call__(self, inputs: Mapping[str, Tensor | None]) -> Tokens:
        """Patches of a batch of windows, ``batch x patches x num_features``, those to come last.

        Parameters
        ----------
        inputs
            The fields of :meth:`PatchTransformer.forward`, by name.

        Raises
        ------
        ValueError
            If a field is missing or of another size than the network was built for.
        """
        self._check(inputs)
        fields = {name: field for name, field in inputs.items() if field is not None}
        observed = fields["past_observed_values"]
        target = torch.where(observed > 0, fields["past_target"], 0.0)
        loc, scale = self.scaler(target, observed, self.context_length)
        scaled = torch.where(observed > 0, (target - loc) / scale, 0.0)
        past = [torch.stack((scaled, observed.to(scaled)), dim=-1)]
        future = [scaled.new_zeros(scaled.shape[0], self.prediction_length, 2)]
        if self.num_feat_dynamic_real:
            past.append(fields["past_time_feat"])
            future.append(fields["future_time_feat"])
        if self.num_past_feat_dynamic_real:
            covariates = fields["past_feat_dynamic_real"]
            past.append(covariates)
            shape = scaled.shape[0], self.prediction_length, covariates.shape[-1]
            future.append(covariates.new_zeros(shape))
        patches = self._patches(torch.cat(past, dim=-1), torch.cat(future, dim=-1))
        statics = [fields["feat_static_real"]] if self.num_feat_static_real else []
        statics.append(scale.log())
        if self.scaler.scaling == "std":
            statics.append(loc.abs().log1p())
        static = torch.cat(statics, dim=-1).unsqueeze(1).expand(-1, patches.shape[1], -1)
        return Tokens(torch.cat((patches, static), dim=-1), loc, scale)

    def _patches(self, past: Tensor, future: Tensor) -> Tensor:
        """Cut ``batch x time x columns`` into ``batch x patches x (patch_len * columns)``."""
        before = self.past_patches * self.patch_len - self.context_length
        after = self.future_patches * self.patch_len - self.prediction_length
        window = F.pad(torch.cat((past, future), dim=1), (0, 0, before, after))
        return window.reshape(window.shape[0], self.past_patches + self.future_patches, -1)

    def _check(self, inputs: Mapping[str, Tensor | None]) -> None:
        """Raise ValueError if a field is missing or of the wrong length or width."""
        widths = {
            "past_target": self.context_length,
            "past_observed_values": self.context_length,
            "feat_static_real": self.num_feat_static_real,
            "past_time_feat": self.num_feat_dynamic_real,
            "future_time_feat": self.num_feat_dynamic_real,
            "past_feat_dynamic_real": self.num_past_feat_dynamic_real,
        }
        lengths = {
            "past_time_feat": self.context_length,
            "future_time_feat": self.prediction_length,
            "past_feat_dynamic_real": self.context_length,
        }
        check_fields({name: (width, inputs.get(name)) for name, width in widths.items()}, lengths)
