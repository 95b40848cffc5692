"""Answer with a kind of value that the protocol does not have."""

import datetime

import msgspec

import grader.inside.protocol


def _encode(answer):
    return msgspec.msgpack.encode([answer[0], datetime.datetime.now(datetime.UTC)])


def add(a, b):
    grader.inside.protocol._encode = _encode
    return a + b
