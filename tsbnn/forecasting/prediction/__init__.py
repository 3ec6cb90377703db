"""Paths at many weight draws: evaluated at once where a network can, in parts that fit memory."""
