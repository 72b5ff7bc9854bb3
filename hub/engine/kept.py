"""Values a run keeps between its steps, as intents carry them too."""

from hub.intents.kept import Kept, keep, keep_all, recall, recall_all

__all__ = ["Kept", "keep", "keep_all", "recall", "recall_all"]
