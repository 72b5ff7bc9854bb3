"""What the garbage collector is asked to leave alone."""

import gc

# Reference counts free nearly everything here at once. Looking for cycles every 700 new objects, as the interpreter
# does, walks over tens of thousands of accounts again and again: a tenth of the CPU of an event. Cycles left behind by
# errors and tasks may wait: 100,000 objects are some twenty megabytes.
_YOUNG, _MIDDLE, _OLD = 100_000, 20, 100


def relax() -> None:
    """Call before anything is built: a seventh of starting a hub was looking for cycles among what lives on."""
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)


def settle() -> None:
    """Call when everything is built: it lives as long as the process, and no collection needs to look at it."""
    gc.collect()
    gc.freeze()
    relax()
