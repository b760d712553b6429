"""Crash points for the ports that a service has beyond those of the chassis."""

import inspect
from collections.abc import Callable
from typing import Any

from penstock_chassis.testing.simbus.incarnation import Incarnation


class Crashable:
    """A stand-in for a port object: each public async method is a port call of the incarnation.

    Async generators are port calls step by step. Everything else passes through. What a method
    returns is not wrapped: let ports speak in ids, or wrap the result as well.
    """

    def __init__(self, port: object, incarnation: Incarnation) -> None:
        self._port = port
        self._incarnation = incarnation
        self._name = type(port).__name__

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if name.startswith("_") or not callable(attribute):
            return attribute
        if inspect.iscoroutinefunction(attribute):
            return self._call(f"{self._name}.{name}", attribute)
        if inspect.isasyncgenfunction(attribute):
            return self._iteration(f"{self._name}.{name}", attribute)
        return attribute

    def _call(self, what: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._incarnation.call_async(what, lambda: method(*args, **kwargs))

        return call

    def _iteration(self, what: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def iterate(*args: Any, **kwargs: Any) -> Any:
            return self._incarnation.iterate(what, method(*args, **kwargs))

        return iterate
