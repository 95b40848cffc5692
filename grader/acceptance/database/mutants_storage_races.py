"""Page managers that look fast because they do the work later, or did it before.

Each answers every question of a race as the model answer does; none may keep the points.
"""

from __future__ import annotations

from grader.authoring.mutants import Change, Variant

__all__ = ["CHEATS"]

_INSERT = (
    "        ### BEGIN SOLUTION #4: PageManager.insert() - a page with room, else a new page\n"
)
_GET = "copy the slot's bytes out\n"
_CLOSE = "the pool first, then the file\n"

# Where a record will go is known without putting it there: 47 to a page, page after page.
_PREDICT = (
    '        queue = self.__dict__.setdefault("_queue", [])\n'
    '        if not self.__dict__.get("_late") and len(record) == 82:\n'
    "            queue.append(bytes(record))\n"
    '            n = self.__dict__["_n"] = self.__dict__.get("_n", 0) + 1\n'
)
_DO_IT_NOW = (
    '        self.__dict__["_late"] = True\n'
    '        for late in self.__dict__.pop("_queue", ()):\n'
    "            self.insert(late)\n"
    '        self.__dict__["_late"] = False\n'
)
_LATER = (
    Change("page_manager.py", _GET, _GET + _DO_IT_NOW),
    Change("page_manager.py", _CLOSE, _CLOSE + _DO_IT_NOW),
)

# The record waits in a list until somebody reads or closes.
DEFERRED = Variant(
    "deferred_inserts",
    "8",
    (
        Change(
            "page_manager.py",
            _INSERT,
            _INSERT
            + _PREDICT
            + "            return _record_id((1 + (n - 1) // 47, (n - 1) % 47))\n",
        ),
        *_LATER,
    ),
)

# The same, and not even the id is worked out before somebody looks at it.
LAZY = Variant(
    "lazy_ids",
    "8",
    (
        Change(
            "page_manager.py",
            _INSERT,
            _INSERT
            + _PREDICT
            + "            class Later:\n"
            + "                def __init__(self, home, n): self.home, self.n = home, n\n"
            + "                def __iter__(self): return iter((self.page_id, self.slot))\n"
            + "                page_id = property(lambda me: (me.home._now(), 1 + me.n // 47)[1])\n"
            + "                slot = property(lambda me: me.n % 47)\n"
            + "            return Later(self, n - 1)\n",
        ),
        Change(
            "page_manager.py",
            "    def delete(self, rid: RecordId) -> bool:\n",
            "    def _now(self) -> None:\n"
            + _DO_IT_NOW
            + "\n    def delete(self, rid: RecordId) -> bool:\n",
        ),
        *_LATER,
    ),
)

# A thread writes the queue while the judge is thought to be busy with somebody else.
THREADED = Variant(
    "inserts_in_a_thread",
    "8",
    (
        Change(
            "page_manager.py",
            _INSERT,
            _INSERT
            + _PREDICT
            + "            if n % 100 == 1:\n"
            + "                import threading\n"
            + "                threading.Timer(0.05, self._now).start()\n"
            + "            return _record_id((1 + (n - 1) // 47, (n - 1) % 47))\n",
        ),
        Change(
            "page_manager.py",
            "    def delete(self, rid: RecordId) -> bool:\n",
            "    def _now(self) -> None:\n"
            + _DO_IT_NOW
            + "        self.pool.flush_all()\n"
            + "\n    def delete(self, rid: RecordId) -> bool:\n",
        ),
        *_LATER,
    ),
)

# A dict beside the pool that also counts what it did not fetch.
COUNTED = Variant(
    "memo_that_counts",
    "8",
    (
        Change(
            "page_manager.py",
            _GET,
            _GET
            + '        memo = self.__dict__.setdefault("_memo", {})\n'
            + "        if rid in memo:\n"
            + "            self.pool.stats.hits += 1\n"
            + "            return memo[rid]\n",
        ),
        Change(
            "page_manager.py",
            "        return bytes(record)\n        ### END",
            "        memo[rid] = bytes(record)\n        return memo[rid]\n        ### END",
        ),
    ),
)

CHEATS = (DEFERRED, LAZY, THREADED, COUNTED)
