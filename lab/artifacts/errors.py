"""Errors that end a build with one plain sentence."""

from __future__ import annotations


class BuildError(Exception):
    """A step failed; the message says which and why."""


class UnsupportedMachineError(BuildError):
    """This machine cannot run the lab; the message says what is missing."""


class UsageError(BuildError):
    """A value from the user is wrong; the message says which one, and why."""
