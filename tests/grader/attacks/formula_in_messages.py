"""Bring a formula into a table that somebody opens in a spreadsheet."""


def add(a, b):
    raise ValueError("=cmd|'/C calc'!A0\n+1\n-1\n@SUM(A1)\t=1")
