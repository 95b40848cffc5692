"""Wrong brokers: what has gone wrong in real ones, in the text's own, or in drafts of this one."""

from __future__ import annotations

from grader.authoring.mutants import Change, Proof, Variant

__all__ = ["BROADER", "MUTANTS", "PROOF", "SLOW"]

BROKER, FRAMING = "broker.py", "framing.py"
SPAWN = "self._sessions.spawn(self._session, station_id, stream, name=station_id)"
SEND = "self._frames.send_many(frames[start : start + stride])"
MAKE = "frames = [Frame(station_id, payload) for payload in payloads]"
LIMIT = "FrameDecoder(self.config.max_payload)"
RUN = "done = await self._pool.run(self.config.processor, frame, abandon_on_cancel=True)"

MUTANTS = (
    # -- 1: a station that stalls
    Variant(
        "one_at_a_time",  # the legacy broker
        "1",
        (Change(BROKER, SPAWN, "await self._session(station_id, stream)"),),
    ),
    Variant(
        "half_a_header_is_lost",  # what is too short for a header is thrown away
        "1",
        (
            Change(
                FRAMING,
                "del buffer[:at]  # once for each call",
                "del buffer[: at if len(buffer) - at >= HEADER.size else len(buffer)]",
            ),
        ),
    ),
    Variant(
        "front_cut_off_once_a_chunk",  # quadratic: all that is pending is copied by each feed
        "1",
        (Change(FRAMING, "buffer += data", "buffer = self._partial = bytearray(buffer + data)"),),
    ),
    # -- 2: every handler, every frame
    Variant(
        "empty_frames_are_nothing",
        "2",
        (Change(BROKER, MAKE, MAKE.replace("in payloads]", "in payloads if payload]")),),
    ),
    Variant(
        "largest_frame_refused",
        "2",
        (Change(BROKER, LIMIT, "FrameDecoder(self.config.max_payload - 1)"),),
    ),
    Variant(
        "numbered_from_zero",
        "2",
        (Change(BROKER, "gs-{self.stats.accepted}@", "gs-{self.stats.accepted - 1}@"),),
    ),
    # -- 3: a slow handler
    Variant(
        "handlers_in_line",  # one slow handler blocks all
        "3",
        (
            Change(
                BROKER,
                SEND,
                "for frame in frames[start : start + stride]:\n"
                "                    for handler, stats in list(self.handlers.values()):\n"
                "                        stats.received += 1\n"
                "                        try:\n"
                "                            await handler(frame)\n"
                "                        except Exception:\n"
                "                            stats.errors += 1\n"
                "                            self.stats.handler_errors += 1",
            ),
        ),
    ),
    Variant(
        "lag_ends_the_handler",
        "3",
        (
            Change(
                BROKER,
                "stats.missed += lagged.missed\n                    continue",
                "stats.missed += lagged.missed\n                    return",
            ),
        ),
    ),
    Variant(
        "lag_counted_once",  # how often it lagged, not how much
        "3",
        (Change(BROKER, "stats.missed += lagged.missed", "stats.missed += 1"),),
    ),
    # -- 4: between frames
    Variant(
        "delivers_what_follows",
        "4",
        (Change(BROKER, "payloads[:1] if last else payloads", "payloads"),),
    ),
    Variant(
        "hangs_up_inside_a_header",  # a frame begins with its payload, it thinks
        "4",
        (Change(BROKER, "if last and decoder.at_boundary:", "if last and decoder.pending < 4:"),),
    ),
    Variant(
        "drops_what_was_taken",
        "4",
        (
            Change(
                BROKER,
                "            try:\n                " + RUN,
                "            if self.token.is_cancelled:\n                return\n"
                "            try:\n                " + RUN,
            ),
        ),
    ),
    Variant(
        "listens_until_the_end",
        "4",
        (Change(BROKER, "            await listeners.aclose()\n", ""),),
    ),
    # -- 5: in time
    Variant(
        "aborts_nobody",
        "5",
        (Change(BROKER, "            tracker.abort_all()\n", ""),),
    ),
    Variant(
        "a_deadline_for_each",
        "5",
        (
            Change(
                BROKER,
                "            with anyio.CancelScope(deadline=until_s):\n"
                "                await tracker.wait()\n",
                "            for _ in tracker.names():\n"
                "                with anyio.move_on_after(self.config.drain_deadline_s):\n"
                "                    await tracker.wait()\n",
            ),
        ),
    ),
    Variant(
        "waits_for_the_thread",  # which may never come back
        "5",
        (Change(BROKER, RUN, RUN.replace(", abandon_on_cancel=True", "")),),
    ),
    # -- 6: failures
    Variant(
        "an_error_ends_the_handler",
        "6",
        (
            Change(
                BROKER,
                'log.error("handler_error", handler=stats.name, error=repr(error))',
                "return",
            ),
        ),
    ),
    Variant(
        "swallows_cancellation",
        "6",
        (
            Change(
                BROKER,
                "except Exception as error:\n                        stats.errors += 1",
                "except BaseException as error:\n                        stats.errors += 1",
            ),
        ),
    ),
    Variant(
        "truncation_unseen",
        "6",
        (Change(BROKER, "self.stats.truncated += not decoder.at_boundary", "pass"),),
    ),
    # -- 7: a processor
    Variant(
        "order_lost_across_threads",  # a task for each frame
        "7",
        (
            Change(
                BROKER,
                "for frame in frames:  # one at a time: so they stay in order\n",
                "async def one(frame: Frame) -> None:\n",
            ),
            Change(
                BROKER,
                "                    await self._publish([done])\n",
                "                    await self._publish([done])\n\n"
                "        async with anyio.create_task_group() as group:\n"
                "            for frame in frames:\n"
                "                group.start_soon(one, frame)\n",
            ),
        ),
    ),
    Variant(
        "as_many_threads_as_it_likes",
        "7",
        (Change(BROKER, "BlockingPool(self.config.processor_threads)", "BlockingPool(40)"),),
    ),
    Variant(
        "rejection_uncounted",
        "7",
        (Change(BROKER, 'self._reject(station_id, "by the processor")', "pass"),),
    ),
    # -- 8: lengths
    Variant(
        "one_byte_too_many",
        "8",
        (Change(BROKER, LIMIT, "FrameDecoder(self.config.max_payload + 1)"),),
    ),
    Variant(
        "believes_the_length",  # room is made before the limit is looked at
        "8",
        (
            Change(
                FRAMING,
                "            start = at + HEADER.size\n",
                "            bytearray(min(length, 1 << 26))\n"
                "            start = at + HEADER.size\n",
            ),
        ),
    ),
    Variant(
        "drops_what_stood_before",
        "8",
        (Change(FRAMING, "del buffer[start:]", "del buffer[start:], payloads[:]"),),
    ),
    # -- 9: nobody listens
    Variant(
        "no_receivers_so_hang_up",
        "9",
        (
            Change(
                BROKER,
                "        async with self._publishing:\n",
                "        if not self._frames.subscribers:\n"
                '            raise OSError("the broker is shutting down")\n'
                "        async with self._publishing:\n",
            ),
        ),
    ),
    Variant(
        "one_stopped_all_stopped",
        "9",
        (Change(BROKER, "self._feeding.pop(name).abort()", "self._feeds.abort_all()"),),
    ),
    Variant(
        "unknown_handler_ignored",
        "9",
        (
            Change(BROKER, "if name not in self.handlers:", "if False:"),
            Change(BROKER, "del self.handlers[name]", "self.handlers.pop(name, None)"),
            Change(
                BROKER,
                "self._feeding.pop(name).abort()",
                "if name in self._feeding:\n            self._feeding.pop(name).abort()",
            ),
        ),
    ),
    Variant(
        "handlers_stopped_from_any_thread",
        "9",
        (Change(BROKER, "if threading.get_ident() != self._thread:", "if False:"),),
    ),
    # -- 10: coming and going
    Variant(
        "keeps_every_handle",
        "10",
        (Change(BROKER, SPAWN, f'self.__dict__.setdefault("_all", []).append({SPAWN})'),),
    ),
)

