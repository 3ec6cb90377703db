"""What networks are called in tables."""

from __future__ import annotations

import re


def network_name(estimator: type) -> str:
    """Name the network of an estimator's class: ``gluonts_`` and GluonTS's package, or in words."""
    package = re.fullmatch(r"gluonts\.torch\.model\.(\w+)(\.\w+)*", estimator.__module__)
    if package:
        return f"gluonts_{package[1]}"
    stem = estimator.__name__.removesuffix("Estimator") or estimator.__name__
    # DeepAR is one word to forecasters.
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", stem.replace("DeepAR", "Deepar")).lower()
    return f"gluonts_{words}" if estimator.__module__.startswith("gluonts.") else words
