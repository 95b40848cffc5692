"""hypothesis as the judge uses it: from a seed alone, with nothing kept, printed or looked up."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["at_home", "configured", "sequences"]

_BACKEND = "meridian"
_AVERAGE_STEPS = 10.0


def configured(
    check: Callable[[Any], None], drawn: SearchStrategy[Any], seed: int, examples: int
) -> Callable[[], None]:
    """`check` as a hypothesis test over `drawn`, whose examples depend on `seed` alone."""
    import hypothesis

    _register()
    settings = hypothesis.settings(
        backend=_BACKEND,
        database=None,
        deadline=None,
        derandomize=False,
        max_examples=examples,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
    )

    def example(value: Any) -> None:
        check(value)

    test: Callable[[], None] = hypothesis.seed(seed)(settings(hypothesis.given(drawn)(example)))
    return test


@functools.cache
def _register() -> None:
    """A source of values that never looks at the modules which happen to be loaded.

    hypothesis mixes in constants from the source of the program around it: other modules, other
    examples. This one knows the constants that are its own.
    """
    from hypothesis.internal.conjecture import providers
    from hypothesis.internal.conjecture.choice import choice_permitted

    class Drawn(providers.HypothesisProvider):
        def _maybe_draw_constant(
            self, choice_type: Any, constraints: Any, *, p: float = 0.05
        ) -> Any:
            assert self._random is not None
            if self._random.random() > p:
                return None
            known = providers.GLOBAL_CONSTANTS.set_for_type(choice_type)
            fitting = [value for value in known if choice_permitted(value, constraints)]
            return self._random.choice(fitting) if fitting else None

    providers.AVAILABLE_PROVIDERS[_BACKEND] = Drawn


def sequences(step: SearchStrategy[Any], most: int) -> SearchStrategy[list[Any]]:
    """Lists of steps: longer than hypothesis makes lists, short enough to be shrunk quickly."""
    from hypothesis import strategies

    chosen: Any = strategies.lists(step, max_size=most)
    chosen.wrapped_strategy.average_size = min(_AVERAGE_STEPS, most / 2)
    found: SearchStrategy[list[Any]] = chosen
    return found


@contextmanager
def at_home() -> Iterator[None]:
    """What hypothesis keeps (tables of Unicode) goes to the user's cache, not to where one is."""
    from hypothesis import configuration

    attribute = "__hypothesis_home_directory"
    before = getattr(configuration, attribute, None)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    if before is None and "HYPOTHESIS_STORAGE_DIRECTORY" not in os.environ:
        configuration.set_hypothesis_home_dir(Path(cache) / "meridian" / "hypothesis")
    try:
        yield
    finally:
        configuration.set_hypothesis_home_dir(before)
