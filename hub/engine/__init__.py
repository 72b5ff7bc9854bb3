"""Matches events against workflows, and decides: everything about deciding is a pure function."""
