"""A lab of two tracks with one available module, small enough to know by heart."""

from __future__ import annotations

from pathlib import Path

KEY = "database/01-storage"

INDEX = """
[[tracks]]
slug = "database"
title = "Databases & <logs>"
system = "Registry"
summary = "Keeps things."

[[tracks.modules]]
slug = "01-storage"
title = "Storage"
summary = "Bytes on disk."
available = true
lessons = [{ topic = "pages", title = "Pages" }, { topic = "pools", title = "Pools" }]
[tracks.modules.capstone]
title = "Page manager"
package = "pages"
criteria = [
  { id = "1", title = "Reads back", points = 60, required = true },
  { id = "2", title = "Is fast", points = 40, benchmark = true },
]

[[tracks]]
slug = "pipelines"
title = "Pipelines"
system = "Fusion"
summary = "Moves things."

[[tracks.modules]]
slug = "01-streams"
title = "Streams"
summary = "One after another."
available = false
lessons = [{ topic = "sources", title = "Sources" }]
capstone = { title = "Ingestion" }
"""
QUIZ = '''
[[questions]]
id = "a"
type = "MultipleChoice"
prompt.prompt = "Which of these is a **page** size, `4096` or `4097`?"
prompt.distractors = ["4097", "<b>4098</b>"]
prompt.sortAnswers = true
answer.answer = "4096"
context = "A power of two."
[[questions]]
id = "b"
type = "MultipleChoice"
prompt.prompt = "Which block?"
prompt.distractors = ["`await sleep()`"]
prompt.sortAnswers = true
answer.answer = ["`time.sleep(1)`", "`read()`"]
[[questions]]
id = "c"
type = "ShortAnswer"
prompt.prompt = "Bytes of a header?"
answer.answer = "17"
answer.alternatives = ["seventeen"]
[[questions]]
id = "d"
type = "Tracing"
prompt.program = """
x = [1]
print(x[0] < 2)
"""
answer.doesCompile = true
answer.stdout = "True"
[[questions]]
id = "e"
type = "Tracing"
prompt.program = """
x = [1]
x[1] = 2
"""
answer.doesCompile = false
answer.lineNumber = 2
context = "There is no element 1."
'''


def build(root: Path) -> Path:
    """Write the lab into the new folder `root`."""
    notebooks = root / "notebooks" / KEY
    notebooks.mkdir(parents=True)
    (root / "exercises" / KEY).mkdir(parents=True)
    (root / "curriculum.toml").write_text(INDEX)
    for number in (1, 2):
        (notebooks / f"lesson-0{number}-quiz.toml").write_text(QUIZ)
    return root
