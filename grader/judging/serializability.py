"""Whether concurrent transactions look as if they had run one after the other.

Adya, "Weak Consistency: A Generalized Theory and Optimistic Implementations for Distributed
Transactions", PhD thesis, MIT, 1999: a history is serializable when its graph of conflicts (one
writes after the other, one reads what the other wrote, one overwrites what the other read) has no
cycle. That every written value is unique tells what was read from where, as in Kingsbury and
Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations", VLDB 2020. Where the
order of two writes is told by nothing, both are tried (Papadimitriou, "The Serializability of
Concurrent Database Updates", JACM 26(4), 1979).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from grader.judging.compare import CriterionFailed, same
from grader.judging.differences import show
from grader.judging.transactions import Read, Transaction, Write

__all__ = ["serializable"]

_MOST_STATES = 20_000


class _Edge(NamedTuple):
    before: str
    after: str
    why: str


def serializable(
    transactions: Iterable[Transaction],
    *,
    initial: Mapping[Hashable, Any] | None = None,
    versions: Mapping[Hashable, Sequence[Any]] | None = None,
    in_real_time: bool = False,
    most_states: int = _MOST_STATES,
    how: str = "",
) -> None:
    """Nothing when the committed transactions fit some serial order.

    Keys begin with their value in `initial`, or ``None``. `versions` gives, for keys of which it is
    known, the values in the order in which they were written. `in_real_time` asks for a serial
    order that keeps two transactions in order when one ended before the other began. Raises
    `CriterionFailed` with the shortest cycle, or the read that no order explains, `ValueError` for
    a value written twice, and `SuiteError` when more than `most_states` orders have to be tried.
    """
    graph = _Graph(list(transactions), dict(initial or {}), how)
    graph.read()
    graph.order(versions or {})
    if in_real_time:
        graph.keep_time()
    cycle = graph.cycle(most_states)
    if cycle:
        chain = "; ".join(f"{edge.before} is before {edge.after}: {edge.why}" for edge in cycle)
        names = " -> ".join([*(edge.before for edge in cycle), cycle[0].before])
        also = "; other orders of the writes fail as well" if graph.guessed else ""
        raise CriterionFailed(f"No serial order explains {names}: {chain}{also}", how)


class _Graph:
    """The conflicts of transactions: which must stand before which, and why."""

    def __init__(
        self, transactions: list[Transaction], initial: dict[Hashable, Any], how: str
    ) -> None:
        self._all = transactions
        self._initial = initial
        self._how = how
        self._edges: list[_Edge] = []
        self.guessed = False
        """Whether writes had to be tried in both orders."""
        self._writes: dict[Hashable, list[tuple[Any, Transaction]]] = {}
        self._last: dict[tuple[str, Hashable], Any] = {}
        for transaction in transactions:
            for step in transaction.operations:
                if isinstance(step, Write):
                    is_initial = same(step.value, self._initial.get(step.key))
                    if is_initial or self._writer(step.key, step.value) is not None:
                        raise ValueError(
                            f"Expected unique values, got {step.value!r} twice for {step.key!r}"
                        )
                    self._writes.setdefault(step.key, []).append((step.value, transaction))
                    self._last[transaction.name, step.key] = step.value
        if len({transaction.name for transaction in transactions}) != len(transactions):
            raise ValueError("Expected transactions of different names")
        self._live = self._committed()
        self._readers: dict[tuple[Hashable, str], list[Transaction]] = {}
        """Who read a key from a transaction, or, under the name "", as it was in the beginning."""

    def _committed(self) -> list[Transaction]:
        """Those known to be, and those unknown that somebody committed has read from."""
        live = [transaction for transaction in self._all if transaction.committed]
        for transaction in live:  # grows meanwhile
            for step in transaction.operations:
                writer = self._writer(step.key, step.value)
                if writer is not None and writer.committed is None and writer not in live:
                    live.append(writer)
        return live

    def _writer(self, key: Hashable, value: Any) -> Transaction | None:
        """Whoever wrote just that: an answer may be anything, also what cannot be hashed."""
        for written, transaction in self._writes.get(key, ()):
            if same(value, written):
                return transaction
        return None

    def read(self) -> None:
        """Find for each read who wrote it. Raises `CriterionFailed` for one nobody may see."""
        for transaction in self._live:
            own: dict[Hashable, Any] = {}
            for step in transaction.operations:
                if isinstance(step, Write):
                    own[step.key] = step.value
                elif step.key in own:
                    if not same(step.value, own[step.key]):
                        self._fail(
                            transaction, step, f"it had written {show(own[step.key])} itself"
                        )
                else:
                    self._read_from(transaction, step)

    def _read_from(self, transaction: Transaction, step: Read) -> None:
        writer = self._writer(step.key, step.value)
        if writer is None:
            if not same(step.value, self._initial.get(step.key)):
                self._fail(transaction, step, "nobody wrote that")
            self._readers.setdefault((step.key, ""), []).append(transaction)
            return
        if writer is transaction:
            self._fail(transaction, step, "it wrote that only later")
        if writer not in self._live:
            self._fail(transaction, step, f"{writer.name}, which wrote it, did not commit")
        last = self._last[writer.name, step.key]
        if not same(step.value, last):
            self._fail(transaction, step, f"{writer.name} overwrote it with {show(last)} itself")
        self._readers.setdefault((step.key, writer.name), []).append(transaction)
        why = f"{transaction.name} read {_said(step.key, step.value)}, which {writer.name} wrote"
        self._add(writer, transaction, why)

    def _fail(self, transaction: Transaction, step: Read, why: str) -> None:
        said = f"{transaction.name} read {_said(step.key, step.value)}, but {why}"
        raise CriterionFailed(said, self._how)

    def order(self, versions: Mapping[Hashable, Sequence[Any]]) -> None:
        """Edges that hold whatever is unknown: the beginning comes first, and given orders."""
        for key, writers in self._keys().items():
            for writer in writers:
                for reader in self._readers.get((key, ""), ()):
                    self._overwritten(reader, writer, key, self._initial.get(key))
            names = {writer.name: writer for writer in writers}
            known = [self._writer(key, value) for value in versions.get(key, ())]
            ordered = dict.fromkeys(writer.name for writer in known if writer in writers)
            for before, after in pairwise(ordered):
                self._edges += self._written(names[before], names[after], key)

    def keep_time(self) -> None:
        for one in self._live:
            for other in self._live:
                if one.end is not None and other.start is not None and one.end < other.start:
                    self._add(one, other, f"{one.name} ended before {other.name} began")

    def _keys(self) -> dict[Hashable, list[Transaction]]:
        keys: dict[Hashable, list[Transaction]] = {}
        for transaction in self._live:
            for step in transaction.operations:
                if isinstance(step, Write) and transaction not in keys.setdefault(step.key, []):
                    keys[step.key].append(transaction)
        return keys

    def _written(self, one: Transaction, other: Transaction, key: Hashable) -> list[_Edge]:
        """The edges of `one` writing `key` before `other` does."""
        mine, theirs = self._last[one.name, key], self._last[other.name, key]
        why = f"{other.name} overwrote {_said(key, mine)} with {show(theirs)}"
        found = [_Edge(one.name, other.name, why)]
        for reader in self._readers.get((key, one.name), ()):
            if reader.name != other.name:
                why = f"{reader.name} read {_said(key, mine)}, which {other.name} overwrote"
                found.append(_Edge(reader.name, other.name, why))
        return found

    def _overwritten(
        self, reader: Transaction, writer: Transaction, key: Hashable, was: Any
    ) -> None:
        why = f"{reader.name} read {_said(key, was)}, which {writer.name} overwrote"
        self._add(reader, writer, why)

    def _add(self, one: Transaction, other: Transaction, why: str) -> None:
        if one.name != other.name:
            self._edges.append(_Edge(one.name, other.name, why))

    def cycle(self, most_states: int) -> list[_Edge]:
        """The shortest cycle that is there whatever is unknown; empty when some order has none."""
        pairs = [
            (one, other, key)
            for key, writers in self._keys().items()
            for place, one in enumerate(writers)
            for other in writers[:place]
        ]
        first: list[_Edge] = []
        stack = [(self._edges, pairs)]
        for _ in range(most_states):
            if not stack:
                return first
            edges, unknown = stack.pop()
            found = _shortest_cycle(edges)
            if found:
                first = min(filter(None, (first, found)), key=len)
                continue
            unknown, edges = self._settled(edges, unknown)
            if not unknown:
                found = _shortest_cycle(edges)
                if not found:
                    return []
                first = min(filter(None, (first, found)), key=len)
                continue
            one, other, key = unknown[0]
            self.guessed = True
            for before, after in ((one, other), (other, one)):
                stack.append(([*edges, *self._written(before, after, key)], unknown[1:]))
        from grader.judging.judge import SuiteError  # it needs the proxy, which needs us

        raise SuiteError(
            Path("serializable"),
            f"{len(self._live)} transactions take more than {most_states:,} orders of writes to "
            "check: make fewer, let them read what they overwrite, or give versions=",
        )

    def _settled(self, edges: list[_Edge], unknown: list[Any]) -> tuple[list[Any], list[_Edge]]:
        """Pairs that other edges put in order, put in order; and those that are left."""
        while True:
            after = _reachable(edges)
            left, more = [], []
            for one, other, key in unknown:
                if other.name in after.get(one.name, ()):
                    more += self._written(one, other, key)
                elif one.name in after.get(other.name, ()):
                    more += self._written(other, one, key)
                else:
                    left.append((one, other, key))
            if not more:
                return left, edges
            edges, unknown = [*edges, *more], left


def _reachable(edges: Iterable[_Edge]) -> dict[str, set[str]]:
    nexts: dict[str, set[str]] = {}
    for edge in edges:
        nexts.setdefault(edge.before, set()).add(edge.after)
    found: dict[str, set[str]] = {}
    for start in nexts:
        reached: set[str] = set()
        todo = [start]
        while todo:
            for name in nexts.get(todo.pop(), ()):
                if name not in reached:
                    reached.add(name)
                    todo.append(name)
        found[start] = reached
    return found


def _shortest_cycle(edges: Sequence[_Edge]) -> list[_Edge]:
    """By breadth-first search from every transaction."""
    nexts: dict[str, dict[str, _Edge]] = {}
    for edge in edges:
        nexts.setdefault(edge.before, {}).setdefault(edge.after, edge)
    best: list[_Edge] = []
    for start in nexts:
        came: dict[str, _Edge] = {}
        todo = deque([start])
        while todo and start not in came:
            for name, edge in nexts.get(todo.popleft(), {}).items():
                if name not in came:
                    came[name] = edge
                    todo.append(name)
        if start in came:
            path = [came[start]]
            while path[0].before != start:
                path.insert(0, came[path[0].before])
            if not best or len(path) < len(best):
                best = path
    return best


def _said(key: Hashable, value: Any) -> str:
    return f"{key} = {show(value)}"
