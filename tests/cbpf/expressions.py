#!/usr/bin/python3
"""Prints the filter expressions of libpcap's own tests, one on each line.

expressions.py TESTRUN	its file testprogs/TESTrun

They stand as "expr => '...'" and as "aliases => ['...', ...]"; which link type
they are for does not matter here."""
import re
import sys

TOKEN = re.compile(r"""\s+ | \#[^\n]* | '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*"
                       | => | [\[\]] | \w+ | .""", re.VERBOSE | re.DOTALL)


def tokens(text):
    return [t for t in TOKEN.findall(text) if not t.isspace() and t[0] != "#"]


def is_text(token):
    return token[0] in "'\""


def expressions(text):
    taken, within = False, False
    for token in tokens(text):
        if token in ("expr", "aliases"):
            taken = True
        elif is_text(token) and taken:
            yield " ".join(token[1:-1].replace("\\'", "'").split())
            taken = within
        elif token == "[":
            within = True
        elif token == "]":
            taken = within = False
        elif token not in ("=>", ","):
            taken = False


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        for expression in dict.fromkeys(expressions(file.read())):
            print(expression)


main()
