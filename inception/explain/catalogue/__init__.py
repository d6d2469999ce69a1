"""The explanations that programs can ask for, one module each: a declared function and, where it is new, its result.

A module here is all that a new explanation needs: the option of `explain`, the API's endpoint, the MCP tool and the
JSON follow from it. It imports torch and the arithmetic inside the function, as `--help` reads the declarations.
"""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from ..registry import Explanation


def _declared() -> list[Explanation]:
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Explanation)]
    return sorted(found, key=lambda one: (one.position, one.name))


EXPLANATIONS: Mapping[str, Explanation] = MappingProxyType({one.name: one for one in _declared()})
