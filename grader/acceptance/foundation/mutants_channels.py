"""Wrong aggregators: what has gone wrong in real ones, in the text's own, or in drafts of this."""

from __future__ import annotations

from grader.authoring.mutants import Change, Proof, Variant

__all__ = ["BROADER", "MUTANTS", "PROOF", "SLOW"]

AGGREGATOR, DEMO = "aggregator.py", "demo.py"
IMPORT = "from collections import deque\n"
INLET = "return self._emergency_in if frame.priority is FramePriority.EMERGENCY else source.inlet"
ROUTINE = "if frame.priority is FramePriority.ROUTINE:"
TAKE = "def _take(self) -> Frame | None:"
URGENT = "if len(self._emergency):"
PROCESS = "await self._process(frame)"
COMPLETED = "                self._completed(frame)\n"
SHOW = "self._out.send(frame)"
STATS = "self._watch, self.stats = watch(PipelineStats())"
REFUSE = "raise ShuttingDown(frame)"
TURN = "            if taken % turn == 0:\n                await checkpoint()"

MUTANTS = (
    # -- 1: emergencies first
    Variant(
        "fair_to_routine",  # one of each lane in turn
        "1",
        (
            Change(
                AGGREGATOR,
                URGENT,
                'self._fair = not getattr(self, "_fair", False)\n'
                "        waits = self._routine or self._ready\n"
                "        if len(self._emergency) and (self._fair or not waits):",
            ),
        ),
    ),
    # -- 2: sources
    Variant(
        "duplicates_accepted",
        "2",
        (Change(AGGREGATOR, "if source_id in self._sources:", "if source_id is None:"),),
    ),
    Variant(
        "id_taken_for_ever",
        "2",
        (Change(AGGREGATOR, "del self._sources[source.source_id]", "pass"),),
    ),
    Variant(
        "forgets_whoever_has_the_id",  # an old handle, closed late, takes the new source away
        "2",
        (
            Change(AGGREGATOR, "        if source.closed:\n            return\n", ""),
            Change(
                AGGREGATOR,
                "if self._sources.get(source.source_id) is source:",
                "if source.source_id in self._sources:",
            ),
        ),
    ),
    Variant(
        "dies_with_its_frame",  # as a forwarding task that is cancelled on removal
        "2",
        (
            Change(
                AGGREGATOR,
                "self._close(source)\n        if not drain:",
                "self._close(source)\n"
                "        if len(source.feed) > 1:\n"
                "            source.feed.try_recv()\n"
                "        if not drain:",
            ),
        ),
    ),
    Variant(
        "discarded_are_forgotten",  # how many is not told
        "2",
        (Change(AGGREGATOR, "source.discarded += 1", "source.discarded = 0"),),
    ),
    # -- 3: pressure
    Variant(
        "feeds_without_bound",
        "3",
        (
            Change(
                AGGREGATOR,
                "self.inlet, self.feed = channel(capacity)",
                "self.inlet, self.feed = channel(100_000)",
            ),
        ),
    ),
    # -- 4: subscribers
    Variant(
        "shows_summaries",
        "4",
        (
            Change(AGGREGATOR, IMPORT, IMPORT + "from dataclasses import replace\n"),
            Change(AGGREGATOR, SHOW, "self._out.send(replace(frame, payload=frame.payload[:4]))"),
        ),
    ),
    # -- 5: statistics
    Variant(
        "counted_after_shown",
        "5",
        (
            Change(AGGREGATOR, "        " + SHOW + "\n", ""),
            Change(
                AGGREGATOR,
                COMPLETED,
                "                self._out.send(frame)\n"
                "                await checkpoint()\n" + COMPLETED,
            ),
        ),
    ),
    Variant(
        "stats_through_a_lock",
        "5",
        (
            Change(AGGREGATOR, IMPORT, "import threading\n" + IMPORT),
            Change(
                AGGREGATOR,
                STATS,
                STATS + "\n"
                "        lock = self._lock = threading.RLock()\n"
                "        borrow = self.stats.borrow\n\n"
                "        def locked() -> PipelineStats:\n"
                "            with lock:\n"
                "                return borrow()\n\n"
                "        self.stats.borrow = locked",
            ),
            Change(AGGREGATOR, PROCESS, "with self._lock:\n                        " + PROCESS),
        ),
    ),
    Variant(
        "emergencies_counted_as_accepted",  # before they are processed
        "5",
        (
            Change(
                AGGREGATOR,
                "PipelineStats(self._routed, self._processed, self._urgent)",
                "PipelineStats(self._processed, self._processed, self._routed)",
            ),
        ),
    ),
    # -- 6: the end
    Variant(
        "break_on_shutdown",  # and both lanes are dropped
        "6",
        (
            Change(
                AGGREGATOR,
                "            frame = self._take()\n",
                "            if self._stopped:\n"
                "                return\n"
                "            frame = self._take()\n",
            ),
        ),
    ),
    Variant(
        "drain_under_a_flood",  # intake goes on while anything waits
        "6",
        (
            Change(
                AGGREGATOR,
                "        if self._token.is_cancelled:\n            self._rejected",
                "        if self._token.is_cancelled and not (self._routine or self._emergency):\n"
                "            self._rejected",
            ),
        ),
    ),
    Variant(
        "no_deadline",
        "6",
        (
            Change(
                AGGREGATOR,
                "scope.deadline = anyio.current_time() + self._config.shutdown_deadline_s",
                "scope.deadline += 0",
            ),
        ),
    ),
    Variant(
        "frame_in_hand_not_counted",
        "6",
        (
            Change(
                AGGREGATOR,
                "discarded=self._routed - self._processed",
                "discarded=self._routed - self._processed - (not clean)",
            ),
        ),
    ),
    Variant(
        "refused_without_the_frame",
        "6",
        (Change(AGGREGATOR, REFUSE, "raise ShuttingDown"),),
    ),
    Variant(
        "refusals_not_counted",
        "6",
        (Change(AGGREGATOR, "self._rejected += 1", "self._rejected += 0"),),
    ),
    # -- 7: lag
    Variant(
        "keeps_everything",
        "7",
        (Change(AGGREGATOR, "broadcast(config.broadcast_capacity)", "broadcast(100_000)"),),
    ),
    # -- 8: the demo
    Variant(
        "no_replay",
        "8",
        (Change(DEMO, "sources.start_soon(archived_replay, source)", "source.close()"),),
    ),
)

