"""Errors that end a build with one plain sentence."""

from __future__ import annotations


class BuildError(Exception):
    """A step failed; the message says which and why."""


class UnsupportedMachineError(BuildError):
    """This machine cannot run the lab; the message says what is missing."""


class UsageError(BuildError):
    """What the lab was asked to run cannot be; the message says which value, and why."""