BROADER = {
    # Mistakes that cost more than one criterion, and which.
    ("4", "5"): Variant(
        "hangs_up_inside_a_frame",  # `readexactly`, cancelled when shutdown comes
        "4",
        (Change(BROKER, "if last and decoder.at_boundary:", "if last:"),),
    ),
    ("5", "7"): Variant(
        "processor_on_the_loop", "7", (Change(BROKER, RUN, "done = self.config.processor(frame)"),)
    ),
    ("4", "5", "6", "8"): Variant(
        "siblings_are_cancelled",  # a task group in place of a tracker: one bad station ends all
        "6",
        (
            Change(BROKER, SPAWN, "self._group.start_soon(self._session, station_id, stream)"),
            Change(
                BROKER,
                "                for listener in accepting_sockets(listeners):\n",
                "                self._group = accepting\n"
                "                for listener in accepting_sockets(listeners):\n",
            ),
            Change(
                BROKER,
                "self._reject(station_id, str(decoder.fault))\n                return",
                "self._reject(station_id, str(decoder.fault))\n                raise decoder.fault",
            ),
        ),
    ),
    ("6", "8"): Variant("no_limit", "8", (Change(BROKER, LIMIT, "FrameDecoder(2**32 - 1)"),)),
}

SLOW = Variant(
    "a_turn_for_each_frame",
    "11",
    (Change(BROKER, "stride = max(1, self.config.broadcast_capacity // 2)", "stride = 1"),),
)

PROOF = Proof(
    MUTANTS,
    races=(SLOW,),
    adapter="tests/grader/adapters/foundation_01_tasks",
    race_points=3,
    quick={
        "grader.acceptance.foundation._tasks_serving:STATIONS": 12,
        "grader.acceptance.foundation._tasks_serving:FRAMES_EACH": 20,
        "grader.acceptance.foundation._tasks_serving:SLOW_FRAMES": 200,
        "grader.acceptance.foundation._tasks_serving:GRANTED_S": 0.5,
        "grader.acceptance.foundation._tasks_ending:COMMAND_S": 0.5,
        "grader.acceptance.foundation._tasks_ending:GONE_S": 3.0,
        "grader.acceptance.foundation._tasks_trouble:EACH": 10,
        "grader.acceptance.foundation._tasks_trouble:LATE_SHARE": 0.8,
        "grader.acceptance.foundation._tasks_trouble:CYCLES": 60,
    },
)
