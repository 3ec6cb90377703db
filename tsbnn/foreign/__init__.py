"""What other libraries do to the process, lent and given back: global randomness, warnings."""
