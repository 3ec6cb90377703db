"""Score-based proximal variational inference, a family a file."""

from __future__ import annotations

from tsbnn.inference.score.mean_field import ProximalScoreOptimizer
from tsbnn.inference.score.method import ProximalScoreVI
from tsbnn.inference.score.proximal import precision_factors_, proximal_step

__all__ = ["ProximalScoreOptimizer", "ProximalScoreVI", "precision_factors_", "proximal_step"]
