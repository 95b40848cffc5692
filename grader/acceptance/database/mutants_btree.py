"""Wrong trees: the traps of the lessons, and what has gone wrong in drafts of this one."""

from __future__ import annotations

from grader.acceptance.database.mutants_btree_races import CHEATS, SLOW
from grader.authoring.mutants import Change, Proof, Variant

__all__ = ["MUTANTS", "PROOF"]

TREE, NODE, RUN = "btree.py", "node.py", "acceptance.py"

_FOUND = "        leaf, _ = self._descend(key)\n"
_MOVED = (
    "            if version != self._version:  # the leaf may be another by now: find it again\n"
)
_FORWARD = (
    "                lo = leaf.keys[i] + 1\n"
    "                yield leaf.keys[i], leaf.value(i)\n"
    "                if version != self._version:\n"
    "                    break\n"
)
_SEEK = "                leaf, version = self._descend(lo)[0], self._version\n"

MUTANTS = (
    # -- 1: lookups
    Variant(
        "left_at_separators",  # a key that equals a separator is looked for on the left
        "1",
        (
            Change(
                NODE, "return bisect_right(self.keys, key)", "return bisect_left(self.keys, key)"
            ),
            Change(NODE, "import bisect_right", "import bisect_left"),
        ),
    ),
    Variant(
        "looks_next_door",  # one page more than the tree has levels
        "1",
        (
            Change(
                TREE,
                _FOUND,
                _FOUND + "        if leaf.next_leaf:\n            self._leaf(leaf.next_leaf)\n",
            ),
        ),
    ),
    Variant(
        "true_is_one",
        "1",
        (Change(NODE, "if type(key) is not int or", "if not isinstance(key, int) or"),),
    ),
    Variant(
        "nearest_key",  # the place of an absent key is taken for the key
        "1",
        (
            Change(
                TREE,
                "return leaf.value(i) if i < len(leaf.keys) and leaf.keys[i] == key else None",
                "return leaf.value(i) if i < len(leaf.keys) else None",
            ),
        ),
    ),
    Variant(
        "root_forgotten",  # root and height live in memory only
        "1",
        (Change(TREE, "        self.pool.file.set_root(ROOT, root | height << 32)\n", ""),),
    ),
    # -- 2: ranges
    Variant(
        "half_open",  # the upper bound is left out
        "2",
        (
            Change(
                TREE,
                "            end = bisect_right(leaf.keys, hi)\n",
                "            end = bisect_left(leaf.keys, hi)\n",
            ),
        ),
    ),
    Variant(
        "first_leaf_missed",  # a range that begins inside a leaf begins in the next one
        "2",
        (
            Change(
                TREE,
                _SEEK,
                _SEEK + "                if leaf.keys[0] < lo and leaf.next_leaf:\n"
                "                    leaf = self._leaf(leaf.next_leaf)\n",
            ),
        ),
    ),
    Variant(
        "ends_in_the_gap",  # a range that begins behind its leaf's last key gives nothing
        "2",
        (
            Change(
                TREE,
                _SEEK,
                _SEEK + "                if leaf.keys[-1] < lo:\n                    return\n",
            ),
        ),
    ),
    Variant(
        "from_the_first_leaf",  # walks the whole chain for every range
        "2",
        (Change(TREE, _SEEK, _SEEK.replace("_descend(lo)", "_descend(0)")),),
    ),
    Variant(
        "stale_leaf",  # does not notice that the tree has changed meanwhile
        "2",
        (
            Change(TREE, _MOVED, "            if leaf is None:\n"),
            Change(TREE, _FORWARD, "".join(_FORWARD.splitlines(True)[:2])),
        ),
    ),
    # -- 3: splits
    Variant(
        "prev_link_stays",  # the old right neighbour points to the left half
        "3",
        (Change(TREE, "            neighbour.prev_leaf = right.page_id\n", ""),),
    ),
    Variant(
        "middle_key_stays",  # an internal split leaves the separator in the left half as well
        "3",
        (
            Change(
                NODE,
                "        del self.keys[middle:], self.children[middle + 1 :]\n",
                "        del self.keys[middle + 1 :], self.children[middle + 2 :]\n",
            ),
        ),
    ),
    Variant(
        "level_of_the_old_root",  # a new root stores the level of the one before
        "3",
        (
            Change(
                TREE,
                "InternalNode(self._new_page(), self.height)",
                "InternalNode(self._new_page(), max(1, self.height - 1))",
            ),
        ),
    ),
    Variant(
        "one_too_many",  # nodes split one key later than they are told
        "3",
        (
            Change(
                TREE,
                "        self.internal_cap = internal_cap or internal_capacity(size)\n",
                "        self.internal_cap = internal_cap + 1 if internal_cap else "
                "internal_capacity(size)\n",
            ),
        ),
    ),
    # -- 4: bulk loading
    Variant(
        "half_full_leaves",
        "4",
        (
            Change(
                TREE,
                "        for start in range(0, len(entries.keys), self.leaf_cap):\n"
                "            part = slice(start, start + self.leaf_cap)\n",
                "        for start in range(0, len(entries.keys), self.leaf_cap // 2):\n"
                "            part = slice(start, start + self.leaf_cap // 2)\n",
            ),
        ),
    ),
    Variant(
        "sorts_its_input",
        "4",
        (
            Change(
                TREE,
                "        for key, rid in pairs:\n",
                "        for key, rid in dict(sorted(pairs)).items():\n",
            ),
        ),
    ),
    Variant(
        "equal_keys_ascend",
        "4",
        (Change(TREE, "if as_key(key) <= last:", "if as_key(key) < last:"),),
    ),
    Variant(
        "loads_over_a_tree",  # what was in the tree is lost, pages and all
        "4",
        (
            Change(
                TREE,
                '        if self.root:\n            raise ValueError(f"bulk_load',
                '        if self.count > 10:\n            raise ValueError(f"bulk_load',
            ),
        ),
    ),
    Variant(
        "fill_of_the_page",  # leaf_cap is not what fill_factor compares with
        "4",
        (Change(TREE, "len(level) * self.leaf_cap)", "len(level) * 406)"),),
    ),
    # -- 5: deleting
    Variant(
        "wrong_separator_goes",  # with a child goes the last separator
        "5",
        (
            Change(
                TREE,
                "del node.keys[max(i - 1, 0)]",
                "del node.keys[-1]",
            ),
        ),
    ),
    Variant(
        "empty_leaves_stay",
        "5",
        (
            Change(
                TREE,
                "        if leaf.keys:\n            self._save(leaf)\n",
                "        if True:\n            self._save(leaf)\n",
            ),
        ),
    ),
    Variant(
        "chain_torn_backwards",  # the leaf after an empty one keeps its link
        "5",
        (Change(TREE, "            after.prev_leaf = leaf.prev_leaf\n", ""),),
    ),
    Variant(
        "tower",  # the height never shrinks
        "5",
        (Change(TREE, "            if len(root.children) > 1:\n", "            if True:\n"),),
    ),
    Variant(
        "pages_leak",  # an empty leaf is not given back
        "5",
        (Change(TREE, "        self.pool.free_page(leaf.page_id)\n", ""),),
    ),
    Variant(
        "says_true",  # delete says that it did, not what it removed
        "5",
        (Change(TREE, "        return rid\n", "        return True\n"),),
    ),
    # -- 6: frames and pins
    Variant(
        "pin_left_by_an_error",
        "6",
        (
            Change(
                TREE,
                "            raise DuplicateKey(",
                "            self.pool.fetch(leaf.page_id)\n            raise DuplicateKey(",
            ),
        ),
    ),
    Variant(
        "pin_left_by_absent_keys",
        "6",
        (
            Change(
                TREE,
                _FOUND + "        i = bisect_left(leaf.keys, key)\n",
                _FOUND + "        i = bisect_left(leaf.keys, key)\n"
                "        if key not in leaf.keys:\n"
                "            self.pool.fetch(leaf.page_id)\n",
            ),
        ),
    ),
    Variant(
        "pin_held_by_a_range",  # the page of the row that was given last stays pinned
        "6",
        (
            Change(
                TREE,
                _FORWARD,
                _FORWARD.replace(
                    "                yield leaf.keys[i], leaf.value(i)\n",
                    "                with self.pool.fetch(leaf.page_id):\n"
                    "                    yield leaf.keys[i], leaf.value(i)\n",
                ),
            ),
        ),
    ),
    # -- 7: the acceptance run
    Variant(
        "another_order_every_time",
        "7",
        (Change(RUN, "random.Random(SEED)", "random.Random()"),),
    ),
    Variant(
        "keeps_the_old_file",
        "7",
        (Change(RUN, "        os.unlink(path)\n", "        pass\n"),),
    ),
    Variant(
        "never_rounds",
        "7",
        (Change(RUN, "round(now.fill_factor, 4)", "now.fill_factor"),),
    ),
)

PROOF = Proof(
    MUTANTS,
    races=(SLOW, *CHEATS),
    quick={
        "grader.acceptance.database._btree_structure:EXAMPLES": 12,
        "grader.acceptance.database._btree_structure:SHRINK_S": 1,
        "grader.acceptance.database._btree_structure:BULK_KEYS": 12_000,
        "grader.acceptance.database._btree_structure:FEWEST": 30,
        "grader.acceptance.database._btree_structure:MOST": 60,
        "grader.acceptance.database._btree_structure:IDS": 2_000,
        "grader.acceptance.database._btree_structure:REFILLED": 800,
        "grader.acceptance.database._btree_structure:CYCLES": 2,
        "grader.acceptance.database._btree_range:IDS": 5_800,  # 5,100 is not in the last leaf
        "grader.acceptance.database._btree_bonus:MANY": 6_000,
        "grader.acceptance.database._btree_lookup:KEYS": 2_000,
        "grader.acceptance.database._btree_frames:KEYS": 6_500,
        "grader.acceptance.database._btree_race:ROUNDS": 8,
    },
    race_points=4,
)
