"""Turns what was recorded into text: an incident report for a failure, one line for an exploration.

Everything here is a pure function of plain data: no file is read, no terminal is asked, nothing is executed. The only
control codes are ANSI colours, and only when they are asked for.
"""

from simulator.report.conflicts import conflicts
from simulator.report.incident import Facts, incident_report
from simulator.report.summary import summary_line
from simulator.report.words import in_words

__all__ = ["Facts", "conflicts", "in_words", "incident_report", "summary_line"]
