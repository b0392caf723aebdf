"""Finds the line of the code under test that is responsible for what is happening now."""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType

import simulator

_OURS = str(Path(simulator.__file__).parent)
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


@dataclass(frozen=True, slots=True)
class CallSite:
    """A line of source code."""

    path: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} in {self.function}"


@cache
def _is_framework(filename: str) -> bool:
    return filename.startswith((_OURS, "<")) or "site-packages" in filename or filename.startswith(_LIBRARIES)


def describe(frame: FrameType) -> CallSite:
    """Describes the line that a frame is at, with a path relative to the working folder where that is shorter."""
    filename = frame.f_code.co_filename
    relative = os.path.relpath(filename)
    path = filename if relative.startswith("..") else relative
    text = linecache.getline(filename, frame.f_lineno).strip()
    return CallSite(path, frame.f_lineno, frame.f_code.co_name, text)


def calling_code(frame: FrameType | None = None) -> CallSite | None:
    """The innermost line on the stack that belongs neither to a library nor to the simulator; None if there is none."""
    frame = frame or sys._getframe(1)
    current: FrameType | None = frame
    while current is not None:
        if not _is_framework(current.f_code.co_filename):
            return describe(current)
        current = current.f_back
    return None


def is_users(frame: FrameType) -> bool:
    """Whether a frame belongs to the code under test (neither a library nor the simulator)."""
    return not _is_framework(frame.f_code.co_filename)
