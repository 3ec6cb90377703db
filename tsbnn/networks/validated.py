"""Constructors whose arguments GluonTS can write and read, with whole numbers taken as they are."""

# The annotations of a constructor are read at run time, as objects.
# ruff: noqa: I002

import functools
import inspect
from collections.abc import Callable
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin

from gluonts.core.component import validated as validated_by_gluonts

from tsbnn.networks.checks import check_integers

Constructor = TypeVar("Constructor", bound=Callable[..., None])


def validated() -> Callable[[Constructor], Constructor]:
    """GluonTS's ``validated``, which makes 2 of 2.5, of ``"2"`` and of True, without doing so.

    It reads the annotations of a constructor. Where they are ``int`` or ``list[int]``, perhaps or
    None, an argument that is no whole number (Python's or NumPy's) is a ``ValueError`` here.
    """

    def decorate(init: Constructor) -> Constructor:
        inner = validated_by_gluonts()(init)
        signature = inspect.signature(init)
        whole = [name for name, one in signature.parameters.items() if _is_whole(one.annotation)]

        @functools.wraps(inner)
        def checked(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                given = signature.bind_partial(self, *args, **kwargs).arguments
            except TypeError:
                given = {}  # GluonTS says what is wrong with the names.
            for name in whole:
                if given.get(name) is not None:
                    check_integers(given[name], name)
            inner(self, *args, **kwargs)

        return cast(Constructor, checked)

    return decorate


def _is_whole(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return bool(kinds) and all(map(_is_whole, kinds))
    return annotation in (int, list[int])
