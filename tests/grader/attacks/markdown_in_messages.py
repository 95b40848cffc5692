"""Bring Markdown and LaTeX into whatever shows a message as such."""


def add(a, b):
    raise ValueError(
        "![x](https://example.org/pixel.png) [go](javascript:alert(1)) $\\input{/etc/passwd}$"
    )
