"""Prints the conformance line, and what is refused and what fails: `python -m tests.conformance [words in names]`."""

import sys

from .runner import details, runtime_summary, summary, verdicts

found = verdicts(sys.argv[1:])
print(summary(found), runtime_summary(found), details(found), sep="\n")
