"""Forecasts of every network by every inference method, beside their peers, on public sets."""
