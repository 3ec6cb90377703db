"""Variational inference by stochastic gradients of the ELBO, a family a file."""

from __future__ import annotations

from tsbnn.inference.elbo.mean_field import ELBOOptimizer
from tsbnn.inference.elbo.method import ELBOVI

__all__ = ["ELBOVI", "ELBOOptimizer"]
