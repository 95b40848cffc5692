"""Wrong command queues: what went wrong in the mission, in the text's own, or in drafts of this."""

from __future__ import annotations

from grader.authoring.mutants import Change, Proof, Variant

__all__ = ["MUTANTS", "PROOF", "SLOW"]

COMMAND, DEMO, METRICS, QUEUE = "command.py", "demo.py", "metrics.py", "queue.py"
PUSH = "heapq.heappush(self._heap, (*self._key(cmd), cmd))"
COUNT = "self._metrics._count_admission()"
WAIT = "self._filled.wait(left_s)"
POLL = "self._filled.wait(0.00005 if left_s is None else left_s)"
BEGIN = (
    "        with self._lock:\n            try:\n"
    "                if self._is_shutdown:\n                    self._refuse()\n"
)
ROOM = "                if self._has_room(cmd):\n"
END = (
    "        with self._lock:\n            self._is_shutdown = True\n            self._wake_all()\n"
)
MARK = "        self._broken = error\n        self._is_shutdown = True\n        self._wake_all()\n"

MUTANTS = (
    # -- 1: order, and valid commands
    Variant(
        "ties_compare_commands",  # a heap of (priority, time, command): TypeError on ties
        "1",
        (Change(QUEUE, PUSH, "heapq.heappush(self._heap, (*self._key(cmd)[:2], 0, cmd))"),),
    ),
    Variant(
        "ties_in_any_order",  # what is admitted last goes first
        "1",
        (
            Change(QUEUE, PUSH, PUSH.replace("*self._key(cmd)", "*self._late(cmd)")),
            Change(
                QUEUE,
                "    def _has_room(self",
                "    def _late(self, cmd: Command) -> tuple[int, int, int]:\n"
                "        priority, issued_at, number = self._key(cmd)\n"
                "        return priority, issued_at, -number\n\n"
                "    def _has_room(self",
            ),
        ),
    ),
    Variant(
        "first_come_first_served",  # the age of a command is its place in the line
        "1",
        (
            Change(
                QUEUE, PUSH, PUSH.replace("*self._key(cmd)", "-cmd.priority, *self._key(cmd)[2:]")
            ),
        ),
    ),
    Variant(
        "no_float_is_so_large",  # OverflowError of math.isfinite, and no answer
        "1",
        (Change(COMMAND, "return -math.inf < value < math.inf", "return math.isfinite(value)"),),
    ),
    Variant(
        "priority_of_nine_bits",
        "1",
        (Change(COMMAND, "0 <= self.priority <= 255", "0 <= self.priority <= 256"),),
    ),
    Variant(
        "a_bool_is_an_azimuth",
        "1",
        (Change(COMMAND, "if isinstance(value, bool) or not", "if not"),),
    ),
    # -- 2: waiting
    Variant(
        "polls",  # wakes up thousands of times a second to look
        "2",
        (Change(QUEUE, WAIT, POLL),),
    ),
    Variant(
        "polls_and_lies_about_it",  # no clock that the package can reach tells of it
        "2",
        (
            Change(QUEUE, WAIT, POLL),
            Change(
                QUEUE,
                "import heapq\n",
                "import heapq\nimport time\n\ntime.process_time = lambda: 0.0\n",
            ),
        ),
    ),
    # -- 3: schedules
    Variant(
        "if_instead_of_while",  # what woke the consumer may have been taken by another
        "3",
        (
            Change(
                QUEUE,
                "                self._idle -= 1\n",
                "                self._idle -= 1\n"
                "            if deadline_ns is None:\n                break\n",
            ),
        ),
    ),
    Variant(
        "looks_before_it_leaps",  # the room is looked at in one block and used in another
        "3",
        (
            Change(
                QUEUE,
                BEGIN,
                "        with self._lock:\n            room = self._has_room(cmd)\n" + BEGIN,
            ),
            Change(QUEUE, ROOM, "                if room:\n"),
        ),
    ),
    Variant(
        "wakes_the_wrong_one",  # a slot's command arrives, and the other consumer sleeps on
        "3",
        (
            Change(
                QUEUE,
                "            self._admit(producer.command)\n",
                "            idle, self._idle = self._idle, 0\n"
                "            self._admit(producer.command)\n"
                "            self._idle = idle\n",
            ),
        ),
    ),
    # -- 4: metrics
    Variant(
        "metrics_behind_the_lock",
        "4",
        (
            Change(QUEUE, "        self._metrics = Metrics()\n", ""),
            Change(
                QUEUE,
                "        self._lock = primitives.Lock()\n",
                "        self._lock = primitives.Lock()\n"
                "        self._metrics = Metrics(self._lock)\n",
            ),
            Change(
                METRICS,
                "    def __init__(self) -> None:\n",
                "    def __init__(self, guard) -> None:\n        self._guard = guard\n",
            ),
            Change(
                METRICS,
                "        return MetricsSnapshot(self._pushed, dispatched, safe_mode)\n",
                "        with self._guard:\n"
                "            return MetricsSnapshot(self._pushed, dispatched, safe_mode)\n",
            ),
        ),
    ),
    Variant(
        "counters_without_a_class_of_that_name",  # so that nobody looks into it
        "4",
        (
            Change(METRICS, "class Metrics:\n", "class Counters:\n"),
            Change(
                QUEUE,
                "from .metrics import Metrics\n",
                "from .metrics import Counters as Metrics\n",
            ),
            Change(
                "__init__.py",
                "from .metrics import Metrics, ",
                "from .metrics import Counters as Metrics, ",
            ),
        ),
    ),
    Variant(
        "read_in_the_order_of_counting",
        "4",
        (
            Change(
                METRICS,
                "        return MetricsSnapshot(self._pushed, dispatched, safe_mode)\n",
                "        pushed, dispatched = self._pushed, self._dispatched\n"
                "        return MetricsSnapshot(pushed, dispatched, self._safe_mode)\n",
            ),
        ),
    ),
    Variant(
        "safe_mode_counted_at_push",  # as the text's own queue does
        "4",
        (
            Change(
                QUEUE,
                COUNT,
                f"{COUNT}\n        self._metrics._safe_mode += cmd.kind is CommandKind.SAFE_MODE",
            ),
            Change(
                METRICS,
                "        if safe_mode:\n            self._safe_mode += 1\n",
                "",
            ),
        ),
    ),
    # -- 5: the end
    Variant(
        "lost_on_shutdown",  # what is in the queue when it is shut down stays there
        "5",
        (
            Change(
                QUEUE,
                "            self._refuse()\n        return bool(self._heap)\n",
                "            self._refuse()\n"
                "        return bool(self._heap) and not self._is_shutdown\n",
            ),
        ),
    ),
    Variant(
        "nothing_is_pushed_after_the_end",  # silently, where no command is in the batch
        "5",
        (Change(QUEUE, "        if not cmds:\n", "        if cmds is None:\n"),),
    ),
    Variant(
        "wakes_one_consumer",  # the others wait for ever
        "5",
        (
            Change(
                QUEUE,
                END,
                END.replace("_wake_all()", "_filled.notify()")
                + "            for *_, producer in self._producers:\n"
                "                producer.woken.notify()\n",
            ),
        ),
    ),
    # -- 6: admission
    Variant(
        "admitted_as_they_came",  # SAFE_MODE behind the housekeeping of others
        "6",
        (Change(QUEUE, "insort(self._producers, entry)", "self._producers.append(entry)"),),
    ),
    Variant(
        "the_reserve_is_for_all",
        "6",
        (
            Change(
                QUEUE,
                "cmd.priority >= URGENT or self._common < self._common_slots",
                "cmd.priority >= 0",
            ),
        ),
    ),
    Variant(
        "waiting_counts_as_queued",
        "6",
        (
            Change(
                QUEUE,
                "return len(self._heap)\n        ### END",
                "return len(self._heap) + len(self._producers)\n        ### END",
            ),
        ),
    ),
    # -- 7: sound
    Variant(
        "lock_left_by_hand",
        "7",
        (
            Change(
                QUEUE,
                END,
                "        self._lock.acquire()\n        self._is_shutdown = True\n"
                "        self._wake_all()\n        self._lock.release()\n",
            ),
        ),
    ),
    Variant(
        "failure_forgotten",  # the caller learns of it; who waits, waits
        "7",
        (Change(QUEUE, MARK, ""),),
    ),
    Variant(
        "prints_while_it_holds_the_lock",
        "7",
        (Change(QUEUE, END, END + '            print("shut down")\n'),),
    ),
    Variant(
        "prints_under_a_lock_called_changed",
        "7",
        (
            Change(
                QUEUE,
                END,
                "        changed = self._lock\n        with changed:\n"
                "            self._is_shutdown = True\n            self._wake_all()\n"
                '            print("shut down")\n',
            ),
        ),
    ),
    Variant(
        "logs_below_the_block",  # in what is called while the lock is held
        "7",
        (
            Change(
                QUEUE,
                "import heapq\n",
                "import heapq\nfrom time import sleep as note\n",
            ),
            Change(
                QUEUE,
                "    def _wake_all(self) -> None:\n",
                "    def _wake_all(self) -> None:\n        note(0)\n",
            ),
        ),
    ),
    Variant(
        "calls_back_while_it_holds_the_lock",
        "7",
        (
            Change(
                QUEUE,
                "    def shutdown(self) -> None:\n",
                "    def listen(self, heard) -> None:\n        self._heard = [heard]\n\n"
                "    def shutdown(self) -> None:\n",
            ),
            Change(
                QUEUE,
                END,
                END + "            for heard in getattr(self, '_heard', ()):\n"
                "                heard()\n",
            ),
        ),
    ),
    Variant(
        "looks_for_its_command",  # by ==, among those that wait
        "7",
        (
            Change(
                QUEUE,
                "                self._producers.remove(entry)\n",
                "                waiting = [other.command for *_, other in self._producers]\n"
                "                del self._producers[waiting.index(cmd)]\n",
            ),
        ),
    ),
    # -- 8: the demo
    Variant(
        "one_sample",
        "8",
        (Change(DEMO, "        while len(dispatched) < total:\n", "        if not samples:\n"),),
    ),
    Variant(
        "samples_too_seldom",
        "8",
        (
            Change(
                DEMO,
                "due = began + len(samples) * sample_every",
                "due = began + len(samples) * 0.055",
            ),
        ),
    ),
    Variant(
        "table_of_arrivals",
        "8",
        (Change(DEMO, "enumerate(report.dispatched, 1)", "enumerate(report.arrived, 1)"),),
    ),
)

# Judged by the race: the whole queue is sorted for each command.
SLOW = Variant(
    "sorts_for_each_command",
    "9",
    (
        Change(
            QUEUE,
            PUSH,
            "self._heap.append((*self._key(cmd), cmd)); self._heap = sorted(self._heap)",
        ),
    ),
)

PROOF = Proof(
    MUTANTS,
    races=(SLOW,),
    adapter="tests/grader/adapters/foundation_02_sync",
    quick={
        "grader.acceptance.foundation._sync_order:BATCHES": 5,
        "grader.acceptance.foundation._sync_order:BATCH": 200,
        "grader.acceptance.foundation._sync_schedules:SCHEDULES": 600,
        "grader.acceptance.foundation._sync_schedules:ROUNDS": 2,
        "grader.acceptance.foundation._sync_race:ROUNDS": 8,
    },
    race_points=3,
)