BROADER = {
    ("1", "3", "8"): Variant(
        "one_fifo",
        "1",
        (
            Change(AGGREGATOR, INLET, "return source.inlet"),
            Change(AGGREGATOR, ROUTINE, "if frame:"),
        ),
    ),
    ("1", "3"): Variant(
        "queue_behind_the_choice",  # priority is decided, and then a bounded queue
        "1",
        (
            Change(
                AGGREGATOR,
                TAKE,
                "def _take(self) -> Frame | None:\n"
                '        chosen = self.__dict__.setdefault("_chosen", deque())\n'
                "        while len(chosen) < 4 and (frame := self._choose()) is not None:\n"
                "            chosen.append(frame)\n"
                "        return chosen.popleft() if chosen else None\n\n"
                "    def _choose(self) -> Frame | None:",
            ),
        ),
    ),
    ("4", "6"): Variant(
        "open_sender_forgotten",
        "6",
        (Change(AGGREGATOR, "            self._out.close()\n", ""),),
    ),
    ("5", "6"): Variant(
        "shown_when_accepted",
        "6",
        (
            Change(AGGREGATOR, "        " + SHOW + "\n", ""),
            Change(
                AGGREGATOR,
                "        self._routed += 1\n",
                "        self._routed += 1\n        self._out.send(frame)\n",
            ),
        ),
    ),
    ("4", "7"): Variant(
        "one_subscriber_for_all",
        "4",
        (
            Change(
                AGGREGATOR,
                "return self._out.subscribe(name)",
                'return self.__dict__.setdefault("_one", self._out.subscribe(name))',
            ),
        ),
    ),
}
"""Mistakes that rightly cost more than one criterion, and which those are."""

SLOW = Variant(
    "a_turn_for_each_frame",
    "9",
    (
        Change(
            AGGREGATOR, TURN, "            for _ in range(20):\n                await checkpoint()"
        ),
    ),
)

PROOF = Proof(MUTANTS)
