"""Trees that are slow, or look fast because they do the work later, or did it before.

The cheats answer every question of a race as the model answer does; none may keep the points.
"""

from __future__ import annotations

from grader.authoring.mutants import Change, Variant

__all__ = ["CHEATS", "SLOW"]

TREE = "btree.py"

_FOUND = "        leaf, _ = self._descend(key)\n"

SLOW = Variant(
    "searches_line_by_line",  # a leaf is searched from its first key on
    "8",
    (
        Change(
            TREE,
            _FOUND + "        i = bisect_left(leaf.keys, key)\n",
            _FOUND + "        i = next((n for n, k in enumerate(leaf.keys) if k >= key), "
            "len(leaf.keys))\n",
        ),
    ),
)

CHEATS = (
    Variant(
        "memo_beside_the_pool",  # what was found once is answered from a dict
        "8",
        (
            Change(
                TREE,
                _FOUND,
                '        memo = self.__dict__.setdefault("_memo", {})\n'
                "        if key in memo:\n            return memo[key]\n" + _FOUND,
            ),
            Change(
                TREE,
                "        return leaf.value(i) if i < len(leaf.keys) and leaf.keys[i] == key "
                "else None\n",
                "        if i == len(leaf.keys) or leaf.keys[i] != key:\n            return None\n"
                "        memo[key] = leaf.value(i)\n        return memo[key]\n",
            ),
        ),
    ),
    Variant(
        "deferred_inserts",  # keys wait in a list until somebody looks
        "8",
        (
            Change(
                TREE,
                "        as_key(key)\n        if not self.root:\n            first =",
                '        if not self.__dict__.get("_late"):\n'
                '            self.__dict__.setdefault("_queue", []).append((key, rid))\n'
                "            return\n"
                "        as_key(key)\n        if not self.root:\n            first =",
            ),
            Change(
                TREE,
                "        as_key(key)\n        if not self.root:\n            return None\n"
                + _FOUND,
                '        self.__dict__["_late"] = True\n'
                '        for late in self.__dict__.pop("_queue", ()):\n'
                "            self.insert(*late)\n"
                '        self.__dict__["_late"] = False\n'
                "        as_key(key)\n        if not self.root:\n            return None\n"
                + _FOUND,
            ),
        ),
    ),
)
