"""Wrong aggregators: what has gone wrong in real ones, in the text's own, or in drafts of this."""

from __future__ import annotations

from grader.acceptance.foundation.mutants_channels_races import LOSSY, SLOW, TURN
from grader.authoring.mutants import Change, Proof, Variant

__all__ = ["MUTANTS", "PROOF"]

AGGREGATOR, SOURCE, DEMO = "aggregator.py", "source.py", "demo.py"
IMPORT = "from collections import deque\n"
URGENT = "if len(self._emergency):"
PROCESS = "await self._process(frame)"
COMPLETED = "                self._completed(frame)\n"
SHOW = "self._out.send(frame)"
STATS = "self._watch, self.stats = watch(PipelineStats())"
REFUSE = "raise ShuttingDown(frame)"
FAST = "        with suppress(Full):\n            self.try_send(frame)\n            return\n"
TRY = "        aggregator._inlet(source, frame).try_send(frame)\n"
SAYS_WHY = "            aggregator._check(source, frame)  # says why\n"
NO_TURN = Change(AGGREGATOR, TURN, "            pass")

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
    Variant(
        "asyncio_queue_with_sentinels",  # right on asyncio, and dead on trio
        "1",
        (
            Change(AGGREGATOR, IMPORT, "import asyncio\n" + IMPORT),
            Change(
                AGGREGATOR,
                "        self._news = anyio.Event()\n        self._out",
                "        self._news: asyncio.Queue[bool] = asyncio.Queue()\n        self._out",
            ),
            Change(
                AGGREGATOR,
                "                self._fill()\n        self._news.set()\n",
                "                self._fill()\n        self._news.put_nowait(True)\n",
            ),
            Change(
                AGGREGATOR,
                "                self._news = anyio.Event()\n"
                "                await self._news.wait()\n"
                "                continue\n",
                "                if not await self._news.get():\n"
                "                    self._stopped = True\n"
                "                continue\n",
            ),
            Change(
                AGGREGATOR,
                "        self._emergency.close()\n        self._news.set()\n",
                "        self._emergency.close()\n        self._news.put_nowait(False)\n",
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
    Variant(
        "removal_does_not_wait",
        "2",
        (Change(AGGREGATOR, "await source.gone.wait()", "await checkpoint()"),),
    ),
    # -- 3: pressure
    Variant(
        "feeds_too_long",  # more is held than the capacities allow
        "3",
        (
            Change(
                SOURCE,
                "self.inlet, self.feed = channel(capacity)",
                "self.inlet, self.feed = channel(20 * capacity)",
            ),
        ),
    ),
    Variant(
        "full_without_the_frame",
        "3",
        (
            Change(
                SOURCE,
                TRY,
                "        try:\n"
                "            aggregator._inlet(source, frame).try_send(frame)\n"
                "        except Full as full:\n"
                "            raise Full(full.name, None, full.used, full.capacity) from None\n",
            ),
        ),
    ),
    Variant(
        "try_send_throws_away",  # and says nothing
        "3",
        (
            Change(SOURCE, FAST, ""),
            Change(
                SOURCE,
                TRY,
                "        with suppress(Full):\n"
                "            aggregator._inlet(source, frame).try_send(frame)\n",
            ),
        ),
    ),
    # -- 4: subscribers
    Variant("subscribers_have_no_turn", "4", (NO_TURN,)),
    Variant(
        "a_failure_ends_the_run",
        "4",
        (Change(AGGREGATOR, "            except Exception:\n", "            except OSError:\n"),),
    ),
    Variant(
        "failed_frames_are_shown",
        "4",
        (Change(AGGREGATOR, "                pass  # skipped\n", COMPLETED),),
    ),
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
        "a_lock_that_nobody_notices",  # held for a moment, by a writer that never waits
        "5",
        (
            Change(AGGREGATOR, IMPORT, "from threading import Lock as Guard\n" + IMPORT),
            Change(AGGREGATOR, STATS, STATS + "\n        self._guard = Guard()"),
            Change(
                AGGREGATOR,
                "        self._watch.send(",
                "        with self._guard:\n            self._watch.send(",
            ),
        ),
    ),
    Variant(
        "published_in_two_steps",  # a thread may come in between
        "5",
        (
            Change(
                AGGREGATOR,
                "        self._processed += 1\n",
                "",
            ),
            Change(
                AGGREGATOR,
                "frame.priority is FramePriority.EMERGENCY\n        self._publish()\n",
                "frame.priority is FramePriority.EMERGENCY\n"
                "        self._publish()\n"
                "        self._processed += 1\n"
                "        self._publish()\n",
            ),
        ),
    ),
    Variant(
        "read_in_three_steps",  # a torn read: the loop may go on in between
        "5",
        (
            Change(
                AGGREGATOR,
                STATS,
                STATS + "\n"
                "        self.stats.borrow = lambda: PipelineStats(\n"
                "            int(self._routed), int(self._processed), int(self._urgent)\n"
                "        )",
            ),
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
        "who_waits_loses_the_frame",
        "6",
        (
            Change(
                SOURCE,
                "from .records import FeedKind\n",
                "from .records import FeedKind, ShuttingDown\n",
            ),
            Change(
                SOURCE,
                SAYS_WHY,
                "            if aggregator._token.is_cancelled:\n"
                "                aggregator._rejected += 1\n"
                "                raise ShuttingDown from None\n",
            ),
        ),
    ),
    Variant(
        "a_request_before_the_run_is_forgotten",
        "6",
        (
            Change(
                AGGREGATOR,
                "        start_s = anyio.current_time()\n",
                "        start_s = anyio.current_time()\n"
                "        self._token = CancellationToken()\n",
            ),
        ),
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
    Variant(
        "stats_at_odd_moments",
        "8",
        (Change(DEMO, "await anyio.sleep(STATS_S)", "await anyio.sleep(STATS_S / 2)"),),
    ),
    Variant(
        "stats_only_at_first",
        "8",
        (
            Change(
                DEMO,
                "        while not reports:\n",
                "        for _ in range(3):\n",
            ),
        ),
    ),
)

PROOF = Proof(
    MUTANTS,
    races=(SLOW, LOSSY),
    adapter="tests/grader/adapters/foundation_03_channels",
    quick={
        "grader.acceptance.foundation._channels_order:HISTORIES": 3,
        "grader.acceptance.foundation._channels_order:STEPS": 40,
        "grader.acceptance.foundation._channels_order:CYCLES": 50,
        "grader.acceptance.foundation._channels_flow:PRESSED": 120,
        "grader.acceptance.foundation._channels_shown:HELD_S": 1,
        "grader.acceptance.foundation._channels_race:ROUNDS": 8,
    },
    race_points=3,
)
