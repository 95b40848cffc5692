"""How the pages of the grader look: readable from 320 px to paper, in light and dark."""

from __future__ import annotations

__all__ = ["STYLE"]

# Words on their background reach a contrast of 4.5 to 1 in both themes; a mark and a word stand
# beside every colour.
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --page: #ffffff; --line: #c8ced5;
  --panel: #f3f5f7; --soft: #57606a; --good: #176f35; --bad: #9a3412; --link: #0b57b0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --page: #0d1117; --line: #3a434d;
  --panel: #171d25; --soft: #9da7b3; --good: #56d364; --bad: #f0a35e; --link: #79b8ff; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  margin: 0 auto; padding: 1.25rem 1rem 4rem; max-width: 48rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; } h3 { font-size: 1rem; margin: 0; }
p { margin: .4rem 0; } a { color: var(--link); }
a:focus-visible, [tabindex]:focus-visible { outline: .2rem solid var(--link);
  outline-offset: .15rem; }
.skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
.verdict { font-size: 1.15rem; margin: .25rem 0 .75rem; }
.bar { height: .7rem; border: 1px solid var(--soft); border-radius: .35rem; overflow: hidden;
  margin: 0 0 .75rem; }
.bar > div { height: 100%; background: var(--good); print-color-adjust: exact; }
.good { color: var(--good); } .bad { color: var(--bad); } .soft { color: var(--soft); }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--soft); font-size: .9rem; padding: 0 0 .25rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0;
  border-bottom: 1px solid var(--line); }
th, td { overflow-wrap: break-word; }
tbody th { font-weight: 400; } .points, td.number { white-space: nowrap; }
.said { white-space: pre-wrap; overflow-wrap: anywhere; } .cells td { min-width: 8rem; }
article { border: 1px solid var(--line); border-left: .35rem solid var(--soft);
  border-radius: .35rem; padding: .6rem .8rem; margin: .75rem 0; }
article.good, article.bad, article.soft { color: var(--ink); }
article.good { border-left-color: var(--good); } article.bad { border-left-color: var(--bad); }
article:target, article div:target { outline: .15rem solid var(--link); }
pre, code { font: .875rem/1.45 ui-monospace, SFMono-Regular, Menlo, monospace; }
pre { background: var(--panel); padding: .5rem .7rem; border-radius: .3rem; margin: .4rem 0;
  white-space: pre-wrap; }
code { background: var(--panel); padding: .1rem .3rem; border-radius: .2rem; user-select: all;
  display: inline-block; max-width: 100%; }
ul.said { margin: .4rem 0; padding: 0 0 0 1.2rem; } ul.said li { margin: 0 0 .3rem; }
figure { margin: 1rem 0; } figcaption { margin: 0 0 .5rem; }
img { max-width: 100%; height: auto; } .plot { overflow-x: auto; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); font-size: .9rem; }
dl { margin: 0; } dd { margin: 0; min-width: 0; } article dl > div { margin: .4rem 0; }
article dd { color: var(--soft); } footer dl > div { display: flex; gap: .75rem; }
footer dt { color: var(--soft); flex: 0 0 6.5rem; }
@media (max-width: 30rem) {
  thead { position: absolute; left: -99rem; }
  tr { display: block; border-bottom: 1px solid var(--line); padding: .4rem 0; }
  th, td { display: block; border: 0; padding: .1rem 0; }
  tbody th { font-weight: 600; } tbody th .soft { font-weight: 400; }
  td.points { display: inline-block; padding-right: .75rem; }
  td.points + td { display: inline-block; } .plot img { max-width: none; width: 36rem; }
}
@media print {
  :root { --ink: #000000; --page: #ffffff; --line: #999999; --panel: #f3f5f7; --soft: #444444;
    --good: #176f35; --bad: #9a3412; --link: #000000; }
  .plot img { max-width: 100%; width: auto; }
  body { max-width: none; padding: 0; font-size: 11pt; } .skip { display: none; }
  article, figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
}
"""
