"""Turns what was recorded into text: an incident report for a failure, a line for an exploration.

Everything here is a pure function of plain data: no file is read, no terminal is asked, nothing is executed. The only
control codes are ANSI colours, and only when they are asked for.
"""

from simulator.report.conflicts import conflicts
from simulator.report.incident import Facts, incident_report
from simulator.report.summary import Line, line_of, short_name, summary_lines
from simulator.report.words import in_words

__all__ = [
    "Facts",
    "Line",
    "conflicts",
    "in_words",
    "incident_report",
    "line_of",
    "short_name",
    "summary_lines",
]
