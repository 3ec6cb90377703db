"""Stochastic-gradient MCMC: chains of weights whose kept states are the posterior."""

from __future__ import annotations

from tsbnn.inference.chains.base import SGMCMC
from tsbnn.inference.chains.cyclical import CyclicalSGMCMC
from tsbnn.inference.chains.sghmc import SGHMC
from tsbnn.inference.chains.sgld import PSGLD, SGLD

__all__ = ["PSGLD", "SGHMC", "SGLD", "SGMCMC", "CyclicalSGMCMC"]
