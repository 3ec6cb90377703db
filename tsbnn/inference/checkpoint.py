"""What an exact resume of inference needs, and the refusal of a state that does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tsbnn.inference.checks import require
from tsbnn.inference.noise import noise_state, restore_noise

if TYPE_CHECKING:
    from tsbnn.inference.optimizer import BayesianOptimizer


def snapshot(optimizer: BayesianOptimizer) -> dict[str, Any]:
    """Return posterior, vectors, counters and the noise source, as tensors and JSON terms."""
    return {
        "method": optimizer.method.to_dict(),
        "posterior": {k: v.clone() for k, v in optimizer.posterior.state_dict().items()},
        "vectors": {name: vector.clone() for name, vector in optimizer._vectors.items()},
        "target": {
            "num_observations": optimizer.num_observations,
            "temperature": optimizer.temperature,
        },
        "counters": {"steps": optimizer.steps, "evaluations": optimizer.gradient_evaluations},
        "phase_ends": dict(optimizer.phase_ends),
        "losses": optimizer.losses.state_dict(),
        "noise": noise_state(optimizer.generator),
        "state": {},
        "param_groups": [
            {k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups
        ],
    }


def check(optimizer: BayesianOptimizer, state: dict[str, Any]) -> None:
    """Refuse a state of another method, target, family or number of weights.

    Raises
    ------
    ValueError
        Naming what differs.
    """
    name, own_name = state.get("method", {}).get("name"), optimizer.method.name
    require(name == own_name, "method of the state", name, repr(own_name))
    for key, value in state["target"].items():
        own = getattr(optimizer, key)
        require(value == own, f"{key} of the state", value, f"{own} as here")
    differing = _differing(state["method"]["settings"], optimizer.method.to_dict()["settings"])
    kept = {"posterior": optimizer.posterior.state_dict(), "vectors": optimizer._vectors}
    for part, tensors in kept.items():
        found, wanted = sorted(state[part]), sorted(tensors)
        require(found == wanted, f"{part} of the state{differing}", found, f"{wanted}")
        for key, value in state[part].items():
            shape, expected = tuple(value.shape), tuple(tensors[key].shape)
            require(shape == expected, f"shape of {key}", shape, f"{expected}")


def _differing(settings: dict[str, Any], own: dict[str, Any]) -> str:
    """Name the settings that may be why a state holds other tensors, in brackets."""
    names = [name for name in own if settings.get(name) != own[name]]
    pairs = (f"{name}={settings.get(name)!r}, here {own[name]!r}" for name in names)
    return f" (made with {'; '.join(pairs)})" if names else ""


def restore(optimizer: BayesianOptimizer, state: dict[str, Any]) -> None:
    """Put a checked state into posterior, vectors, counters and the noise source."""
    optimizer.posterior.load_state_dict(state["posterior"])
    for key, value in state["vectors"].items():
        optimizer._vectors[key].copy_(value)
    optimizer.steps = state["counters"]["steps"]
    optimizer.gradient_evaluations = state["counters"]["evaluations"]
    optimizer.phase_ends = dict(state["phase_ends"])
    optimizer.losses.load_state_dict(state["losses"])
    restore_noise(optimizer.generator, state["noise"])
    for group, saved in zip(optimizer.param_groups, state["param_groups"], strict=True):
        group.update(saved)
