"""Runs in nbgrader's own interpreter: autogrades again and again in one process, by its API.

Reads one line a job, the student's name, and answers with the seconds and the score as JSON.
"""

import json
import logging
import sys
import time

from nbgrader.apps import NbGraderAPI
from traitlets.config import Config


def main(course: str, timeout_s: int) -> None:
    config = Config()
    config.CourseDirectory.root = course
    config.CourseDirectory.course_id = "course"
    config.ExecutePreprocessor.timeout = timeout_s
    logging.disable(logging.CRITICAL)
    api = NbGraderAPI(config=config)
    for line in sys.stdin:
        student = line.strip()
        start = time.perf_counter()
        done = api.autograde("ps1", student, force=True)
        seconds = time.perf_counter() - start
        score = None
        if done["success"]:
            with api.gradebook as book:
                score = book.find_submission("ps1", student).score
        print(json.dumps({"seconds": seconds, "score": score}), flush=True)


main(sys.argv[1], int(sys.argv[2]))
